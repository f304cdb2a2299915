"""Shapes: a happening as an endpoint of a given API version reads it.

The world keeps objects in the newest shape, and beside it, hidden, what only older ones show.  An older version shows
the period on the subscription, not on its items, the legacy `plan` and `quantity` beside them, the subscription,
payment intent and charge at the top of invoices, and the invoice on intents and charges.  `previous_attributes` are the
difference of the two rendered objects, so they too speak the endpoint's version.
"""

import json
from collections.abc import Callable
from typing import Any, Final

from simulator.happenings import Happening, Json
from simulator.things import HIDDEN

BEFORE_BASIL: Final = "2024-06-20"
BASIL: Final = "2025-03-31.basil"
NEWEST: Final = "2026-10-28.endive"
API_VERSIONS: Final = (BEFORE_BASIL, BASIL, NEWEST)

_SINCE_BASIL_ONLY: Final = {
    "subscription": ("billing_mode",),
    "invoice": ("amount_overpaid", "parent", "total_taxes"),
}


def render(happening: Happening, api_version: str) -> Json:
    """The event as an endpoint of *api_version* receives it."""
    after = render_object(happening.after, api_version)
    data: Json = {"object": after}
    if happening.before is not None:
        data["previous_attributes"] = previous_attributes(render_object(happening.before, api_version), after)
    return {
        "id": happening.event_id,
        "object": "event",
        "api_version": api_version,
        "created": happening.created,
        "data": data,
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": happening.request_id, "idempotency_key": happening.idempotency_key},
        "type": happening.type,
    }


def wire(event: Json) -> bytes:
    """The bytes that go over the wire: Stripe indents by two."""
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


def render_object(body: Json, api_version: str) -> Json:
    """One of Stripe's objects in the shape of *api_version*; nobody else's value, to do with as one likes."""
    shape = _SHAPES.get((str(body["object"]), api_version))
    shaped = shape(body) if shape else body
    rendered: Json = _shown(shaped, api_version)
    return rendered


def _shown(value: Any, api_version: str) -> Any:
    """A copy of *value* without what is hidden, and with the things inside in their shapes."""
    if isinstance(value, dict):
        return {name: _inner(inner, api_version) for name, inner in value.items() if name != HIDDEN}
    if isinstance(value, list):
        return [_inner(inner, api_version) for inner in value]
    return value


def _inner(value: Any, api_version: str) -> Any:
    if isinstance(value, dict) and (shape := _SHAPES.get((str(value.get("object")), api_version))):
        return _shown(shape(value), api_version)
    return _shown(value, api_version)


def previous_attributes(before: Json, after: Json) -> Json:
    """What `before` had where `after` differs: of nested hashes the changed keys only, of arrays the whole.

    A key that is new in `after` was null before, as Stripe says it.
    """
    changed = {}
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if old != new:
            changed[key] = _previous_value(old, new)
    return changed


def _previous_value(old: Any, new: Any) -> Any:
    return previous_attributes(old, new) if isinstance(old, dict) and isinstance(new, dict) else old


# Subscriptions.


def _subscription_before_basil(body: Json) -> Json:
    items = body["items"]["data"]
    without_period = [_without(item, ("current_period_start", "current_period_end")) for item in items]
    only = without_period[0] if len(items) == 1 else None
    return _without(body, _SINCE_BASIL_ONLY["subscription"]) | {
        "current_period_end": items[0]["current_period_end"],
        "current_period_start": items[0]["current_period_start"],
        "discount": None,
        "items": body["items"] | {"data": without_period},
        "plan": only["plan"] if only else None,
        "quantity": only["quantity"] if only else None,
    }


def _subscription_newest(body: Json) -> Json:
    return body | {"billing_schedules": [], "customer_account": None, "managed_payments": {"enabled": False}}


# Invoices, their lines, and what is put aside for them.


def _invoice_before_basil(body: Json) -> Json:
    details = (body["parent"] or {}).get("subscription_details") or {"subscription": None, "metadata": None}
    hidden = body[HIDDEN]
    taxes = body["total_taxes"]
    shown = _without(body, _SINCE_BASIL_ONLY["invoice"]) | {
        "charge": hidden["charge"],
        "discount": None,
        "paid": body["status"] == "paid",
        "paid_out_of_band": hidden["paid_out_of_band"],
        "payment_intent": hidden["payment_intent"],
        "quote": None,
        "subscription": details["subscription"],
        "subscription_details": {"metadata": details["metadata"]},
        "tax": sum(tax["amount"] for tax in taxes) if taxes else None,
        "total_tax_amounts": [_tax_before_basil(tax) for tax in taxes],
        "transfer_data": None,
    }
    if shown["id"].startswith("upcoming_"):
        del shown["id"]  # An invoice that is yet to come had no id then.
    return shown


def _tax_before_basil(tax: Json) -> Json:
    return {
        "amount": tax["amount"],
        "inclusive": tax["tax_behavior"] == "inclusive",
        "tax_rate": tax["tax_rate_details"]["tax_rate"],
        "taxability_reason": tax["taxability_reason"],
        "taxable_amount": tax["taxable_amount"],
    }


def _line_before_basil(line: Json) -> Json:
    of_subscription = line["parent"]["subscription_item_details"]
    details = of_subscription or line["parent"]["invoice_item_details"]
    off = sum(one["amount"] for one in line["discount_amounts"])
    return _without(line, ("parent", "pricing", "taxes")) | {
        **line[HIDDEN],
        "amount_excluding_tax": line["amount"] - off,
        "invoice_item": details["invoice_item"],
        "proration": details["proration"],
        "proration_details": details["proration_details"],
        "subscription": details["subscription"],
        "subscription_item": of_subscription["subscription_item"] if of_subscription else None,
        "tax_amounts": [_tax_before_basil(tax) for tax in line["taxes"]],
        "tax_rates": [],
        "type": "invoiceitem" if details["invoice_item"] else "subscription",
        "unit_amount_excluding_tax": (line["pricing"] or {}).get("unit_amount_decimal"),
    }


def _line_newest(line: Json) -> Json:
    details = line["parent"]["subscription_item_details"] or line["parent"]["invoice_item_details"]
    return line | {
        "quantity_decimal": str(line["quantity"]),
        "subscription": details["subscription"],
        "subtotal": line["amount"],
    }


def _invoice_newest(body: Json) -> Json:
    return body | {"amount_paid_off_stripe": 0, "customer_account": None}


def _invoice_item_before_basil(body: Json) -> Json:
    parent = body["parent"] or {}
    details = (body["pricing"] or {}).get("price_details") or {}
    return _without(body, ("net_amount", "parent", "pricing")) | {
        "plan": None,
        "price": details.get("price"),
        "subscription": (parent.get("subscription_details") or {}).get("subscription"),
        "unit_amount": body["amount"] // (body["quantity"] or 1),
        "unit_amount_decimal": str(body["amount"] // (body["quantity"] or 1)),
    }


def _invoice_item_newest(body: Json) -> Json:
    return body | {"customer_account": None, "quantity_decimal": str(body["quantity"])}


# Money.


def _intent_before_basil(body: Json) -> Json:
    return body | {"invoice": body[HIDDEN]["invoice"]}


def _intent_newest(body: Json) -> Json:
    """The newest name the invoice again, as the order that is paid for."""
    added: Json = {
        "allowed_payment_method_types": None,
        "customer_account": None,
        "excluded_payment_method_types": None,
        "managed_payments": {"enabled": False},
    }
    if invoice_id := body[HIDDEN]["invoice"]:
        added["payment_details"] = {"customer_reference": None, "order_reference": invoice_id}
    return body | added


def _charge_before_basil(body: Json) -> Json:
    return body | {"invoice": body[HIDDEN]["invoice"]}


def _dispute_before_basil(body: Json) -> Json:
    moved = body["balance_transactions"]
    first = moved[0]["id"] if moved else None
    return _without(body, ("enhanced_eligibility_types",)) | {"balance_transaction": first}


# Discounts: since clover they name their coupon, before it they showed it.


def _shows_coupon(body: Json) -> Json:
    shown: Json = body | {"coupon": body[HIDDEN]["coupon"]}
    return _without(shown, ("promotion", "source"))


def _for_any_customer(body: Json) -> Json:
    return body | {"customer_account": None}


# Checkout.


def _session_before_clover(body: Json) -> Json:
    return body | {"ui_mode": "hosted"}


def _session_newest(body: Json) -> Json:
    return body | {"customer_account": None, "managed_payments": {"enabled": False}}


def _credit_note_before_basil(body: Json) -> Json:
    taxes = body["total_taxes"] or []
    refund = body["refunds"][0]["refund"] if body["refunds"] else None
    return _without(body, ("post_payment_amount", "pre_payment_amount", "refunds", "total_taxes")) | {
        "refund": refund,
        "tax_amounts": [_tax_before_basil(tax) for tax in taxes],
    }


def _without(body: Json, keys: tuple[str, ...]) -> Json:
    return {key: value for key, value in body.items() if key not in keys}


_SHAPES: Final[dict[tuple[str, str], Callable[[Json], Json]]] = {
    ("subscription", BEFORE_BASIL): _subscription_before_basil,
    ("subscription", NEWEST): _subscription_newest,
    ("invoice", BEFORE_BASIL): _invoice_before_basil,
    ("invoice", NEWEST): _invoice_newest,
    ("line_item", BEFORE_BASIL): _line_before_basil,
    ("line_item", NEWEST): _line_newest,
    ("invoiceitem", BEFORE_BASIL): _invoice_item_before_basil,
    ("invoiceitem", NEWEST): _invoice_item_newest,
    ("payment_intent", BEFORE_BASIL): _intent_before_basil,
    ("payment_intent", NEWEST): _intent_newest,
    ("charge", BEFORE_BASIL): _charge_before_basil,
    ("dispute", BEFORE_BASIL): _dispute_before_basil,
    ("discount", BEFORE_BASIL): _shows_coupon,
    ("discount", BASIL): _shows_coupon,
    ("discount", NEWEST): _for_any_customer,
    ("promotion_code", BEFORE_BASIL): _shows_coupon,
    ("promotion_code", BASIL): _shows_coupon,
    ("promotion_code", NEWEST): _for_any_customer,
    ("checkout.session", BEFORE_BASIL): _session_before_clover,
    ("checkout.session", BASIL): _session_before_clover,
    ("checkout.session", NEWEST): _session_newest,
    ("credit_note", BEFORE_BASIL): _credit_note_before_basil,
    ("payment_method", NEWEST): _for_any_customer,
    ("subscription_schedule", NEWEST): _for_any_customer,
}
