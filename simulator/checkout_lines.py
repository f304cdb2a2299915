"""Checkout lines: what is in the basket, and what it comes to."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.amounts import Reckoning
from simulator.happenings import Json
from simulator.prices import price_named, price_of_data
from simulator.refusals import invalid

if TYPE_CHECKING:
    from simulator.world import World


def prices_asked(world: "World", asked: Sequence[Json], mode: str) -> list[tuple[Json, int]]:
    """The prices of the basket with how many of each; Refused where they do not go with the *mode*."""
    chosen = []
    for place, one in enumerate(asked):
        param = f"line_items[{place}]"
        if "price_data" in one:
            price = price_of_data(world, one["price_data"], f"{param}[price_data]").body
        elif "price" in one:
            price = price_named(world, one["price"], f"{param}[price]").body
        else:
            raise invalid(f"Missing required param: {param}[price].", f"{param}[price]", "parameter_missing")
        if mode == "payment" and price["recurring"]:
            words = (
                "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or "
            )
            raise invalid(f"{words}use only one-time prices.", param)
        chosen.append((price, int(one.get("quantity") or 1)))
    if mode == "subscription" and not any(price["recurring"] for price, _ in chosen):
        raise invalid("You must provide at least one recurring price in `subscription` mode.", "line_items")
    if len({price["currency"] for price, _ in chosen}) > 1:
        raise invalid("All line items must have the same currency.", "line_items")
    return chosen


def line_items(world: "World", prices: Sequence[tuple[Json, int]], reckoning: Reckoning, *, free: bool) -> list[Json]:
    """The basket as Checkout lists it; *free* is what a trial begins with."""
    lines = [
        {"amount": 0 if free and price["recurring"] else price["unit_amount"] * quantity, "discountable": True}
        for price, quantity in prices
    ]
    return [
        _line(world, price, quantity, line)
        for (price, quantity), line in zip(prices, reckoning.lines(lines), strict=True)
    ]


def _line(world: "World", price: Json, quantity: int, line: Json) -> Json:
    off = sum(one["amount"] for one in line["discount_amounts"])
    tax = sum(one["amount"] for one in line["taxes"])
    product: Any = world.shelf.get("product", price["product"])
    return {
        "id": world.dice.identifier("li"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": off,
        "amount_subtotal": line["amount"],
        "amount_tax": tax,
        "amount_total": line["amount"] - off + tax,
        "currency": price["currency"],
        "description": product.body["name"] if product else "Product",
        "metadata": {},
        "price": price,
        "quantity": quantity,
    }


def basket_totals(lines: Sequence[Json]) -> Json:
    """What the session shows of its amounts."""
    return {
        "amount_subtotal": sum(line["amount_subtotal"] for line in lines),
        "amount_total": sum(line["amount_total"] for line in lines),
        "total_details": {
            "amount_discount": sum(line["amount_discount"] for line in lines),
            "amount_shipping": 0,
            "amount_tax": sum(line["amount_tax"] for line in lines),
        },
    }
