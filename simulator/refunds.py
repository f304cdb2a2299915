"""Refunds: money that goes back, whole or in part, again and again; and now and then does not arrive."""

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.balance_transactions import BalanceTransaction
from simulator.clock import DAY_SECONDS
from simulator.happenings import Json
from simulator.refusals import Refused, invalid, missing
from simulator.things import Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.charges import Charge
    from simulator.world import World

DEAD: Final = frozenset({"failed", "canceled"})
PENDING_SECONDS: Final = 3 * DAY_SECONDS

_NOTHING: Final[Json] = {}


class Refund(Thing):
    """One refund of one charge."""

    kind: ClassVar[str] = "refund"

    def __init__(self, charge: "Charge", body: Json) -> None:
        super().__init__(charge.world, body)
        self.charge = charge

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        charge: str | None = None,
        payment_intent: str | None = None,
        amount: int | None = None,
        reason: str | None = None,
        metadata: Json | None = None,
    ) -> Self:
        """Give back *amount*, or all that is left."""
        return cls.of(_charge_of(world, charge, payment_intent), amount, reason=reason, metadata=metadata)

    @classmethod
    def of(
        cls, charge: "Charge", amount: int | None = None, *, reason: str | None = None, metadata: Json | None = None
    ) -> Self:
        """Give back *amount* of *charge*, or all that is left."""
        _check_refundable(charge)
        given = charge.refundable_minor if amount is None else amount
        if not 0 < given <= charge.refundable_minor:
            raise _too_much(charge, given)
        fate = charge.method.card.refund
        refund = cls(
            charge, _body(charge, given, reason, metadata, status="pending" if fate == "pending" else "succeeded")
        )
        refund._book(-given)
        refund.world.record("refund.created", refund.body, by_request=True)
        charge.give_back(given)
        _settle_warnings(charge)
        if fate:
            refund.world.later(PENDING_SECONDS, refund.fail if fate == "failed" else refund.succeed)
        return refund

    @property
    def status(self) -> str:
        """Stripe's word for how it stands."""
        return str(self.body["status"])

    def update(self, *, metadata: Json | None = _NOTHING) -> None:
        """Change what is written on it."""
        self._change("refund.updated", metadata=merged_metadata(self.body["metadata"], metadata))

    def succeed(self) -> None:
        """The money has arrived."""
        if self.status == "pending":
            self._change("refund.updated", status="succeeded")

    def fail(self, reason: str = "lost_or_stolen_card") -> None:
        """The money came back: the charge's running total goes down again."""
        if self.status not in DEAD:
            self._undo("refund.failed", status="failed", failure_reason=reason)

    def cancel(self) -> None:
        """Take it back, while it has not arrived."""
        if self.status not in {"pending", "requires_action"}:
            raise Refused(f"You cannot cancel a refund that is {self.status}.", code="refund_not_cancelable")
        self._undo("refund.updated", status="canceled")

    def _undo(self, event_type: str, **changes: Any) -> None:
        back = BalanceTransaction.book(
            self.world, "refund_failure", self.body["amount"], self.body["currency"], self.id
        )
        self.charge.take_back(self.body["amount"])
        self._change(event_type, failure_balance_transaction=back.id, **changes)

    def _change(self, event_type: str, **changes: Any) -> None:
        """Every change is told twice: as a refund's, and as of old as a charge's."""
        before = self.body
        kept = (
            before.items() if "status" not in changes else [one for one in before.items() if one[0] != "pending_reason"]
        )
        self.body = dict(kept) | changes
        self.world.record(event_type, self.body, before if event_type.endswith("updated") else None)
        self.world.record("charge.refund.updated", self.body, before)

    def _book(self, amount: int) -> None:
        kind = "refund" if self.charge.method.card.type == "card" else "payment_refund"
        moved = BalanceTransaction.book(self.world, kind, amount, self.body["currency"], self.id)
        self.become(balance_transaction=moved.id)


def _settle_warnings(charge: "Charge") -> None:
    """Nothing is left to be done about a charge that was given back."""
    if charge.body["refunded"]:
        for warning in charge.world.shelf.all("radar.early_fraud_warning"):
            if warning.body["charge"] == charge.id:
                warning.settle()


def _charge_of(world: "World", charge_id: str | None, intent_id: str | None) -> "Charge":
    if intent_id:
        intent = world.shelf.get("payment_intent", intent_id)
        if intent is None:
            raise missing("payment_intent", intent_id, "payment_intent")
        charge_id = intent.body["latest_charge"]
        if charge_id is None:
            raise invalid(
                f"This PaymentIntent ({intent_id}) does not have a successful charge to refund.", "payment_intent"
            )
    if charge_id is None:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    charge: Charge | None = world.shelf.get("charge", charge_id)
    if charge is None:
        raise missing("charge", charge_id, "charge")
    return charge


def _check_refundable(charge: "Charge") -> None:
    if charge.body["status"] != "succeeded" or not charge.body["captured"]:
        raise invalid("This charge has not been paid, and so it cannot be refunded.", "charge")
    if charge.body["refunded"]:
        raise Refused(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    disputes = (one for one in charge.world.shelf.all("dispute") if one.charge is charge)
    if any(not one.body["is_charge_refundable"] and one.status != "won" for one in disputes):
        raise Refused(f"Charge {charge.id} has been charged back; cannot issue a refund.", code="charge_disputed")


def _too_much(charge: "Charge", amount: int) -> Refused:
    if amount <= 0:
        return Refused(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount"
        )
    left = charge.refundable_minor
    return Refused(f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount")


def _body(charge: "Charge", amount: int, reason: str | None, metadata: Json | None, *, status: str) -> Json:
    world = charge.world
    details: Json = {"type": charge.method.card.type}
    if details["type"] == "card":
        details["card"] = {
            "reference_status": "pending",
            "reference_type": "acquirer_reference_number",
            "type": "refund",
        }
    body = {
        "id": world.dice.identifier("re" if charge.method.card.type == "card" else "pyr"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge.id,
        "created": world.now,
        "currency": charge.body["currency"],
        "destination_details": details,
        "metadata": merged_metadata({}, metadata),
        "payment_intent": charge.body["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }
    return body | ({"pending_reason": "processing"} if status == "pending" else {})
