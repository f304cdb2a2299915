"""The money in the world's own books: payments, refunds, disputes, invoices and customers, read off the objects.

A payment gathers everything of one business cause: a payment intent with its charges, and the invoice and the Checkout
session that it pays; or an invoice that was paid without one.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from simulator.happenings import Json
from simulator.states import CustomerState, DisputeState, InvoiceState, Money, PaymentState, RefundState
from simulator.things import HIDDEN
from simulator.world import World

_STATUSES: Final = {"succeeded": "succeeded", "canceled": "canceled"}


def money_of(world: World) -> Money:
    """The money of *world*, as of its clock."""
    ledger = _Ledger(world)
    return Money(
        payments=ledger.payments(),
        refunds={one.id: _refund(one.body) for one in _oldest_first(world, "refund")},
        disputes={one.id: _dispute(one.body) for one in _oldest_first(world, "dispute")},
        invoices={one.id: _invoice(one.body) for one in _oldest_first(world, "invoice")},
        customers={one.id: _customer(one) for one in _oldest_first(world, "customer")},
    )


def _oldest_first(world: World, kind: str) -> Iterable[Any]:
    return list(world.shelf.all(kind))[::-1]


class _Ledger:
    """The world's objects, by what they hang on."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._charges: defaultdict[str, list[Json]] = defaultdict(list)
        for charge in _oldest_first(world, "charge"):
            self._charges[charge.body["payment_intent"]].append(charge.body)
        self._withdrawn: defaultdict[str, int] = defaultdict(int)
        for dispute in _oldest_first(world, "dispute"):
            self._withdrawn[dispute.body["charge"]] += dispute.withdrawn_minor
        self._sessions = {
            one.body[name]: one.body
            for one in _oldest_first(world, "checkout.session")
            for name in ("payment_intent", "invoice")
            if one.body[name]
        }

    def payments(self) -> dict[str, PaymentState]:
        """Every payment, by its id."""
        made = [self._of_intent(one.body) for one in _oldest_first(self._world, "payment_intent")]
        made += [
            self._of_invoice(invoice.body)
            for invoice in _oldest_first(self._world, "invoice")
            if invoice.intent is None and invoice.is_paid and invoice.body["amount_paid"]
        ]
        return {one.payment_id: one for one in made}

    def _of_intent(self, intent: Json) -> PaymentState:
        invoice_id = intent[HIDDEN]["invoice"]
        paid: Any = self._world.shelf.get("invoice", invoice_id or "")
        invoice: Json | None = paid.body if paid else None
        session = self._sessions.get(intent["id"]) or self._sessions.get(invoice_id or "")
        charges = self._charges[intent["id"]]
        failed = intent["status"] == "requires_payment_method" and intent["last_payment_error"] is not None
        status = "failed" if failed else _STATUSES.get(intent["status"], "pending")
        customer_id = intent["customer"]
        tax_minor, discount_minor = _apart(invoice, session)
        return PaymentState(
            payment_id=intent["id"],
            customer_id=customer_id,
            named_account=None if customer_id else _named(intent, session),
            kind=_kind(invoice, session, intent["metadata"]),
            status=status,
            currency=intent["currency"],
            amount_minor=intent["amount_received"] if status == "succeeded" else intent["amount"],
            tax_minor=tax_minor,
            discount_minor=discount_minor,
            refunded_minor=sum(charge["amount_refunded"] for charge in charges),
            disputed_minor=sum(self._withdrawn[charge["id"]] for charge in charges),
            invoice_id=invoice_id,
            payment_intent_id=intent["id"],
            charge_id=intent["latest_charge"],
            failure_code=intent["last_payment_error"]["code"] if failed else None,
        )

    def _of_invoice(self, invoice: Json) -> PaymentState:
        tax_minor, discount_minor = _apart(invoice, None)
        return PaymentState(
            payment_id=invoice["id"],
            customer_id=invoice["customer"],
            named_account=None,
            kind=_kind(invoice, self._sessions.get(invoice["id"]), {}),
            status="succeeded",
            currency=invoice["currency"],
            amount_minor=invoice["amount_paid"],
            tax_minor=tax_minor,
            discount_minor=discount_minor,
            refunded_minor=0,
            disputed_minor=0,
            invoice_id=invoice["id"],
            payment_intent_id=None,
            charge_id=None,
            failure_code=None,
        )


def _kind(invoice: Json | None, session: Json | None, metadata: Json) -> str:
    if invoice and invoice["parent"]:
        return "subscription"
    bought = (session and session["mode"] == "payment") or "kind" in metadata
    return "one_off" if bought else "other"


def _named(intent: Json, session: Json | None) -> str | None:
    """The account that the platform named."""
    told = intent["metadata"].get("account_id") or (session or {}).get("metadata", {}).get("account_id")
    if told is None and session and session["payment_link"] is None:
        told = session["client_reference_id"]
    account: str | None = told
    return account


def _apart(invoice: Json | None, session: Json | None) -> tuple[int, int]:
    """Tax and discount."""
    if invoice:
        tax, off = invoice["total_taxes"], invoice["total_discount_amounts"]
        return sum(one["amount"] for one in tax), sum(one["amount"] for one in off)
    details = (session or {}).get("total_details") or {"amount_tax": 0, "amount_discount": 0}
    return details["amount_tax"], details["amount_discount"]


def _refund(body: Json) -> RefundState:
    return RefundState(
        refund_id=body["id"],
        charge_id=body["charge"],
        payment_intent_id=body["payment_intent"],
        status=body["status"],
        currency=body["currency"],
        amount_minor=body["amount"],
        reason=body["reason"],
        failure_reason=body.get("failure_reason"),
    )


def _dispute(body: Json) -> DisputeState:
    return DisputeState(
        dispute_id=body["id"],
        charge_id=body["charge"],
        payment_intent_id=body["payment_intent"],
        status=body["status"],
        currency=body["currency"],
        amount_minor=body["amount"],
        withdrawn_minor=max(0, -sum(one["amount"] for one in body["balance_transactions"])),
        reason=body["reason"],
    )


def _invoice(body: Json) -> InvoiceState:
    tax_minor, discount_minor = _apart(body, None)
    return InvoiceState(
        invoice_id=body["id"],
        customer_id=body["customer"],
        subscription_id=body["parent"]["subscription_details"]["subscription"] if body["parent"] else None,
        status=body["status"],
        billing_reason=body["billing_reason"],
        currency=body["currency"],
        total_minor=body["total"],
        tax_minor=tax_minor,
        discount_minor=discount_minor,
        amount_due_minor=body["amount_due"],
        amount_paid_minor=body["amount_paid"],
        amount_remaining_minor=body["amount_remaining"],
        attempt_count=body["attempt_count"],
    )


def _customer(customer: Any) -> CustomerState:
    return CustomerState(
        customer_id=customer.id,
        platform_id=customer.account_id,
        deleted=customer.is_deleted,
        livemode=False,
        since=customer.created,
    )
