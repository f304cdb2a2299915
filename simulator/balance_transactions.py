"""Balance transactions: what moved on the company's balance, and what Stripe kept of it."""

from typing import TYPE_CHECKING, ClassVar, Final, Self

from simulator.clock import DAY_SECONDS
from simulator.things import Thing

if TYPE_CHECKING:
    from simulator.world import World

AVAILABLE_AFTER_SECONDS: Final = 2 * DAY_SECONDS
FEE_FIXED_MINOR: Final = 30
FEE_BASIS_POINTS: Final = 290
DISPUTE_FEE_MINOR: Final = 1500

_CATEGORIES: Final = {"charge": "charge", "payment": "charge", "refund": "refund", "payment_refund": "refund"}


class BalanceTransaction(Thing):
    """One movement.  It is never changed."""

    kind: ClassVar[str] = "balance_transaction"

    @classmethod
    def book(
        cls,
        world: "World",
        type: str,  # noqa: A002  Stripe's own word.
        amount: int,
        currency: str,
        source: str,
        *,
        fee: int = 0,
        description: str | None = None,
        category: str | None = None,
    ) -> Self:
        """Book *amount*, and the *fee* that goes with it."""
        details = {"amount": fee, "application": None, "currency": currency, "type": "stripe_fee"}
        body = {
            "id": world.dice.identifier("txn"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": world.now + AVAILABLE_AFTER_SECONDS,
            "balance_type": "payments",
            "created": world.now,
            "currency": currency,
            "description": description,
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [details | {"description": _fee_words(type)}] if fee else [],
            "net": amount - fee,
            "reporting_category": category or _CATEGORIES.get(type, type),
            "source": source,
            "status": "pending",
            "type": type,
        }
        return cls(world, body)


def _fee_words(kind: str) -> str:
    return "Dispute fee" if kind == "adjustment" else "Stripe processing fees"


def charge_fee(amount: int) -> int:
    """What Stripe keeps of a payment."""
    return FEE_FIXED_MINOR + amount * FEE_BASIS_POINTS // 10_000
