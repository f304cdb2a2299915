"""The oracle of the money: what anybody could know of payments from a set of events, whatever order they came in.

It shares no code with those it judges, the world's own books included.  The versions of each object are put in order
by: an end after everything else; then `created`; then the rank of its status; then the `previous_attributes` chain that
mismatches least; then the event id.  What a payment is follows from the last version of each object of its cause.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from simulator.happenings import Json
from simulator.oracle import best_chain, put_back
from simulator.states import CustomerState, DisputeState, InvoiceState, Money, PaymentState, RefundState

UPCOMING: Final = "invoice.upcoming"
KINDS: Final = frozenset(
    {
        "charge",
        "checkout.session",
        "customer",
        "dispute",
        "invoice",
        "invoice_payment",
        "payment_intent",
        "refund",
    }
)


class Facts(dict[str, Any]):
    """What is read of one object, by name."""

    def differences(self, other: "Facts") -> int:
        """In how many names the two differ."""
        return sum(value != other[name] for name, value in self.items())


@dataclass(frozen=True, slots=True)
class Version:
    """One event about one object: how it stood before, as far as the event tells, and after."""

    event_id: str
    created: int
    place: tuple[bool, int, int, int]
    before: Facts | None  # None for what begins: nothing was before it, so it fits anywhere.
    after: Facts


Lines = dict[str, dict[str, tuple[Version, ...]]]
"""By kind and id, all versions of an object in their one order."""


def fold(events: Iterable[Json]) -> Lines:
    """The versions of every object, in order; of two events with one id the first counts."""
    known: defaultdict[tuple[str, str], dict[str, Version]] = defaultdict(dict)
    for event in events:
        body = event["data"]["object"]
        if body.get("object") in KINDS and event["type"] != UPCOMING:
            known[body["object"], body["id"]].setdefault(event["id"], version_of(event))
    lines: Lines = {kind: {} for kind in KINDS}
    for (kind, object_id), versions in known.items():
        lines[kind][object_id] = in_order(versions.values())
    return lines


def money(events: Iterable[Json]) -> Money:
    """How all the money stands, as far as *events* tell."""
    cause = _Causes(fold(events))
    return Money(
        payments=cause.payments(),
        refunds={one: _refund(one, facts) for one, facts in cause.present["refund"].items()},
        disputes={one: _dispute(one, facts) for one, facts in cause.present["dispute"].items()},
        invoices={one: _invoice(one, facts) for one, facts in cause.present["invoice"].items()},
        customers={one: _customer(one, facts) for one, facts in cause.present["customer"].items()},
    )


def version_of(event: Json) -> Version:
    """What one event says, in whichever API version it says it."""
    body, kind = event["data"]["object"], event["data"]["object"]["object"]
    read = _READERS[kind]
    after = read(body)
    if event["type"] == "customer.deleted":
        after["deleted"] = True
    before = read(put_back(body, event["data"].get("previous_attributes") or {}))
    ended, rank, tie = _PLACES[kind](after)
    return Version(
        event_id=event["id"],
        created=event["created"],
        place=(ended, event["created"], rank, tie),
        before=None if event["type"].endswith(".created") else before,
        after=after,
    )


def in_order(versions: Iterable[Version]) -> tuple[Version, ...]:
    """The one order of these versions of one object."""
    ordered: list[Version] = []
    for _, tied in itertools.groupby(sorted(versions, key=lambda one: one.place), key=lambda one: one.place):
        start = ordered[-1] if ordered else None
        # What the chain leaves open is decided by the larger running total of refunds, then by the event id.
        ordered.extend(best_chain(start, sorted(tied, key=lambda one: (one.after.get("refunded", 0), one.event_id))))
    return tuple(ordered)


# What is read of each kind, in any shape.


def _read_intent(body: Json) -> Facts:
    error = body["last_payment_error"]
    return Facts(
        amount=body["amount"],
        amount_received=body["amount_received"],
        currency=body["currency"],
        customer=body["customer"],
        error=error.get("code") if error else None,
        failed=body["status"] == "requires_payment_method" and error is not None,
        invoice=body.get("invoice") or (body.get("payment_details") or {}).get("order_reference"),
        latest_charge=body["latest_charge"],
        metadata=body["metadata"],
        status=body["status"],
    )


def _read_charge(body: Json) -> Facts:
    return Facts(
        amount=body["amount"],
        captured=body["amount_captured"],
        created=body["created"],
        currency=body["currency"],
        customer=body["customer"],
        failure_code=body["failure_code"],
        invoice=body.get("invoice"),
        metadata=body["metadata"],
        payment_intent=body["payment_intent"],
        refunded=body["amount_refunded"],
        status=body["status"],
    )


def _read_refund(body: Json) -> Facts:
    names = ("amount", "charge", "currency", "payment_intent", "reason", "status")
    return Facts({name: body[name] for name in names} | {"failure_reason": body.get("failure_reason")})


def _read_dispute(body: Json) -> Facts:
    names = ("amount", "charge", "currency", "payment_intent", "reason", "status")
    moved = body["balance_transactions"]
    withdrawn = max(0, -sum(one["amount"] for one in moved))
    return Facts({name: body[name] for name in names} | {"moves": len(moved), "withdrawn": withdrawn})


def _read_invoice(body: Json) -> Facts:
    names = ("amount_due", "amount_paid", "amount_remaining", "attempt_count", "billing_reason", "currency", "customer")
    parent = ((body.get("parent") or {}).get("subscription_details") or {}).get("subscription")
    taxes = body.get("total_taxes") or body.get("total_tax_amounts") or ()
    return Facts(
        {name: body[name] for name in (*names, "status", "total")},
        charge=body.get("charge"),
        discount=sum(one["amount"] for one in body["total_discount_amounts"]),
        payment_intent=body.get("payment_intent"),
        subscription=body.get("subscription") or parent,
        tax=sum(one["amount"] for one in taxes) or body.get("tax") or 0,
    )


def _read_invoice_payment(body: Json) -> Facts:
    return Facts(invoice=body["invoice"], payment_intent=body["payment"].get("payment_intent"), status=body["status"])


def _read_session(body: Json) -> Facts:
    details = body["total_details"] or {"amount_tax": 0, "amount_discount": 0}
    names = ("client_reference_id", "customer", "invoice", "metadata", "mode", "payment_intent", "payment_link")
    return Facts(
        {name: body[name] for name in (*names, "payment_status", "status")},
        discount=details["amount_discount"],
        tax=details["amount_tax"],
    )


def _read_customer(body: Json) -> Facts:
    return Facts(created=body["created"], deleted=False, livemode=body["livemode"], metadata=body["metadata"])


_READERS: Final[dict[str, Callable[[Json], Facts]]] = {
    "charge": _read_charge,
    "checkout.session": _read_session,
    "customer": _read_customer,
    "dispute": _read_dispute,
    "invoice": _read_invoice,
    "invoice_payment": _read_invoice_payment,
    "payment_intent": _read_intent,
    "refund": _read_refund,
}

# Where a version belongs: whether it is an end, its rank within a second, and what goes before the chain.

_INTENTS: Final = {
    "requires_payment_method": 0,
    "requires_confirmation": 1,
    "requires_action": 2,
    "processing": 3,
    "requires_capture": 5,
    "canceled": 6,
    "succeeded": 6,
}
_FAILED_INTENT: Final = 4
_REFUNDS: Final = {"pending": 0, "requires_action": 1, "succeeded": 2, "failed": 3, "canceled": 3}
_DISPUTES: Final = {
    "warning_needs_response": 0,
    "warning_under_review": 1,
    "needs_response": 2,
    "under_review": 3,
    "won": 4,
    "lost": 4,
    "warning_closed": 4,
}
_INVOICES: Final = {"draft": 0, "open": 1, "uncollectible": 2, "paid": 3, "void": 3}

_PLACES: Final[dict[str, Callable[[Facts], tuple[bool, int, int]]]] = {
    "charge": lambda it: (False, int(it["status"] != "pending"), 0),
    "checkout.session": lambda it: (it["status"] != "open", int(it["payment_status"] != "unpaid"), 0),
    "customer": lambda it: (it["deleted"], 0, 0),
    "dispute": lambda it: (it["status"] in {"won", "lost", "warning_closed"}, _DISPUTES[it["status"]], it["moves"]),
    "invoice": lambda it: (it["status"] in {"paid", "void"}, _INVOICES[it["status"]], it["attempt_count"]),
    "invoice_payment": lambda it: (it["status"] != "open", 0, 0),
    "payment_intent": lambda it: (
        it["status"] in {"succeeded", "canceled"},
        _FAILED_INTENT if it["failed"] else _INTENTS[it["status"]],
        0,
    ),
    "refund": lambda it: (it["status"] in {"failed", "canceled"}, _REFUNDS[it["status"]], 0),
}


# What a payment is.


class _Causes:
    """The last version of every object, by what it hangs on."""

    def __init__(self, lines: Lines) -> None:
        self.present = {kind: {one: line[-1].after for one, line in of.items()} for kind, of in lines.items()}
        self._seconds = {kind: {one: line[-1].created for one, line in of.items()} for kind, of in lines.items()}
        self._charges = _grouped(self.present["charge"], "payment_intent")
        self._refunds = _grouped(self.present["refund"], "charge")
        self._disputes = _grouped(self.present["dispute"], "charge")
        self._invoice_of = self._links()
        self._sessions = {
            facts[name]: facts
            for facts in self.present["checkout.session"].values()
            for name in ("payment_intent", "invoice")
            if facts[name]
        }

    def _links(self) -> dict[str, str]:
        """The invoice of an intent, whichever object names the two."""
        links = {one: facts["invoice"] for one, facts in self.present["payment_intent"].items() if facts["invoice"]}
        for facts in (*self.present["charge"].values(), *self.present["invoice_payment"].values()):
            if facts["invoice"] and facts["payment_intent"]:
                links[facts["payment_intent"]] = facts["invoice"]
        for invoice_id, facts in self.present["invoice"].items():
            if facts["payment_intent"]:
                links[facts["payment_intent"]] = invoice_id
        return links

    def payments(self) -> dict[str, PaymentState]:
        """Every payment that is told of, by its id."""
        intents = self.present["payment_intent"]
        made = {one: self._of_intent(one, facts) for one, facts in intents.items()}
        paid_by_intent = set(self._invoice_of.values())
        for invoice_id, facts in self.present["invoice"].items():
            if invoice_id not in paid_by_intent and facts["status"] == "paid" and facts["amount_paid"] > 0:
                made[invoice_id] = self._of_invoice(invoice_id, facts)
        return made

    def _of_intent(self, intent_id: str, facts: Facts) -> PaymentState:
        charges = self._charges.get(intent_id, {})
        invoice_id = self._invoice_of.get(intent_id)
        invoice = self.present["invoice"].get(invoice_id or "")
        session = self._sessions.get(intent_id) or self._sessions.get(invoice_id or "")
        ends = facts["status"] in {"succeeded", "canceled"}
        status = "failed" if facts["failed"] else facts["status"] if ends else "pending"
        pieces = [facts, *charges.values(), *(one for one in (invoice, session) if one)]
        customer_id = next((one["customer"] for one in pieces if one["customer"]), None)
        apart = invoice or session or {"tax": 0, "discount": 0}
        newest = max(charges, key=lambda one: (charges[one]["created"], one), default=None)
        return PaymentState(
            payment_id=intent_id,
            customer_id=customer_id,
            named_account=None if customer_id else _named([facts, *charges.values()], session),
            kind=_kind(invoice, session, [facts, *charges.values()]),
            status=status,
            currency=facts["currency"],
            amount_minor=facts["amount_received"] if status == "succeeded" else facts["amount"],
            tax_minor=apart["tax"],
            discount_minor=apart["discount"],
            refunded_minor=sum(self._refunded(one, charge) for one, charge in charges.items()),
            disputed_minor=sum(
                dispute["withdrawn"] for one in charges for dispute in self._disputes.get(one, {}).values()
            ),
            invoice_id=invoice_id,
            payment_intent_id=intent_id,
            charge_id=facts["latest_charge"] or newest,
            failure_code=facts["error"] if status == "failed" else None,
        )

    def _of_invoice(self, invoice_id: str, facts: Facts) -> PaymentState:
        return PaymentState(
            payment_id=invoice_id,
            customer_id=facts["customer"],
            named_account=None,
            kind=_kind(facts, self._sessions.get(invoice_id), []),
            status="succeeded",
            currency=facts["currency"],
            amount_minor=facts["amount_paid"],
            tax_minor=facts["tax"],
            discount_minor=facts["discount"],
            refunded_minor=0,
            disputed_minor=0,
            invoice_id=invoice_id,
            payment_intent_id=None,
            charge_id=None,
            failure_code=None,
        )

    def _refunded(self, charge_id: str, charge: Facts) -> int:
        """The most that is told: by the refunds, or by the running total less what has come back since."""
        refunds, since = self._refunds.get(charge_id, {}), self._seconds["charge"][charge_id]
        live = sum(int(one["amount"]) for one in refunds.values() if one["status"] not in {"failed", "canceled"})
        came_back = sum(
            int(facts["amount"])
            for one, facts in refunds.items()
            if facts["status"] in {"failed", "canceled"} and self._seconds["refund"][one] >= since
        )
        return max(live, int(charge["refunded"]) - came_back)


def _grouped(facts_by_id: Mapping[str, Facts], name: str) -> dict[str, dict[str, Facts]]:
    grouped: defaultdict[str, dict[str, Facts]] = defaultdict(dict)
    for one, facts in facts_by_id.items():
        if facts[name]:
            grouped[facts[name]][one] = facts
    return grouped


def _kind(invoice: Facts | None, session: Facts | None, of_payment: Sequence[Facts]) -> str:
    if invoice and invoice["subscription"]:
        return "subscription"
    if session and session["mode"] == "payment":
        return "one_off"
    return "one_off" if any("kind" in one["metadata"] for one in of_payment) else "other"


def _named(of_payment: Sequence[Facts], session: Facts | None) -> str | None:
    pieces = [*of_payment, session] if session else of_payment
    told = next((one["metadata"]["account_id"] for one in pieces if "account_id" in one["metadata"]), None)
    if told is None and session and session["payment_link"] is None:
        told = session["client_reference_id"]
    account: str | None = told
    return account


def _refund(refund_id: str, facts: Facts) -> RefundState:
    return RefundState(
        refund_id=refund_id,
        charge_id=facts["charge"],
        payment_intent_id=facts["payment_intent"],
        status=facts["status"],
        currency=facts["currency"],
        amount_minor=facts["amount"],
        reason=facts["reason"],
        failure_reason=facts["failure_reason"],
    )


def _dispute(dispute_id: str, facts: Facts) -> DisputeState:
    return DisputeState(
        dispute_id=dispute_id,
        charge_id=facts["charge"],
        payment_intent_id=facts["payment_intent"],
        status=facts["status"],
        currency=facts["currency"],
        amount_minor=facts["amount"],
        withdrawn_minor=facts["withdrawn"],
        reason=facts["reason"],
    )


def _invoice(invoice_id: str, facts: Facts) -> InvoiceState:
    return InvoiceState(
        invoice_id=invoice_id,
        customer_id=facts["customer"],
        subscription_id=facts["subscription"],
        status=facts["status"],
        billing_reason=facts["billing_reason"],
        currency=facts["currency"],
        total_minor=facts["total"],
        tax_minor=facts["tax"],
        discount_minor=facts["discount"],
        amount_due_minor=facts["amount_due"],
        amount_paid_minor=facts["amount_paid"],
        amount_remaining_minor=facts["amount_remaining"],
        attempt_count=facts["attempt_count"],
    )


def _customer(customer_id: str, facts: Facts) -> CustomerState:
    return CustomerState(
        customer_id=customer_id,
        platform_id=facts["metadata"].get("account_id"),
        deleted=facts["deleted"],
        livemode=facts["livemode"],
        since=facts["created"],
    )
