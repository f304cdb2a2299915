"""Charges: money that moved, or did not.  Payment intents make them; refunds and disputes change them."""

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.balance_transactions import BalanceTransaction, charge_fee
from simulator.bank import Declines
from simulator.happenings import Json
from simulator.refusals import invalid
from simulator.things import HIDDEN, Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.payment_methods import PaymentMethod
    from simulator.world import World

_NOTHING: Final[Json] = {}
_UNSET: Final = """
    application application_fee application_fee_amount balance_transaction failure_balance_transaction failure_code
    failure_message on_behalf_of receipt_email receipt_number receipt_url review shipping source source_transfer
    statement_descriptor statement_descriptor_suffix transfer_data transfer_group
""".split()


class Charge(Thing):
    """One try to move money."""

    kind: ClassVar[str] = "charge"

    @classmethod
    def make(cls, intent: Thing, method: "PaymentMethod", **outcome: Any) -> Self:
        """A charge of *intent* by *method*; nobody is told yet."""
        charge = cls(intent.world, _body(intent.world, intent.body, method) | outcome)
        charge.method = method
        return charge

    method: "PaymentMethod"

    @classmethod
    def succeed(cls, intent: Thing, method: "PaymentMethod", *, captured: bool) -> Self:
        """The money moved, or is held until it is captured."""
        charge = cls.make(intent, method, status="succeeded", **_success(intent.world))
        if captured:
            charge.book(intent.body["amount"])
        charge.world.record("charge.succeeded", charge.body)
        return charge

    @classmethod
    def fail(cls, intent: Thing, method: "PaymentMethod", why: Declines) -> Self:
        """It did not."""
        charge = cls.make(intent, method, **_failure(why))
        charge.world.record("charge.failed", charge.body)
        return charge

    @classmethod
    def begin(cls, intent: Thing, method: "PaymentMethod") -> Self:
        """A debit is on its way."""
        charge = cls.make(intent, method, status="pending", captured=True, **_success(intent.world))
        charge.world.record("charge.pending", charge.body)
        return charge

    @property
    def refundable_minor(self) -> int:
        """How much of it can still be given back."""
        return int(self.body["amount_captured"]) - int(self.body["amount_refunded"])

    def settle(self) -> None:
        """The debit came through."""
        self.book(self.body["amount"])
        self.note("charge.succeeded", status="succeeded")

    def bounce(self, why: Declines) -> None:
        """The debit came back."""
        self.note("charge.failed", **_failure(why), captured=False)

    def capture(self, *, amount: int | None = None, **_: object) -> None:
        """Take what was held, or part of it; the rest goes back."""
        if self.body["captured"] or self.body["status"] != "succeeded":
            raise invalid(f"Charge {self.id} has already been captured.", code="charge_already_captured")
        taken = self.body["amount"] if amount is None else amount
        before = self.body
        self.book(taken)
        self.world.record("charge.captured", self.body, before)

    def update(self, *, metadata: Json | None = _NOTHING, **changes: Any) -> None:
        """Change what is written on it."""
        metadata = merged_metadata(self.body["metadata"], metadata)
        self.tell("charge.updated", by_request=True, metadata=metadata, **changes)

    def give_back(self, amount: int) -> None:
        """So much more of it is refunded."""
        total = self.body["amount_refunded"] + amount
        self.tell("charge.refunded", amount_refunded=total, refunded=total >= self.body["amount_captured"])

    def take_back(self, amount: int) -> None:
        """A refund of so much failed: the running total goes down again, and no charge event tells of it."""
        self.become(amount_refunded=self.body["amount_refunded"] - amount, refunded=False)

    def book(self, amount: int) -> None:
        """The money is here, but for Stripe's fee."""
        kind = "charge" if self.method.card.type == "card" else "payment"
        transaction = BalanceTransaction.book(
            self.world, kind, amount, self.body["currency"], self.id, fee=charge_fee(amount)
        )
        self.become(captured=True, amount_captured=amount, balance_transaction=transaction.id)


def _failure(why: Declines) -> Json:
    return {
        "status": "failed",
        "paid": False,
        "failure_code": why.code,
        "failure_message": why.message,
        "outcome": _OUTCOME
        | {
            "advice_code": "try_again_later" if why.decline_code == "insufficient_funds" else None,
            "network_status": "declined_by_network",
            "reason": why.decline_code,
            "seller_message": "The bank did not return any further details with this decline.",
            "type": "issuer_declined",
        },
    }


_OUTCOME: Final[Json] = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 24,
    "seller_message": "Payment complete.",
    "type": "authorized",
}


def _success(world: "World") -> Json:
    receipt = f"https://pay.stripe.com/receipts/payment/{world.dice.identifier('CAca', 40)}"
    return {"outcome": _OUTCOME, "paid": True, "receipt_url": receipt}


def _body(world: "World", intent: Json, method: "PaymentMethod") -> Json:
    prefix = "ch" if method.card.type == "card" else "py"
    return {
        "id": world.dice.identifier(prefix),
        "object": "charge",
        **dict.fromkeys(_UNSET),
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "billing_details": method.body["billing_details"],
        "calculated_statement_descriptor": "PRETEND COMPANY",
        "captured": False,
        "created": world.now,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method.id,
        "payment_method_details": _details(method.body, intent["amount"]),
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "refunded": False,
        "shipping": intent["shipping"],
        "status": "pending",
        HIDDEN: intent[HIDDEN],
    }


def _details(method: Json, amount: int) -> Json:
    """How it was paid: the card as it stood, and what the network said of it."""
    kind = method["type"]
    details = _DETAILS[kind](method[kind], amount)
    return {kind: details, "type": kind}


def _card_details(card: Json, amount: int) -> Json:
    copied = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4", "regulated_status")
    return {name: card[name] for name in copied} | {
        "amount_authorized": amount,
        "authorization_code": "123456",
        "checks": card["checks"],
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": "104102101010101",
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "three_d_secure": None,
        "wallet": None,
    }


def _bank_account_details(account: Json, _: int) -> Json:
    copied = ("account_holder_type", "account_type", "bank_name", "fingerprint", "last4", "routing_number")
    return {name: account[name] for name in copied} | {"payment_reference": None}


def _sepa_details(account: Json, _: int) -> Json:
    copied = ("bank_code", "branch_code", "country", "fingerprint", "last4")
    return {name: account[name] for name in copied} | {"mandate": None}


_DETAILS: Final[dict[str, Any]] = {
    "card": _card_details,
    "us_bank_account": _bank_account_details,
    "sepa_debit": _sepa_details,
}
