"""From what Stripe shows of an object to what its row holds: dictionary look-ups in the newest shape, no checks."""

from collections.abc import Callable, Mapping
from typing import Any, Final

Row = dict[str, Any]
Shown = Mapping[str, Any]


def _intent(shown: Shown) -> Row:
    error = shown["last_payment_error"]
    return {
        "status": shown["status"],
        "currency": shown["currency"],
        "amount_minor": shown["amount"],
        "amount_received_minor": shown["amount_received"],
        "latest_charge_id": shown["latest_charge"],
        "invoice_id": None,
        "error_code": error["code"] if error else None,
        "purpose": shown["metadata"].get("kind"),
        "created_at": shown["created"],
        "livemode": shown["livemode"],
    }


def _charge(shown: Shown) -> Row:
    return {
        "status": shown["status"],
        "currency": shown["currency"],
        "amount_minor": shown["amount"],
        "amount_captured_minor": shown["amount_captured"],
        "amount_refunded_minor": shown["amount_refunded"],
        "payment_intent_id": shown["payment_intent"],
        "invoice_id": None,
        "failure_code": shown["failure_code"],
        "purpose": shown["metadata"].get("kind"),
        "created_at": shown["created"],
        "livemode": shown["livemode"],
    }


def _refund(shown: Shown) -> Row:
    return {
        "status": shown["status"],
        "currency": shown["currency"],
        "amount_minor": shown["amount"],
        "charge_id": shown["charge"],
        "payment_intent_id": shown["payment_intent"],
        "reason": shown["reason"],
        "failure_reason": shown.get("failure_reason"),
        "created_at": shown["created"],
        "livemode": False,
    }


def _dispute(shown: Shown) -> Row:
    moved = shown["balance_transactions"]
    return {
        "status": shown["status"],
        "currency": shown["currency"],
        "amount_minor": shown["amount"],
        "withdrawn_minor": max(0, -sum(one["amount"] for one in moved)),
        "fee_minor": sum(one["fee"] for one in moved),
        "transactions": len(moved),
        "charge_id": shown["charge"],
        "payment_intent_id": shown["payment_intent"],
        "reason": shown["reason"],
        "due_by": shown["evidence_details"]["due_by"],
        "created_at": shown["created"],
        "livemode": shown["livemode"],
    }


def _invoice(shown: Shown) -> Row:
    parent = shown["parent"]
    details = parent["subscription_details"] if parent else None
    return {
        "status": shown["status"],
        "currency": shown["currency"],
        "subscription_id": details["subscription"] if details else None,
        "billing_reason": shown["billing_reason"],
        "total_minor": shown["total"],
        "tax_minor": sum(one["amount"] for one in shown["total_taxes"] or ()),
        "discount_minor": sum(one["amount"] for one in shown["total_discount_amounts"] or ()),
        "amount_due_minor": shown["amount_due"],
        "amount_paid_minor": shown["amount_paid"],
        "amount_remaining_minor": shown["amount_remaining"],
        "attempt_count": shown["attempt_count"],
        "next_attempt_at": shown["next_payment_attempt"],
        "payment_intent_ids": (),
        "charge_id": None,
        "created_at": shown["created"],
        "paid_at": shown["status_transitions"]["paid_at"],
        "livemode": shown["livemode"],
    }


def _invoice_payment(shown: Shown) -> Row:
    return {
        "status": shown["status"],
        "invoice_id": shown["invoice"],
        "payment_intent_id": shown["payment"].get("payment_intent"),
        "charge_id": shown["payment"].get("charge"),
        "amount_paid_minor": shown["amount_paid"],
        "livemode": shown["livemode"],
    }


def _session(shown: Shown) -> Row:
    totals = shown["total_details"] or {"amount_tax": 0, "amount_discount": 0}
    return {
        "mode": shown["mode"],
        "status": shown["status"],
        "payment_status": shown["payment_status"],
        "currency": shown["currency"],
        "total_minor": shown["amount_total"],
        "tax_minor": totals["amount_tax"],
        "discount_minor": totals["amount_discount"],
        "payment_intent_id": shown["payment_intent"],
        "invoice_id": shown["invoice"],
        "subscription_id": shown["subscription"],
        "purpose": shown["metadata"].get("kind"),
        "created_at": shown["created"],
        "livemode": shown["livemode"],
    }


def _fraud_warning(shown: Shown) -> Row:
    return {
        "charge_id": shown["charge"],
        "payment_intent_id": shown["payment_intent"],
        "fraud_type": shown["fraud_type"],
        "actionable": shown["actionable"],
        "livemode": shown["livemode"],
    }


def _customer(shown: Shown) -> Row:
    return {
        "default_payment_method_id": shown["invoice_settings"]["default_payment_method"],
        "delinquent": shown["delinquent"],
        "deleted": False,
        "created_at": shown["created"],
        "livemode": shown["livemode"],
    }


def _payment_method(shown: Shown) -> Row:
    card = shown.get("card") or {}
    return {
        "type": shown["type"],
        "customer_id": shown["customer"],
        **{name: card.get(name) for name in ("brand", "last4", "exp_month", "exp_year")},
        "livemode": shown["livemode"],
    }


def _product(shown: Shown) -> Row:
    return {"active": shown["active"], "plan": shown["metadata"].get("plan"), "livemode": shown["livemode"]}


def _price(shown: Shown) -> Row:
    recurring = shown["recurring"] or {"interval": None, "interval_count": None}
    return {
        "active": shown["active"],
        "lookup_key": shown["lookup_key"],
        "product_id": shown["product"],
        "currency": shown["currency"],
        "unit_amount_minor": shown["unit_amount"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "plan": shown["metadata"].get("plan"),
        "livemode": shown["livemode"],
    }


def _schedule(shown: Shown) -> Row:
    return {
        "status": shown["status"],
        "subscription_id": shown["subscription"],
        "phases": [
            {
                "starts_at": phase["start_date"],
                "ends_at": phase["end_date"],
                "price_ids": [item["price"] for item in phase["items"]],
            }
            for phase in shown["phases"]
        ],
        "livemode": shown["livemode"],
    }


READ: Final[Mapping[str, Callable[[Shown], Row]]] = {
    "payment_intent": _intent,
    "charge": _charge,
    "refund": _refund,
    "dispute": _dispute,
    "invoice": _invoice,
    "invoice_payment": _invoice_payment,
    "checkout.session": _session,
    "radar.early_fraud_warning": _fraud_warning,
    "customer": _customer,
    "payment_method": _payment_method,
    "product": _product,
    "price": _price,
    "subscription_schedule": _schedule,
}
"""By `object`.  Of any other nothing is kept but that it came."""

OF_PAYMENTS: Final = frozenset(
    {
        *("payment_intent", "charge", "refund", "dispute", "invoice", "invoice_payment", "checkout.session"),
        "radar.early_fraud_warning",
    }
)

NAMING: Final = ("payment_intent_id", "charge_id", "latest_charge_id", "invoice_id")
"""Where such an object names others of its payment."""

ENDED: Final = frozenset({"succeeded", "canceled", "failed", "paid", "void", "won", "lost", "complete", "expired"})


def links(state: Row) -> list[str]:
    """The ids of the others of its payment that it names."""
    return [state[name] for name in NAMING if state.get(name)]


def before(shown: Shown, previous: Shown) -> Row:
    """The object as it was: of nested hashes Stripe tells the changed keys only."""
    was = dict(shown)
    for key, old in previous.items():
        new = was.get(key)
        was[key] = before(new, old) if isinstance(old, dict) and isinstance(new, dict) else old
    return was
