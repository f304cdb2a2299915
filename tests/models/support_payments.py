"""Payments as tests write them: the objects of one cause in every shape, and the facts that come of them."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final

from tests.models.support_facts import BASIL, BEFORE_BASIL, NOON, Json

NEWEST: Final = "2026-10-28.endive"
PAYMENT_SHAPES: Final = (BEFORE_BASIL, BASIL, NEWEST)
DAY: Final = 24 * 60 * 60


def intent(**changes: Any) -> Json:
    """A payment intent of cus_1's for in_1, in the newest shape; `_invoice` is what older shapes show."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 2900,
        "amount_received": 0,
        "created": NOON,
        "currency": "usd",
        "customer": "cus_1",
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "status": "requires_payment_method",
        "_invoice": "in_1",
    } | changes


def charge(**changes: Any) -> Json:
    """A charge of that intent."""
    return {
        "id": "ch_1",
        "object": "charge",
        "amount": 2900,
        "amount_captured": 2900,
        "amount_refunded": 0,
        "captured": True,
        "created": NOON + 5,
        "currency": "usd",
        "customer": "cus_1",
        "failure_code": None,
        "livemode": False,
        "metadata": {},
        "payment_intent": "pi_1",
        "refunded": False,
        "status": "succeeded",
        "_invoice": "in_1",
    } | changes


def invoice(**changes: Any) -> Json:
    """An invoice of sub_1 for that intent."""
    return {
        "id": "in_1",
        "object": "invoice",
        "amount_due": 2900,
        "amount_paid": 0,
        "amount_remaining": 2900,
        "attempt_count": 0,
        "billing_reason": "subscription_cycle",
        "created": NOON,
        "currency": "usd",
        "customer": "cus_1",
        "livemode": False,
        "next_payment_attempt": None,
        "parent": {"subscription_details": {"subscription": "sub_1"}, "type": "subscription_details"},
        "status": "draft",
        "status_transitions": {"paid_at": None},
        "total": 2900,
        "total_discount_amounts": [{"amount": 100, "discount": "di_1"}],
        "total_taxes": [{"amount": 300, "tax_behavior": "inclusive"}],
        "_charge": None,
        "_payment_intent": "pi_1",
    } | changes


def invoice_payment(**changes: Any) -> Json:
    """What tells since basil which intent paid which invoice; it names no customer."""
    return {
        "id": "inpay_1",
        "object": "invoice_payment",
        "amount_paid": 2900,
        "amount_requested": 2900,
        "created": NOON,
        "currency": "usd",
        "invoice": "in_1",
        "livemode": False,
        "payment": {"payment_intent": "pi_1", "type": "payment_intent"},
        "status": "paid",
    } | changes


def refund(**changes: Any) -> Json:
    """A refund of that charge; it names no customer."""
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 500,
        "charge": "ch_1",
        "created": NOON + DAY,
        "currency": "usd",
        "payment_intent": "pi_1",
        "reason": "requested_by_customer",
        "status": "succeeded",
    } | changes


def dispute(**changes: Any) -> Json:
    """A dispute of that charge; it names no customer."""
    return {
        "id": "dp_1",
        "object": "dispute",
        "amount": 2900,
        "balance_transactions": [],
        "charge": "ch_1",
        "created": NOON + 9 * DAY,
        "currency": "usd",
        "evidence_details": {"due_by": NOON + 20 * DAY},
        "livemode": False,
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": "needs_response",
    } | changes


def session(**changes: Any) -> Json:
    """A Checkout session of a guest whom the platform named, for that intent."""
    return {
        "id": "cs_1",
        "object": "checkout.session",
        "amount_total": 950,
        "client_reference_id": "P1",
        "created": NOON,
        "currency": "usd",
        "customer": None,
        "invoice": None,
        "livemode": False,
        "metadata": {"kind": "credits"},
        "mode": "payment",
        "payment_intent": "pi_1",
        "payment_link": None,
        "payment_status": "paid",
        "status": "complete",
        "subscription": None,
        "total_details": {"amount_discount": 50, "amount_tax": 0},
    } | changes


class Told:
    """What Stripe tells of one cause, event by event, each object's change against what was told of it before."""

    def __init__(self, shape: str = BASIL) -> None:
        self.events: list[Json] = []
        self._shape = shape
        self._before: dict[str, Json] = {}

    def tell(self, kind: str, body: Json, *, after_seconds: int = 0) -> "Told":
        """One event of type *kind* that shows *body*, so many seconds after noon."""
        shown = shaped(body, self._shape)
        data: Json = {"object": shown}
        before = self._before.get(body["id"])
        if before is not None and kind.rpartition(".")[2] in {"updated", "refunded", "funds_withdrawn"}:
            data["previous_attributes"] = {key: old for key, old in before.items() if old != shown.get(key)}
        self._before[body["id"]] = shown
        self.events.append(
            {
                "id": f"evt_{len(self.events):02}",
                "object": "event",
                "api_version": self._shape,
                "created": NOON + after_seconds,
                "livemode": False,
                "type": kind,
                "data": data,
            }
        )
        return self


def shaped(body: Json, shape: str) -> Json:
    """The object as an endpoint of that API version shows it."""
    shown = deepcopy({key: value for key, value in body.items() if not key.startswith("_")})
    if shape != BEFORE_BASIL:
        return shown
    if body["object"] in {"payment_intent", "charge"}:
        return shown | {"invoice": body["_invoice"]}
    if body["object"] == "invoice":
        parent, taxes = shown.pop("parent"), shown.pop("total_taxes")
        return shown | {
            "charge": body["_charge"],
            "payment_intent": body["_payment_intent"],
            "subscription": (parent or {}).get("subscription_details", {}).get("subscription"),
            "tax": sum(one["amount"] for one in taxes),
            "total_tax_amounts": taxes,
        }
    return shown


def subscription_paid(shape: str) -> list[Json]:
    """Declined once, then paid, all of it with ties."""
    told = Told(shape)
    told.tell("invoice.created", invoice())
    told.tell("payment_intent.created", intent())
    told.tell("invoice.finalized", invoice(status="open"))
    told.tell("charge.failed", charge(id="ch_0", status="failed", amount_captured=0, failure_code="card_declined"))
    declined = {"latest_charge": "ch_0", "last_payment_error": {"code": "card_declined"}}
    told.tell("payment_intent.payment_failed", intent(**declined))
    told.tell("invoice.payment_failed", invoice(status="open", attempt_count=1, next_payment_attempt=NOON + DAY))
    told.tell("charge.succeeded", charge(), after_seconds=5)
    paid = intent(status="succeeded", amount_received=2900, latest_charge="ch_1")
    told.tell("payment_intent.succeeded", paid, after_seconds=5)
    settled = {
        "status": "paid",
        "attempt_count": 2,
        "amount_paid": 2900,
        "amount_remaining": 0,
        "status_transitions": {"paid_at": NOON + 5},
        "_charge": "ch_1",
    }
    told.tell("invoice.paid", invoice(**settled), after_seconds=5)
    told.tell("invoice.payment_succeeded", invoice(**settled), after_seconds=5)
    if shape != BEFORE_BASIL:
        told.tell("invoice_payment.paid", invoice_payment(), after_seconds=5)
    return told.events


def refunded_and_disputed(shape: str) -> list[Json]:
    """Refunded twice, once in vain; then disputed, and won."""
    told = Told(shape)
    told.events += subscription_paid(shape)
    told._before["ch_1"] = shaped(charge(), shape)
    told.tell("charge.refunded", charge(amount_refunded=500), after_seconds=DAY)
    told.tell("refund.created", refund(), after_seconds=DAY)
    told.tell("charge.refunded", charge(amount_refunded=1400), after_seconds=DAY)
    told.tell("refund.created", refund(id="re_2", amount=900), after_seconds=DAY)
    told.tell("refund.failed", refund(id="re_2", amount=900, status="failed"), after_seconds=3 * DAY)
    told.tell("charge.dispute.created", dispute(), after_seconds=9 * DAY)
    taken = [{"amount": -2900, "currency": "usd", "fee": 1500}]
    told.tell("charge.dispute.funds_withdrawn", dispute(balance_transactions=taken), after_seconds=9 * DAY)
    given_back = [*taken, {"amount": 2900, "currency": "usd", "fee": 0}]
    won = dispute(status="won", balance_transactions=given_back)
    told.tell("charge.dispute.funds_reinstated", won, after_seconds=30 * DAY)
    told.tell("charge.dispute.closed", won, after_seconds=30 * DAY)
    return told.events


def credits_of_a_guest(shape: str) -> list[Json]:
    """A pack of credits, bought by somebody whom Stripe has no customer for; only the session says who."""
    told, kind = Told(shape), {"kind": "credits", "credits": "1000"}
    of_guest = {"customer": None, "metadata": kind, "amount": 950, "_invoice": None}
    told.tell("payment_intent.created", intent(**of_guest))
    told.tell("charge.succeeded", charge(**of_guest, amount_captured=950))
    succeeded = intent(**of_guest, status="succeeded", amount_received=950, latest_charge="ch_1")
    told.tell("payment_intent.succeeded", succeeded)
    told.tell("checkout.session.completed", session(), after_seconds=1)
    told.tell("charge.refunded", charge(**of_guest, amount_captured=950, amount_refunded=950), after_seconds=DAY)
    told.tell("refund.created", refund(amount=950), after_seconds=DAY)
    return told.events


def without_an_intent(shape: str) -> list[Json]:
    """An invoice that was paid out of band."""
    told, lone = Told(shape), {"_payment_intent": None}
    told.tell("invoice.created", invoice(**lone))
    told.tell("invoice.finalized", invoice(**lone, status="open"))
    paid = {"status": "paid", "amount_paid": 2900, "amount_remaining": 0, "status_transitions": {"paid_at": NOON + 7}}
    told.tell("invoice.paid", invoice(**lone, **paid), after_seconds=7)
    return told.events


STORIES: Final = {
    "a subscription is paid": subscription_paid,
    "refunded and disputed": refunded_and_disputed,
    "credits of a guest": credits_of_a_guest,
    "without an intent": without_an_intent,
}


def stories() -> Iterator[tuple[str, list[Json]]]:
    """Every story in every shape."""
    for name, story in STORIES.items():
        for shape in PAYMENT_SHAPES:
            yield f"{name}, {shape}", story(shape)
