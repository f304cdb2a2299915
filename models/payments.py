"""Payments: one payment is one payment, however many events tell of it, in every order.

A payment is a function of the pieces of its cause as they are now: it is made anew whenever one of them changes, never
added to.  Its id is the payment intent's; where there is none, the paid invoice's, else the charge's.  When a later
fact tells that what looked like two payments is one, the one without an intent is merged into the other.

Refunds follow the charge's running total and the refunds that are known, whichever tells more; a refund that failed
counts no longer.  Disputed is what was withdrawn and not given back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final, TypeVar

from models import objects
from models.base import Identifier, Moment, Value
from models.causes import Piece, owner_of
from models.events import DisputeChanged, Event, InvoiceChanged, PaymentChanged, PaymentMerged, RefundChanged
from models.lines import LineState
from models.money import Currency, MinorUnits


class Kind(StrEnum):
    """What was paid for."""

    SUBSCRIPTION = "subscription"
    ONE_OFF = "one_off"  # Through Checkout, or with `metadata.kind`.
    OTHER = "other"


class Status(StrEnum):
    """How a payment stands.  What was given back or is disputed stands beside it."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # The last try was declined; another may follow.
    CANCELED = "canceled"


class Payment(Value, frozen=True, kw_only=True):
    """One payment.  Amounts are in minor units of its currency; what is tax and discount is told beside the amount."""

    payment_id: Identifier
    customer_id: Identifier | None
    guest_account_id: Identifier | None  # Where there is no customer, and the platform said whose it is.
    kind: Kind
    status: Status
    currency: Currency
    amount_minor: MinorUnits
    tax_minor: MinorUnits
    discount_minor: MinorUnits
    refunded_minor: MinorUnits
    disputed_minor: MinorUnits
    invoice_id: Identifier | None
    payment_intent_id: Identifier | None
    charge_id: Identifier | None
    failure_code: str | None
    purpose: str | None
    occurred_at: Moment  # When it succeeded; until then, when it was begun.
    livemode: bool


ShownT = TypeVar("ShownT", bound=objects.State)


@dataclass(frozen=True, slots=True)
class _Told:
    """What one payment's core says, whichever object tells it."""

    status: Status
    currency: str
    amount_minor: int
    livemode: bool
    failure_code: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Core:
    """Which of its cause's pieces a payment is made of."""

    payment_id: str
    intent_id: str | None
    charge_id: str | None
    charges: Mapping[str, objects.Charge]
    invoice_id: str | None


class About(Value, frozen=True):
    """Whose it is and since when: what every event says."""

    account_id: str | None
    as_of: datetime


def payments_of(pieces: Iterable[Piece]) -> dict[str, Payment]:
    """The payments that the pieces of one cause make, by id."""
    listed = list(pieces)
    if all(_is_unpaid_invoice(one) for one in listed):
        return {}
    cause = _Cause(listed)
    made = [cause.of_intent(intent_id) for intent_id in cause.intent_ids]
    made += [cause.of_charge(charge_id) for charge_id in cause.lone_charge_ids]
    if not cause.intent_ids and not cause.lone_charge_ids:
        made += [cause.of_invoice(invoice_id) for invoice_id in cause.invoices]
    return {payment.payment_id: payment for payment in made if payment is not None}


def may_change(before: Mapping[str, Piece], changed: Mapping[str, Piece]) -> bool:
    """Whether the payments of a cause may be others now that these of its pieces have changed."""
    return any(_tells_otherwise(before.get(object_id), piece) for object_id, piece in changed.items())


def _tells_otherwise(before: Piece | None, after: Piece) -> bool:
    """Whether a piece says anything else of a payment than before; a fact may show what another one has shown."""
    if after.cause_id is None:
        return False
    shown = after.present.state if after.present else None
    if before is None or isinstance(shown, objects.Charge | objects.Refund):  # Of these it counts since when, too.
        return True
    was = before.present.state if before.present else None
    return shown != was or _OF_CAUSE(before) != _OF_CAUSE(after)


_OF_CAUSE: Final = attrgetter("cause_id", "customer_id", "account_id")
"""What a payment has of its cause."""


def _is_unpaid_invoice(piece: Piece) -> bool:
    """Whether this is an invoice of which nothing was paid: alone in its cause, as most begin, it makes no payment."""
    state = piece.present.state if piece.present else None
    return isinstance(state, objects.Invoice) and _by_invoice(state) is None


class _Cause:
    """The pieces of one cause, by what they are."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._owner = owner_of(pieces)
        self._shown = {one.object_id: one.present for one in pieces if one.present is not None}
        self._by_kind: dict[type[LineState], dict[str, Any]] = {}
        for object_id, present in sorted(self._shown.items()):
            self._by_kind.setdefault(type(present.state), {})[object_id] = present.state
        self.intents = self._all(objects.PaymentIntent)
        self.charges = self._all(objects.Charge)
        self.refunds = self._all(objects.Refund)
        self.disputes = self._all(objects.Dispute)
        self.invoices = self._all(objects.Invoice)
        self.invoice_payments = self._all(objects.InvoicePayment)
        self.sessions = self._all(objects.CheckoutSession)
        self.intent_ids = sorted(self._named_intents())
        self.lone_charge_ids = sorted(one for one, charge in self.charges.items() if not self._intent_of_charge(one))

    def of_intent(self, intent_id: str) -> Payment | None:
        """The payment of an intent; None while all that is known of it is its id."""
        intent = self.intents.get(intent_id)
        charges = {one: charge for one, charge in self.charges.items() if self._intent_of_charge(one) == intent_id}
        charge_id = (intent.latest_charge_id if intent else None) or _newest(charges)
        core = _Core(intent_id, intent_id, charge_id, charges, self._invoice_of(intent_id, charges))
        told = _by_intent(intent) if intent else self._without_intent(charges.get(charge_id or ""), core.invoice_id)
        return self._payment(core, told) if told else None

    def of_charge(self, charge_id: str) -> Payment | None:
        """The payment of a charge that no intent made."""
        charges = {charge_id: self.charges[charge_id]}
        core = _Core(charge_id, None, charge_id, charges, self._invoice_of(None, charges))
        return self._payment(core, _by_charge(charges[charge_id]))

    def of_invoice(self, invoice_id: str) -> Payment | None:
        """The payment of an invoice that was paid without Stripe's help: out of band, say."""
        told = _by_invoice(self.invoices[invoice_id])
        return self._payment(_Core(invoice_id, None, None, {}, invoice_id), told) if told else None

    def _payment(self, core: _Core, told: _Told) -> Payment:
        invoice = self.invoices.get(core.invoice_id or "")
        session = self._session_of(core)
        tax_minor, discount_minor = _apart(invoice, session)
        purpose = self._purpose(core)
        return Payment(
            payment_id=core.payment_id,
            customer_id=self._owner.customer_id,
            guest_account_id=self._owner.account_id,
            kind=_kind(invoice, session, purpose),
            status=told.status,
            currency=told.currency,
            amount_minor=told.amount_minor,
            tax_minor=tax_minor,
            discount_minor=discount_minor,
            refunded_minor=self._refunded_minor(core),
            disputed_minor=self._disputed_minor(core),
            invoice_id=core.invoice_id,
            payment_intent_id=core.intent_id,
            charge_id=core.charge_id,
            failure_code=told.failure_code,
            purpose=purpose,
            occurred_at=self._occurred_at(core, told, invoice),
            livemode=told.livemode,
        )

    def _all(self, kind: type[ShownT]) -> dict[str, ShownT]:
        return self._by_kind.get(kind, {})

    def _named_intents(self) -> set[str]:
        named: set[str | None] = set(self.intents)
        for others in (self.charges, self.refunds, self.disputes, self.invoice_payments, self.sessions):
            named |= {one.payment_intent_id for one in others.values()}
        return {one for one in named.union(*(one.payment_intent_ids for one in self.invoices.values())) if one}

    def _intent_of_charge(self, charge_id: str) -> str | None:
        named = self.charges[charge_id].payment_intent_id
        return named or next(
            (one for one, intent in self.intents.items() if intent.latest_charge_id == charge_id), None
        )

    def _invoice_of(self, intent_id: str | None, charges: Mapping[str, objects.Charge]) -> str | None:
        """The invoice that an intent, or a charge without one, pays: any piece may be the one that says it."""
        intent = self.intents.get(intent_id or "")
        named = {intent.invoice_id if intent else None, *(charge.invoice_id for charge in charges.values())}
        named |= {one.invoice_id for one in self.invoice_payments.values() if _pays(one, intent_id, charges)}
        named |= {one.invoice_id for one in self.sessions.values() if intent_id and one.payment_intent_id == intent_id}
        named |= {
            invoice_id
            for invoice_id, one in self.invoices.items()
            if intent_id in one.payment_intent_ids or one.charge_id in charges
        }
        # What a version before the last one named holds the cause together, and is in nobody's present.
        return min((one for one in named if one), default=min(self.invoices, default=None))

    def _session_of(self, core: _Core) -> objects.CheckoutSession | None:
        found = (
            one
            for one in self.sessions.values()
            if (core.intent_id and one.payment_intent_id == core.intent_id)
            or (core.invoice_id and one.invoice_id == core.invoice_id)
        )
        return next(found, None)

    def _without_intent(self, charge: objects.Charge | None, invoice_id: str | None) -> _Told | None:
        if charge is not None:
            return _by_charge(charge)
        invoice = self.invoices.get(invoice_id or "")
        return _by_invoice(invoice) if invoice else None

    def _purpose(self, core: _Core) -> str | None:
        intent = self.intents.get(core.intent_id or "")
        said = [intent.purpose if intent else None, *(charge.purpose for charge in core.charges.values())]
        return next((one for one in said if one), None)

    def _refunded_minor(self, core: _Core) -> int:
        of_charges = sum(self._refunded_of_charge(one, charge) for one, charge in core.charges.items())
        beside = (one for one in self.refunds.values() if one.live and one.charge_id not in core.charges)
        return of_charges + sum(
            one.amount_minor for one in beside if core.intent_id and one.payment_intent_id == core.intent_id
        )

    def _refunded_of_charge(self, charge_id: str, charge: objects.Charge) -> int:
        """The most that is told: by the charge's running total, less what has come back since, or by its refunds."""
        refunds = {one: refund for one, refund in self.refunds.items() if refund.charge_id == charge_id}
        since = self._shown[charge_id].occurred_at
        came_back = sum(
            refund.amount_minor
            for one, refund in refunds.items()
            if not refund.live and self._shown[one].occurred_at >= since
        )
        live = sum(refund.amount_minor for refund in refunds.values() if refund.live)
        return max(live, charge.amount_refunded_minor - came_back, 0)

    def _disputed_minor(self, core: _Core) -> int:
        return sum(
            dispute.withdrawn_minor
            for dispute in self.disputes.values()
            if dispute.charge_id in core.charges or (core.intent_id and dispute.payment_intent_id == core.intent_id)
        )

    def _occurred_at(self, core: _Core, told: _Told, invoice: objects.Invoice | None) -> datetime:
        intent, charge = self.intents.get(core.intent_id or ""), self.charges.get(core.charge_id or "")
        begun = intent.created_at if intent else charge.created_at if charge else told.occurred_at
        if told.status is Status.SUCCEEDED:
            begun = (charge.created_at if charge else None) or (invoice.paid_at if invoice else None) or begun
        assert begun is not None, "an intent, a charge or an invoice told of it"
        return begun


def _kind(invoice: objects.Invoice | None, session: objects.CheckoutSession | None, purpose: str | None) -> Kind:
    if (invoice and invoice.subscription_id) or (session and session.mode == "subscription"):
        return Kind.SUBSCRIPTION
    return Kind.ONE_OFF if purpose or (session and session.mode == "payment") else Kind.OTHER


def _newest(charges: Mapping[str, objects.Charge]) -> str | None:
    return max(charges, key=lambda one: (charges[one].created_at, one), default=None)


def _pays(one: objects.InvoicePayment, intent_id: str | None, charges: Mapping[str, objects.Charge]) -> bool:
    return (intent_id is not None and one.payment_intent_id == intent_id) or one.charge_id in charges


def _apart(invoice: objects.Invoice | None, session: objects.CheckoutSession | None) -> tuple[int, int]:
    """Tax and discount."""
    told = invoice or session
    return (told.tax_minor, told.discount_minor) if told else (0, 0)


_OF_INTENT: Final = {"succeeded": Status.SUCCEEDED, "canceled": Status.CANCELED}
_OF_CHARGE: Final = {"succeeded": Status.SUCCEEDED, "failed": Status.FAILED}


def _by_intent(intent: objects.PaymentIntent) -> _Told:
    status = Status.FAILED if intent.failed else _OF_INTENT.get(intent.status, Status.PENDING)
    return _Told(
        status=status,
        currency=intent.currency,
        amount_minor=intent.amount_received_minor if status is Status.SUCCEEDED else intent.amount_minor,
        livemode=intent.livemode,
        failure_code=intent.error_code if status is Status.FAILED else None,
    )


def _by_charge(charge: objects.Charge) -> _Told:
    status = _OF_CHARGE.get(charge.status, Status.PENDING)
    return _Told(
        status=status,
        currency=charge.currency,
        amount_minor=charge.amount_captured_minor if status is Status.SUCCEEDED else charge.amount_minor,
        livemode=charge.livemode,
        failure_code=charge.failure_code if status is Status.FAILED else None,
    )


def _by_invoice(invoice: objects.Invoice) -> _Told | None:
    """An invoice tells of a payment only once it was paid, with anything."""
    if invoice.status != "paid" or invoice.amount_paid_minor <= 0:
        return None
    return _Told(
        status=Status.SUCCEEDED,
        currency=invoice.currency,
        amount_minor=invoice.amount_paid_minor,
        livemode=invoice.livemode,
        occurred_at=invoice.paid_at or invoice.created_at,
    )


def said(before: Mapping[str, Payment], after: Mapping[str, Payment], about: About) -> tuple[Event, ...]:
    """What there is to say of one cause's payments: those that changed, and those that are a part of another now."""
    gone = [one for one in sorted(before) if one not in after]
    merged = [_merged(one, min(after), about) for one in gone if after]
    return (*merged, *(changed(one, about) for _, one in sorted(after.items()) if before.get(one.payment_id) != one))


def changed(payment: Payment, about: About) -> PaymentChanged:
    """The event that says how a payment is now."""
    told = {name: getattr(payment, name) for name in _TOLD_OF_PAYMENTS}
    return PaymentChanged(subject=payment.payment_id, account_id=about.account_id, as_of=about.as_of, **told)


def _merged(payment_id: str, into: str, about: About) -> PaymentMerged:
    return PaymentMerged(subject=payment_id, account_id=about.account_id, as_of=about.as_of, merged_into=into)


def shown(object_id: str, state: objects.State, about: About) -> tuple[Event, ...]:
    """The event that says how a refund, a dispute or an invoice is now; nothing of other objects."""
    event = _SHOWN.get(type(state))
    if event is None:
        return ()
    told = {name: getattr(state, name) for name in _TOLD_OF_OBJECTS[event]}
    return (event(subject=object_id, account_id=about.account_id, as_of=about.as_of, **told),)


_TOLD_OF_PAYMENTS: Final = tuple(PaymentChanged.model_fields.keys() & set(Payment.__struct_fields__))


_SHOWN: Final[Mapping[type[LineState], type[Event]]] = {
    objects.Refund: RefundChanged,
    objects.Dispute: DisputeChanged,
    objects.Invoice: InvoiceChanged,
}

_TOLD_OF_OBJECTS: Final = {
    event: tuple(event.model_fields.keys() & set(state.__struct_fields__)) for state, event in _SHOWN.items()
}
