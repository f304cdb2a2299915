"""The balance: what the payments have left, and the transactions that it is the sum of."""

from collections import Counter
from typing import Final

from simulator.happenings import Json
from simulator.server.parameters import NOTHING, text
from simulator.server.routes import CREATED, Call, Route, listing, retrieving, same

KIND: Final = "balance_transaction"
PLACE: Final = "/v1/balance_transactions"


def balance(call: Call) -> Json:
    """The sum of all transactions, by currency; what is not available yet is pending."""
    pending: Counter[str] = Counter()
    available: Counter[str] = Counter()
    for transaction in call.world.shelf.all(KIND):
        body: Json = transaction.body
        sums = available if body["available_on"] <= call.world.now else pending
        sums[body["currency"]] += body["net"]
    currencies = sorted(available.keys() | pending.keys()) or ["usd"]
    return {
        "object": "balance",
        "available": [_amount(currency, available[currency]) for currency in currencies],
        "livemode": False,
        "pending": [_amount(currency, pending[currency]) for currency in currencies],
    }


def _amount(currency: str, amount: int) -> Json:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}


ROUTES: Final = (
    Route("GET", "/v1/balance", NOTHING, balance),
    listing(PLACE, KIND, CREATED | same("currency", text) | same("source", text) | same("type", text)),
    retrieving(f"{PLACE}/{{id}}", KIND),
)
