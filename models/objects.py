"""Objects: what Stripe shows us of everything but subscriptions, the same for every API version.

One class for each kind of object, with what we read of it and nothing else: no names, no addresses, no card numbers.
Each says which other objects it names (`links`), how far along it is (`rank`, for facts of one second), and whether it
has ended.  (https://docs.stripe.com/api)
"""

from enum import StrEnum
from functools import cached_property
from typing import ClassVar, Final, TypeAlias

from models.base import Identifier, Moment, Value
from models.lines import FIRST, LineState
from models.money import Currency

AFTER_ALL: Final = 1_000_000_000
"""The rank of what deletes its object: nothing of that second comes after it."""

STEP: Final = 1_000_000
"""One rank of a status; below it is room for a count that rises within the status."""


class Kind(StrEnum):
    """Stripe's `object`, where we read it."""

    PAYMENT_INTENT = "payment_intent"
    CHARGE = "charge"
    REFUND = "refund"
    DISPUTE = "dispute"
    INVOICE = "invoice"
    INVOICE_PAYMENT = "invoice_payment"
    CHECKOUT_SESSION = "checkout.session"
    FRAUD_WARNING = "radar.early_fraud_warning"
    CUSTOMER = "customer"
    PAYMENT_METHOD = "payment_method"
    PRODUCT = "product"
    PRICE = "price"
    SCHEDULE = "subscription_schedule"


OF_PAYMENTS: Final = frozenset(
    {
        Kind.PAYMENT_INTENT,
        Kind.CHARGE,
        Kind.REFUND,
        Kind.DISPUTE,
        Kind.INVOICE,
        Kind.INVOICE_PAYMENT,
        Kind.CHECKOUT_SESSION,
        Kind.FRAUD_WARNING,
    }
)
"""The kinds that tell of a payment.  Each belongs to somebody, whether or not it says to whom."""


class _Object(LineState, frozen=True, kw_only=True, tag_field="kind"):
    """What all of them have."""

    kind: ClassVar[Kind]

    livemode: bool

    @property
    def links(self) -> tuple[str, ...]:
        """The ids of the other objects of its payment that it names."""
        return ()

    @property
    def rank(self) -> int:
        """How far along it is."""
        return FIRST + 1


def _named(*ids: str | None) -> tuple[str, ...]:
    return tuple(one for one in ids if one)


_INTENT_RANKS: Final = {
    "requires_payment_method": 0,
    "requires_confirmation": 1,
    "requires_action": 2,
    "processing": 3,
    "requires_capture": 5,
    "canceled": 6,
    "succeeded": 6,
}
_FAILED_INTENT_RANK: Final = 4


class PaymentIntent(_Object, frozen=True, kw_only=True, tag=Kind.PAYMENT_INTENT.value):
    """An attempt to be paid once, however many charges it takes."""

    kind: ClassVar[Kind] = Kind.PAYMENT_INTENT
    status: str
    currency: Currency
    amount_minor: int
    amount_received_minor: int
    latest_charge_id: Identifier | None
    invoice_id: Identifier | None  # Before basil, and in the newest versions, as the order that it pays.
    error_code: str | None
    purpose: str | None  # `metadata.kind`: what the platform sells with it.
    created_at: Moment

    @property
    def failed(self) -> bool:
        """Whether the last try was declined and a new one is wanted."""
        return self.status == "requires_payment_method" and self.error_code is not None

    @property
    def ended(self) -> bool:
        """Whether nothing more can come of it."""
        return self.status in {"succeeded", "canceled"}

    @property
    def rank(self) -> int:
        """By its status; a declined one comes behind what it had to go through."""
        status_rank = _FAILED_INTENT_RANK if self.failed else _INTENT_RANKS.get(self.status, 0)
        return (1 + status_rank) * STEP

    @property
    def links(self) -> tuple[str, ...]:
        """Its charge and its invoice."""
        return _named(self.latest_charge_id, self.invoice_id)


class Charge(_Object, frozen=True, kw_only=True, tag=Kind.CHARGE.value):
    """One try at a card or a bank account, and what was given back of it."""

    kind: ClassVar[Kind] = Kind.CHARGE
    status: str
    currency: Currency
    amount_minor: int
    amount_captured_minor: int
    amount_refunded_minor: int
    payment_intent_id: Identifier | None
    invoice_id: Identifier | None  # Before basil only.
    failure_code: str | None
    purpose: str | None
    created_at: Moment

    @property
    def rank(self) -> int:
        """Pending before settled."""
        return (1 if self.status == "pending" else 2) * STEP

    @property
    def tie(self) -> int:
        """The running total only falls when a refund fails, and that is days later."""
        return self.amount_refunded_minor

    @property
    def links(self) -> tuple[str, ...]:
        """Its intent and its invoice."""
        return _named(self.payment_intent_id, self.invoice_id)


_REFUND_RANKS: Final = {"pending": 0, "requires_action": 1, "succeeded": 2, "failed": 3, "canceled": 3}


class Refund(_Object, frozen=True, kw_only=True, tag=Kind.REFUND.value):
    """Money on its way back.  One that succeeded may still fail, days later."""

    kind: ClassVar[Kind] = Kind.REFUND
    status: str
    currency: Currency
    amount_minor: int
    charge_id: Identifier | None
    payment_intent_id: Identifier | None
    reason: str | None
    failure_reason: str | None
    created_at: Moment

    @property
    def live(self) -> bool:
        """Whether the money went, or goes."""
        return not self.ended

    @property
    def ended(self) -> bool:
        """Whether it came to nothing: that is final."""
        return self.status in {"failed", "canceled"}

    @property
    def rank(self) -> int:
        """By its status."""
        return (1 + _REFUND_RANKS.get(self.status, 0)) * STEP

    @property
    def links(self) -> tuple[str, ...]:
        """What it takes back."""
        return _named(self.charge_id, self.payment_intent_id)


_DISPUTE_RANKS: Final = {
    "warning_needs_response": 0,
    "warning_under_review": 1,
    "needs_response": 2,
    "under_review": 3,
    "warning_closed": 4,
    "won": 4,
    "lost": 4,
}


class Dispute(_Object, frozen=True, kw_only=True, tag=Kind.DISPUTE.value):
    """A cardholder's bank asks for the money back, or only asks."""

    kind: ClassVar[Kind] = Kind.DISPUTE
    status: str
    currency: Currency
    amount_minor: int
    withdrawn_minor: int  # What was taken from the balance and not given back, fees apart.
    fee_minor: int
    transactions: int  # How often money moved for it: never fewer than before.
    charge_id: Identifier | None
    payment_intent_id: Identifier | None
    reason: str | None
    due_by: Moment | None
    created_at: Moment

    @property
    def ended(self) -> bool:
        """Whether it is decided."""
        return self.status in {"won", "lost", "warning_closed"}

    @property
    def rank(self) -> int:
        """By its status, then by how often money moved."""
        return (1 + _DISPUTE_RANKS.get(self.status, 0)) * STEP + min(self.transactions, STEP - 1)

    @property
    def links(self) -> tuple[str, ...]:
        """What is disputed."""
        return _named(self.charge_id, self.payment_intent_id)


_INVOICE_RANKS: Final = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}


class Invoice(_Object, frozen=True, kw_only=True, tag=Kind.INVOICE.value):
    """What is owed, and whether it was paid."""

    kind: ClassVar[Kind] = Kind.INVOICE
    status: str
    currency: Currency
    subscription_id: Identifier | None
    billing_reason: str | None
    total_minor: int
    tax_minor: int
    discount_minor: int
    amount_due_minor: int
    amount_paid_minor: int
    amount_remaining_minor: int
    attempt_count: int
    next_attempt_at: Moment | None
    payment_intent_ids: tuple[Identifier, ...]  # Before basil, and where `payments` are shown.
    charge_id: Identifier | None  # Before basil only.
    created_at: Moment
    paid_at: Moment | None

    @property
    def ended(self) -> bool:
        """Whether nothing more is owed.  One that was written off may still be paid."""
        return self.status in {"paid", "void"}

    @property
    def rank(self) -> int:
        """By its status, then by how often it was tried."""
        return (1 + _INVOICE_RANKS.get(self.status, 0)) * STEP + min(self.attempt_count, STEP - 1)

    @property
    def links(self) -> tuple[str, ...]:
        """What paid it."""
        return (*self.payment_intent_ids, *_named(self.charge_id))


class InvoicePayment(_Object, frozen=True, kw_only=True, tag=Kind.INVOICE_PAYMENT.value):
    """Which intent pays which invoice: since basil nothing else tells."""

    kind: ClassVar[Kind] = Kind.INVOICE_PAYMENT
    status: str
    invoice_id: Identifier
    payment_intent_id: Identifier | None
    charge_id: Identifier | None
    amount_paid_minor: int | None

    @property
    def ended(self) -> bool:
        """Whether it is decided."""
        return self.status in {"paid", "canceled"}

    @property
    def links(self) -> tuple[str, ...]:
        """Both sides."""
        return _named(self.invoice_id, self.payment_intent_id, self.charge_id)


class CheckoutSession(_Object, frozen=True, kw_only=True, tag=Kind.CHECKOUT_SESSION.value):
    """A page of Stripe's on which somebody pays, subscribes, or leaves."""

    kind: ClassVar[Kind] = Kind.CHECKOUT_SESSION
    mode: str
    status: str
    payment_status: str
    currency: Currency | None
    total_minor: int | None
    tax_minor: int
    discount_minor: int
    payment_intent_id: Identifier | None
    invoice_id: Identifier | None
    subscription_id: Identifier | None
    purpose: str | None
    created_at: Moment

    @property
    def ended(self) -> bool:
        """Whether the page is closed.  The money may still be on its way."""
        return self.status in {"complete", "expired"}

    @property
    def rank(self) -> int:
        """Open before closed, unpaid before paid."""
        return (2 if self.ended else 1) * STEP + (0 if self.payment_status == "unpaid" else 1)

    @property
    def links(self) -> tuple[str, ...]:
        """What came of it."""
        return _named(self.payment_intent_id, self.invoice_id)


class FraudWarning(_Object, frozen=True, kw_only=True, tag=Kind.FRAUD_WARNING.value):
    """A card network believes that a charge is fraud; nobody has asked for the money yet."""

    kind: ClassVar[Kind] = Kind.FRAUD_WARNING
    charge_id: Identifier
    payment_intent_id: Identifier | None
    fraud_type: str | None
    actionable: bool

    @property
    def links(self) -> tuple[str, ...]:
        """What it warns of."""
        return _named(self.charge_id, self.payment_intent_id)


class CustomerProfile(_Object, frozen=True, kw_only=True, tag=Kind.CUSTOMER.value):
    """A customer, as far as it is nobody's secret."""

    kind: ClassVar[Kind] = Kind.CUSTOMER
    default_payment_method_id: Identifier | None
    delinquent: bool
    deleted: bool
    created_at: Moment | None  # None: it was deleted before anybody showed it to us.

    @property
    def ended(self) -> bool:
        """Whether it was deleted: a late update does not bring it back."""
        return self.deleted


class PaymentMethod(_Object, frozen=True, kw_only=True, tag=Kind.PAYMENT_METHOD.value):
    """How somebody pays: what a receipt would show of a card, and no more."""

    kind: ClassVar[Kind] = Kind.PAYMENT_METHOD
    type: str
    customer_id: Identifier | None  # None: detached.
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None


class Product(_Object, frozen=True, kw_only=True, tag=Kind.PRODUCT.value):
    """Something that is sold."""

    kind: ClassVar[Kind] = Kind.PRODUCT
    active: bool
    plan: str | None  # `metadata.plan`.


class Price(_Object, frozen=True, kw_only=True, tag=Kind.PRICE.value):
    """For how much it is sold."""

    kind: ClassVar[Kind] = Kind.PRICE
    active: bool
    lookup_key: Identifier | None
    product_id: Identifier | None
    currency: Currency
    unit_amount_minor: int | None
    interval: str | None
    interval_count: int | None
    plan: str | None  # `metadata.plan`.


class Phase(Value, frozen=True, kw_only=True):
    """One part of a schedule: which prices from when to when."""

    starts_at: Moment
    ends_at: Moment | None
    price_ids: tuple[Identifier, ...]


class Schedule(_Object, frozen=True, kw_only=True, tag=Kind.SCHEDULE.value):
    """What will change in a subscription, and when."""

    kind: ClassVar[Kind] = Kind.SCHEDULE
    status: str
    subscription_id: Identifier | None
    phases: tuple[Phase, ...]

    @property
    def ended(self) -> bool:
        """Whether it changes nothing any more."""
        return self.status in {"completed", "released", "canceled"}


State: TypeAlias = (
    PaymentIntent
    | Charge
    | Refund
    | Dispute
    | Invoice
    | InvoicePayment
    | CheckoutSession
    | FraudWarning
    | CustomerProfile
    | PaymentMethod
    | Product
    | Price
    | Schedule
)


class ObjectSeen(Value, frozen=True, kw_only=True, dict=True):
    """What one event shows: the object after the change and, where Stripe told it, before."""

    object_id: Identifier
    after: State
    before: State | None

    @cached_property
    def touched(self) -> tuple[str, ...]:
        """The ids of the pieces that it touches: what it shows, and what that names or named."""
        if self.after.kind not in OF_PAYMENTS:
            return (self.object_id,)
        before = self.before.links if self.before else ()
        return tuple(dict.fromkeys((self.object_id, *self.after.links, *before)))

    def rank(self, fact_type: str) -> int:
        """Where the fact stands within its second."""
        if self.after.kind in OF_PAYMENTS:
            return self.after.rank
        return {"created": FIRST, "deleted": AFTER_ALL}.get(fact_type.rpartition(".")[2], self.after.rank)
