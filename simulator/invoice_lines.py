"""Invoice lines: what is billed, for which time, by which price."""

from typing import TYPE_CHECKING, Any

from simulator.happenings import Json
from simulator.prices import plan_of
from simulator.things import HIDDEN

if TYPE_CHECKING:
    from simulator.invoice_items import InvoiceItem
    from simulator.subscription_periods import Periods
    from simulator.world import World


def line_of_item(subscription: "Periods", item: Json, *, free_of_charge: bool = False) -> Json:
    """A whole period of one item of a subscription."""
    price = item["price"]
    amount = 0 if free_of_charge else price["unit_amount"] * item["quantity"]
    line = _line(subscription.world, amount, price, item["quantity"])
    return line | {
        "description": f"{item['quantity']} x subscription (per {price['recurring']['interval']})",
        "metadata": subscription.body["metadata"],
        "parent": _of_subscription(subscription.id, item["id"]),
        "period": {"end": item["current_period_end"], "start": item["current_period_start"]},
    }


def line_of_invoice_item(item: "InvoiceItem") -> Json:
    """Something that was put aside for the invoice: a proration, or whatever else is owed."""
    body = item.body
    line = _line(item.world, body["amount"], item.price, body["quantity"])
    if item.subscription_item:
        parent = _of_subscription(item.subscription_id, item.subscription_item, body["id"])
    else:
        parent = _of_invoice_item(body)
    return line | {
        "currency": body["currency"],
        "description": body["description"],
        "discountable": body["discountable"],
        "metadata": body["metadata"],
        "parent": parent,
        "period": body["period"],
    }


def _line(world: "World", amount: int, price: Json | None, quantity: int) -> Json:
    return {
        "id": world.dice.identifier("il"),
        "object": "line_item",
        "amount": amount,
        "currency": price["currency"] if price else "usd",
        "description": None,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "pricing": pricing_of(price),
        "quantity": quantity,
        "taxes": [],
        HIDDEN: {"price": price, "plan": plan_of(price) if price and price["recurring"] else None},
    }


def pricing_of(price: Json | None) -> Json | None:
    """Since basil a line names its price, and shows nothing of it."""
    if price is None:
        return None
    return {
        "price_details": {"price": price["id"], "product": price["product"]},
        "type": "price_details",
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def _of_subscription(subscription_id: str | None, item_id: str, invoice_item: str | None = None) -> Json:
    details: Json = {
        "invoice_item": invoice_item,
        "proration": invoice_item is not None,
        "proration_details": {"credited_items": None},
        "subscription": subscription_id,
        "subscription_item": item_id,
    }
    return {
        "invoice_item_details": None,
        "subscription_item_details": details,
        "type": "subscription_item_details",
    }


def _of_invoice_item(body: Json) -> Json:
    parent: dict[str, Any] = body["parent"] or {}
    details = {
        "invoice_item": body["id"],
        "proration": False,
        "proration_details": {"credited_items": None},
        "subscription": (parent.get("subscription_details") or {}).get("subscription"),
    }
    return {"invoice_item_details": details, "subscription_item_details": None, "type": "invoice_item_details"}
