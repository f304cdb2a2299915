"""Shapes: a happening as an endpoint of a given API version reads it.

The world keeps objects in the newest shape.  An older version shows the period on the subscription, not on its items,
the legacy `plan` and `quantity` beside them, and the invoice's subscription, payment intent and charge at its top.  The
`previous_attributes` are the difference of the two rendered objects, so they too speak the endpoint's version.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any, Final

from simulator.happenings import Happening, Json
from simulator.invoices import HIDDEN

BEFORE_BASIL: Final = "2024-06-20"
BASIL: Final = "2025-03-31.basil"
NEWEST: Final = "2026-10-28.endive"
API_VERSIONS: Final = (BEFORE_BASIL, BASIL, NEWEST)

_SINCE_BASIL_ONLY: Final = {
    "subscription": ("billing_mode",),
    "invoice": ("amount_overpaid", "confirmation_secret", "parent", "total_taxes"),
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
        "request": {"id": happening.request_id, "idempotency_key": None},
        "type": happening.type,
    }


def wire(event: Json) -> bytes:
    """The bytes that go over the wire: Stripe indents by two."""
    return json.dumps(event, indent=2, ensure_ascii=False).encode()


def render_object(body: Json, api_version: str) -> Json:
    """One of Stripe's objects in the shape of *api_version*."""
    shape = _SHAPES.get((str(body["object"]), api_version), _as_it_is)
    return shape(deepcopy(body))


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


def _as_it_is(body: Json) -> Json:
    return body


def _subscription_before_basil(body: Json) -> Json:
    items = body["items"]["data"]
    for item in items:
        start, end = item.pop("current_period_start"), item.pop("current_period_end")
        body |= {"current_period_start": start, "current_period_end": end}
    only = items[0] if len(items) == 1 else None
    body |= {
        "discount": None,
        "plan": deepcopy(only["plan"]) if only else None,
        "quantity": only["quantity"] if only else None,
    }
    return _without(body, _SINCE_BASIL_ONLY["subscription"])


def _invoice_before_basil(body: Json) -> Json:
    details = body["parent"]["subscription_details"]
    hidden = body.pop(HIDDEN)
    body |= {
        "charge": hidden["charge"] if body["attempted"] and body["total"] else None,
        "discount": None,
        "paid": body["status"] == "paid",
        "paid_out_of_band": False,
        "payment_intent": hidden["payment_intent"] if body["total"] else None,
        "quote": None,
        "subscription": details["subscription"],
        "subscription_details": {"metadata": details["metadata"]},
        "tax": None,
        "total_tax_amounts": [],
        "transfer_data": None,
    }
    body["lines"]["data"] = [_line_before_basil(line) for line in body["lines"]["data"]]
    return _without(body, _SINCE_BASIL_ONLY["invoice"])


def _line_before_basil(line: Json) -> Json:
    details = line["parent"]["subscription_item_details"]
    line |= line.pop(HIDDEN) | {
        "amount_excluding_tax": line["amount"],
        "proration": details["proration"],
        "proration_details": details["proration_details"],
        "subscription": details["subscription"],
        "subscription_item": details["subscription_item"],
        "tax_amounts": [],
        "tax_rates": [],
        "type": "subscription",
        "unit_amount_excluding_tax": line["pricing"]["unit_amount_decimal"],
    }
    return _without(line, ("parent", "pricing", "taxes"))


def _invoice_since_basil(body: Json) -> Json:
    """Since basil an invoice names neither its payment intent nor its charge: `invoice_payment.paid` does."""
    del body[HIDDEN]
    for line in body["lines"]["data"]:
        del line[HIDDEN]
    return body


def _subscription_newest(body: Json) -> Json:
    return body | {"billing_schedules": [], "customer_account": None, "managed_payments": {"enabled": False}}


def _invoice_newest(body: Json) -> Json:
    return _invoice_since_basil(body) | {"amount_paid_off_stripe": 0, "customer_account": None}


def _without(body: Json, keys: tuple[str, ...]) -> Json:
    return {key: value for key, value in body.items() if key not in keys}


_SHAPES: Final[dict[tuple[str, str], Callable[[Json], Json]]] = {
    ("subscription", BEFORE_BASIL): _subscription_before_basil,
    ("subscription", NEWEST): _subscription_newest,
    ("invoice", BEFORE_BASIL): _invoice_before_basil,
    ("invoice", BASIL): _invoice_since_basil,
    ("invoice", NEWEST): _invoice_newest,
}
