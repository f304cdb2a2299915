"""Theirs: the slices of everything but subscriptions, from every shape that Stripe has sent it in.

Before API version 2025-03-31.basil an invoice names its payment intent, its charge and its subscription, and an intent
and a charge name their invoice; since then `parent` names the subscription and `invoice_payment.paid` tells the rest.
An object may be shown by its id or whole.  A status that we do not know is kept as Stripe says it.
(https://docs.stripe.com/changelog/basil, https://docs.stripe.com/upgrades)
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, Literal, TypeVar

from msgspec import convert
from msgspec.json import Decoder
from pydantic_core import from_json

from models import objects
from models.base import Identifier
from models.money import Currency, known_currency
from models.objects import Kind, ObjectSeen, State
from models.stripe_answers import is_answer
from models.stripe_slices import Count, Minor, Reference, Second, StripeSlice, Whole, id_of, moment, read_usual

PREFIXES: Final = (
    *("payment_intent.", "charge.", "refund.", "invoice.", "invoice_payment.", "checkout.session."),
    *("radar.early_fraud_warning.", "payment_method.", "product.", "price.", "subscription_schedule."),
)
"""What the types of facts begin with that show such an object."""

UPCOMING: Final = "invoice.upcoming"
WITHOUT_OBJECT: Final = frozenset({UPCOMING, "invoice.will_be_due", "invoice.overdue"})
"""A preview is no object yet (`models.upcoming_invoices`), and the other two tell what the invoice's own events do."""

CUSTOMER_TYPES: Final = frozenset({"customer.created", "customer.updated", "customer.deleted"})
_INVOICE_ID: Final = re.compile(r"in_[A-Za-z0-9_]{1,250}")

ShownT = TypeVar("ShownT", bound="_Shown")
ObjectT = TypeVar("ObjectT")


class _Shown(StripeSlice, frozen=True, kw_only=True):
    """What an event may show."""

    id: Identifier
    object: str


class _Priced(_Shown, frozen=True, kw_only=True):
    """What an event may show that has a price."""

    currency: Currency

    def __post_init__(self) -> None:
        """Raises ValueError where Stripe charges in no such currency."""
        known_currency(self.currency)


class _Metadata(StripeSlice, frozen=True, kw_only=True):
    kind: Any = None
    plan: Any = None


class _Error(StripeSlice, frozen=True, kw_only=True):
    code: str | None = None
    decline_code: str | None = None


class _Charges(StripeSlice, frozen=True, kw_only=True):
    data: tuple[Reference, ...] = ()


class _PaymentDetails(StripeSlice, frozen=True, kw_only=True):
    order_reference: str | None = None


class _PaymentIntent(_Priced, frozen=True, kw_only=True):
    status: str
    amount: Minor
    amount_received: Minor | None = None
    latest_charge: Reference | None = None
    charges: _Charges | None = None  # Until 2022-11-15.
    invoice: Reference | None = None
    payment_details: _PaymentDetails | None = None
    last_payment_error: _Error | None = None
    metadata: _Metadata | None = None
    created: Second
    livemode: bool


_OLD_INTENT_STATUSES: Final = {
    "requires_source": "requires_payment_method",
    "requires_source_action": "requires_action",
}
"""Until 2019-02-11."""


def _payment_intent(seen: _PaymentIntent) -> objects.PaymentIntent:
    charges = [id_of(one) for one in seen.charges.data] if seen.charges else []
    error = seen.last_payment_error
    return objects.PaymentIntent(
        status=_OLD_INTENT_STATUSES.get(seen.status, seen.status),
        currency=seen.currency,
        amount_minor=seen.amount,
        amount_received_minor=seen.amount_received or 0,
        latest_charge_id=id_of(seen.latest_charge) or next(iter(charges), None),
        invoice_id=id_of(seen.invoice) or _ordered(seen.payment_details),
        error_code=(error.code or error.decline_code or "unknown") if error else None,
        purpose=_purpose(seen.metadata),
        created_at=moment(seen.created),
        livemode=seen.livemode,
    )


def _ordered(details: _PaymentDetails | None) -> str | None:
    """The invoice, where Stripe's own billing made the intent; others may write there what they like."""
    reference = details.order_reference if details else None
    return reference if reference and _INVOICE_ID.fullmatch(reference) else None


class _Charge(_Priced, frozen=True, kw_only=True):
    status: str = "succeeded"
    amount: Minor
    amount_captured: Minor | None = None
    amount_refunded: Minor = 0
    captured: bool | None = None
    payment_intent: Reference | None = None
    invoice: Reference | None = None
    failure_code: str | None = None
    metadata: _Metadata | None = None
    created: Second
    livemode: bool


def _charge(seen: _Charge) -> objects.Charge:
    taken = seen.amount_captured
    if taken is None:  # Until 2020 a charge only said whether.
        taken = 0 if seen.captured is False or seen.status != "succeeded" else seen.amount
    return objects.Charge(
        status=seen.status,
        currency=seen.currency,
        amount_minor=seen.amount,
        amount_captured_minor=taken,
        amount_refunded_minor=seen.amount_refunded,
        payment_intent_id=id_of(seen.payment_intent),
        invoice_id=id_of(seen.invoice),
        failure_code=seen.failure_code,
        purpose=_purpose(seen.metadata),
        created_at=moment(seen.created),
        livemode=seen.livemode,
    )


class _Refund(_Priced, frozen=True, kw_only=True):
    status: str | None = None
    amount: Minor
    charge: Reference | None = None
    payment_intent: Reference | None = None
    reason: str | None = None
    failure_reason: str | None = None
    created: Second


class _BalanceTransaction(StripeSlice, frozen=True, kw_only=True):
    amount: Minor
    currency: Currency | None = None
    fee: Minor = 0

    def __post_init__(self) -> None:
        """Raises ValueError where Stripe charges in no such currency."""
        if self.currency is not None:
            known_currency(self.currency)


class _EvidenceDetails(StripeSlice, frozen=True, kw_only=True):
    due_by: Second | None = None


class _Dispute(_Priced, frozen=True, kw_only=True):
    status: str
    amount: Minor
    balance_transactions: tuple[_BalanceTransaction, ...] = ()
    charge: Reference | None = None
    payment_intent: Reference | None = None
    reason: str | None = None
    evidence_details: _EvidenceDetails | None = None
    created: Second
    livemode: bool


def _dispute(seen: _Dispute) -> objects.Dispute:
    moved = seen.balance_transactions
    return objects.Dispute(
        status=seen.status,
        currency=seen.currency,
        amount_minor=seen.amount,
        withdrawn_minor=_withdrawn(seen),
        fee_minor=sum(one.fee for one in moved),
        transactions=len(moved),
        charge_id=id_of(seen.charge),
        payment_intent_id=id_of(seen.payment_intent),
        reason=seen.reason,
        due_by=moment(seen.evidence_details.due_by) if seen.evidence_details else None,
        created_at=moment(seen.created),
        livemode=seen.livemode,
    )


def _withdrawn(seen: _Dispute) -> int:
    """What is gone now, in the dispute's currency.  The balance may be in another; then all of it is gone, or none."""
    gone = max(0, -sum(one.amount for one in seen.balance_transactions))
    settled = {one.currency for one in seen.balance_transactions} - {None, seen.currency}
    return seen.amount if gone and settled else gone


class _Amount(StripeSlice, frozen=True, kw_only=True):
    amount: Minor


class _OfSubscription(StripeSlice, frozen=True, kw_only=True):
    subscription: Reference | None = None


class _Parent(StripeSlice, frozen=True, kw_only=True):
    subscription_details: _OfSubscription | None = None


class _Transitions(StripeSlice, frozen=True, kw_only=True):
    paid_at: Second | None = None


class _PaidWith(StripeSlice, frozen=True, kw_only=True):
    payment_intent: Reference | None = None
    charge: Reference | None = None


class _Payment(StripeSlice, frozen=True, kw_only=True):
    payment: _PaidWith


class _Payments(StripeSlice, frozen=True, kw_only=True):
    data: tuple[_Payment, ...] | None = None


class _Invoice(_Priced, frozen=True, kw_only=True):
    status: str | None = None
    paid: bool | None = None
    subscription: Reference | None = None
    parent: _Parent | None = None
    billing_reason: str | None = None
    total: Minor
    total_taxes: tuple[_Amount, ...] | None = None  # Since basil.
    total_tax_amounts: tuple[_Amount, ...] | None = None
    tax: Minor | None = None
    total_discount_amounts: tuple[_Amount, ...] | None = None
    amount_due: Minor
    amount_paid: Minor = 0
    amount_remaining: Minor = 0
    attempt_count: Count = 0
    next_payment_attempt: Second | None = None
    payment_intent: Reference | None = None
    charge: Reference | None = None
    payments: tuple[_Payment, ...] | _Payments | None = None
    status_transitions: _Transitions | None = None
    created: Second | None = None
    date: Second | None = None  # Until 2019-03-14.
    livemode: bool


class _Preview(_Invoice, frozen=True, kw_only=True):
    """An invoice that there is not yet."""

    id: Any = None
    object: Literal["invoice"]


def _invoice(seen: _Invoice) -> objects.Invoice:
    details = seen.parent.subscription_details if seen.parent else None
    payments = seen.payments.data if isinstance(seen.payments, _Payments) else seen.payments
    paid_with = [id_of(one.payment.payment_intent) for one in payments or ()]
    transitions = seen.status_transitions
    return objects.Invoice(
        status=seen.status or ("paid" if seen.paid else "open"),
        currency=seen.currency,
        subscription_id=id_of(seen.subscription) or (id_of(details.subscription) if details else None),
        billing_reason=seen.billing_reason,
        total_minor=seen.total,
        tax_minor=_tax(seen),
        discount_minor=_sum(seen.total_discount_amounts),
        amount_due_minor=seen.amount_due,
        amount_paid_minor=seen.amount_paid,
        amount_remaining_minor=seen.amount_remaining,
        attempt_count=seen.attempt_count,
        next_attempt_at=moment(seen.next_payment_attempt),
        payment_intent_ids=tuple(sorted({one for one in (id_of(seen.payment_intent), *paid_with) if one})),
        charge_id=id_of(seen.charge),
        created_at=moment(seen.created or seen.date or 0),
        paid_at=moment(transitions.paid_at) if transitions else None,
        livemode=seen.livemode,
    )


def _tax(seen: _Invoice) -> int:
    listed = seen.total_taxes if seen.total_taxes is not None else seen.total_tax_amounts
    return _sum(listed) if listed is not None else seen.tax or 0


def _sum(amounts: Sequence[_Amount] | None) -> int:
    return sum(one.amount for one in amounts or ())


class _InvoicePayment(_Shown, frozen=True, kw_only=True):
    status: str
    invoice: Reference
    payment: _PaidWith
    amount_paid: Minor | None = None
    livemode: bool


class _Totals(StripeSlice, frozen=True, kw_only=True):
    amount_tax: Minor = 0
    amount_discount: Minor = 0


class _CheckoutSession(_Shown, frozen=True, kw_only=True):
    mode: str
    status: str | None = None
    payment_status: str
    currency: Currency | None = None
    amount_total: Minor | None = None
    total_details: _Totals | None = None
    payment_intent: Reference | None = None
    invoice: Reference | None = None
    subscription: Reference | None = None
    metadata: _Metadata | None = None
    created: Second
    livemode: bool

    def __post_init__(self) -> None:
        """Raises ValueError where Stripe charges in no such currency."""
        if self.currency is not None:
            known_currency(self.currency)


def _checkout_session(seen: _CheckoutSession) -> objects.CheckoutSession:
    totals = seen.total_details or _Totals()
    return objects.CheckoutSession(
        mode=seen.mode,
        status=seen.status or "complete",
        payment_status=seen.payment_status,
        currency=seen.currency,
        total_minor=seen.amount_total,
        tax_minor=totals.amount_tax,
        discount_minor=totals.amount_discount,
        payment_intent_id=id_of(seen.payment_intent),
        invoice_id=id_of(seen.invoice),
        subscription_id=id_of(seen.subscription),
        purpose=_purpose(seen.metadata),
        created_at=moment(seen.created),
        livemode=seen.livemode,
    )


class _FraudWarning(_Shown, frozen=True, kw_only=True):
    charge: Reference
    payment_intent: Reference | None = None
    fraud_type: str | None = None
    actionable: bool = True
    livemode: bool


class _InvoiceSettings(StripeSlice, frozen=True, kw_only=True):
    default_payment_method: Reference | None = None


class _Customer(_Shown, frozen=True, kw_only=True):
    invoice_settings: _InvoiceSettings | None = None
    delinquent: bool | None = None
    created: Second | None = None  # Of a deleted one Stripe shows the id alone to who asks.


class _Card(StripeSlice, frozen=True, kw_only=True):
    brand: str | None = None
    last4: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None


class _PaymentMethod(_Shown, frozen=True, kw_only=True):
    type: str
    customer: Reference | None = None
    card: _Card | None = None
    livemode: bool


class _Product(_Shown, frozen=True, kw_only=True):
    active: bool = False  # Of a deleted one Stripe shows the id alone to who asks.
    metadata: _Metadata | None = None


class _Recurring(StripeSlice, frozen=True, kw_only=True):
    interval: str
    interval_count: int | None = None


class _Price(_Priced, frozen=True, kw_only=True):
    active: bool
    lookup_key: Identifier | None = None
    product: Reference | None = None
    unit_amount: Minor | None = None
    recurring: _Recurring | None = None
    metadata: _Metadata | None = None
    livemode: bool


class _PhaseItem(StripeSlice, frozen=True, kw_only=True):
    price: Reference | None = None
    plan: Reference | None = None


class _Phase(StripeSlice, frozen=True, kw_only=True):
    start_date: Second
    end_date: Second | None = None
    items: tuple[_PhaseItem, ...] = ()


class _Schedule(_Shown, frozen=True, kw_only=True):
    status: str
    subscription: Reference | None = None
    phases: tuple[_Phase, ...] = ()
    livemode: bool


def _refund(seen: _Refund, *, livemode: bool) -> objects.Refund:
    """A refund does not say its mode; its event does."""
    return objects.Refund(
        status=seen.status or "succeeded",  # Until 2019 there was none.
        currency=seen.currency,
        amount_minor=seen.amount,
        charge_id=id_of(seen.charge),
        payment_intent_id=id_of(seen.payment_intent),
        reason=seen.reason,
        failure_reason=seen.failure_reason,
        created_at=moment(seen.created),
        livemode=livemode,
    )


def _invoice_payment(seen: _InvoicePayment) -> objects.InvoicePayment:
    return objects.InvoicePayment(
        status=seen.status,
        invoice_id=id_of(seen.invoice),
        payment_intent_id=id_of(seen.payment.payment_intent),
        charge_id=id_of(seen.payment.charge),
        amount_paid_minor=seen.amount_paid,
        livemode=seen.livemode,
    )


def _fraud_warning(seen: _FraudWarning) -> objects.FraudWarning:
    return objects.FraudWarning(
        charge_id=id_of(seen.charge),
        payment_intent_id=id_of(seen.payment_intent),
        fraud_type=seen.fraud_type,
        actionable=seen.actionable,
        livemode=seen.livemode,
    )


def _customer(seen: _Customer, *, deleted: bool, livemode: bool) -> objects.CustomerProfile:
    settings = seen.invoice_settings
    return objects.CustomerProfile(
        default_payment_method_id=id_of(settings.default_payment_method) if settings else None,
        delinquent=bool(seen.delinquent),
        deleted=deleted,
        created_at=moment(seen.created),
        livemode=livemode,
    )


def _payment_method(seen: _PaymentMethod) -> objects.PaymentMethod:
    card = seen.card or _Card()
    return objects.PaymentMethod(
        type=seen.type,
        customer_id=id_of(seen.customer),
        brand=card.brand,
        last4=card.last4,
        exp_month=card.exp_month,
        exp_year=card.exp_year,
        livemode=seen.livemode,
    )


def _product(seen: _Product, *, livemode: bool) -> objects.Product:
    return objects.Product(active=seen.active, plan=_plan(seen.metadata), livemode=livemode)


def _price(seen: _Price) -> objects.Price:
    return objects.Price(
        active=seen.active,
        lookup_key=seen.lookup_key,
        product_id=id_of(seen.product),
        currency=seen.currency,
        unit_amount_minor=seen.unit_amount,
        interval=seen.recurring.interval if seen.recurring else None,
        interval_count=seen.recurring.interval_count if seen.recurring else None,
        plan=_plan(seen.metadata),
        livemode=seen.livemode,
    )


def _schedule(seen: _Schedule) -> objects.Schedule:
    return objects.Schedule(
        status=seen.status,
        subscription_id=id_of(seen.subscription),
        phases=tuple(
            objects.Phase(
                starts_at=moment(phase.start_date),
                ends_at=moment(phase.end_date),
                price_ids=tuple(one for item in phase.items if (one := id_of(item.price or item.plan))),
            )
            for phase in seen.phases
        ),
        livemode=seen.livemode,
    )


def _purpose(metadata: _Metadata | None) -> str | None:
    return metadata.kind if metadata and isinstance(metadata.kind, str) and metadata.kind else None


def _plan(metadata: _Metadata | None) -> str | None:
    return metadata.plan if metadata and isinstance(metadata.plan, str) and metadata.plan else None


class _Data(StripeSlice, Generic[ObjectT], frozen=True, kw_only=True):
    object: ObjectT
    previous_attributes: dict[str, Any] | None = None


class _Event(StripeSlice, Generic[ObjectT], frozen=True, kw_only=True):
    type: str = ""
    livemode: bool
    data: _Data[ObjectT]


class _Reader(Generic[ShownT]):
    """Reads one kind of object, by its slice."""

    def __init__(self, slice_: type[ShownT], made: Callable[[ShownT, _Event[Any]], State]) -> None:
        self._slice = slice_
        self._event: Decoder[_Event[ShownT]] = Decoder(_Event[slice_])  # type: ignore[valid-type]
        self._made = made

    def read(self, shown: Mapping[str, Any], event: _Event[Any]) -> State:
        """An object that an event shows; raises ValidationError."""
        return self._made(convert(shown, self._slice), event)

    def read_whole(self, raw: bytes, kind: Kind) -> ObjectSeen | None:
        """What an event shows that tells no change, and nothing of it made Python's that nobody reads.

        None for any event that is not just so, whatever is the matter with it.
        """
        event = read_usual(self._event, raw)
        if event is None:
            return None
        shown, previous = event.data.object, event.data.previous_attributes
        if previous is not None or shown.object != kind.value:
            return None
        return ObjectSeen(object_id=shown.id, after=self._made(shown, event), before=None)


def _by(slice_: type[ShownT], made: Callable[[ShownT], State]) -> _Reader[ShownT]:
    return _Reader(slice_, lambda shown, _: made(shown))


_READERS: Final[Mapping[Kind, _Reader[Any]]] = {
    Kind.PAYMENT_INTENT: _by(_PaymentIntent, _payment_intent),
    Kind.CHARGE: _by(_Charge, _charge),
    Kind.REFUND: _Reader(_Refund, lambda shown, event: _refund(shown, livemode=event.livemode)),
    Kind.DISPUTE: _by(_Dispute, _dispute),
    Kind.INVOICE: _by(_Invoice, _invoice),
    Kind.INVOICE_PAYMENT: _by(_InvoicePayment, _invoice_payment),
    Kind.CHECKOUT_SESSION: _by(_CheckoutSession, _checkout_session),
    Kind.FRAUD_WARNING: _by(_FraudWarning, _fraud_warning),
    Kind.CUSTOMER: _Reader(
        _Customer,
        lambda shown, event: _customer(shown, deleted=event.type == "customer.deleted", livemode=event.livemode),
    ),
    Kind.PAYMENT_METHOD: _by(_PaymentMethod, _payment_method),
    Kind.PRODUCT: _Reader(_Product, lambda shown, event: _product(shown, livemode=event.livemode)),
    Kind.PRICE: _by(_Price, _price),
    Kind.SCHEDULE: _by(_Schedule, _schedule),
}
assert set(_READERS) == set(Kind), "every kind can be read"

_OF_TYPE: Final[Mapping[str, Kind]] = {
    **{kind.value: kind for kind in Kind},
    "charge.dispute": Kind.DISPUTE,
    "charge.refund": Kind.REFUND,
}
"""What the facts show whose types begin with this, as a rule; the object itself says what it is."""

_KINDS: Final = frozenset(Kind)
_PREVIEW: Final = Decoder(_Event[_Preview])
_PREVIOUS: Final = b'"previous_attributes"'


def shows_object(fact_type: str) -> bool:
    """Whether a fact of this type shows an object of ours."""
    if fact_type in WITHOUT_OBJECT:
        return False
    return fact_type.startswith(PREFIXES) or fact_type in CUSTOMER_TYPES or is_answer(fact_type)


def read(fact_type: str, raw: bytes) -> ObjectSeen | None:
    """Read what an event shows; None when it is no object that we read.

    Raises ValidationError when it does not say what an object of its kind says.
    """
    kind = _OF_TYPE.get(fact_type.rpartition(".")[0])
    usual = _READERS[kind].read_whole(raw, kind) if kind and _PREVIOUS not in raw else None
    return usual or read_any(raw)


def read_any(raw: bytes) -> ObjectSeen | None:
    """The same, whatever it shows and however it is written; it alone decides what cannot be read."""
    event = convert(from_json(raw), _Event[dict[str, Any]])
    shown = event.data.object
    kind = shown.get("object")
    if not isinstance(kind, str) or kind not in _KINDS:
        return None
    reader = _READERS[Kind(kind)]
    previous = event.data.previous_attributes
    return ObjectSeen(
        object_id=convert(shown, Whole).id,
        after=reader.read(shown, event),
        before=reader.read(_put_back(shown, previous), event) if previous is not None else None,
    )


def read_nameless_invoice(raw: bytes) -> objects.Invoice:
    """An invoice that an event shows and that need not have an id; raises ValidationError when it shows none."""
    event = read_usual(_PREVIEW, raw) or convert(from_json(raw), _Event[_Preview])
    return _invoice(event.data.object)


def _put_back(shown: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    """The object as it was before: of nested hashes Stripe tells the changed keys only, of arrays the whole."""
    before = dict(shown)
    for key, old in previous.items():
        new = before.get(key)
        before[key] = _put_back(new, old) if isinstance(old, Mapping) and isinstance(new, Mapping) else old
    return before
