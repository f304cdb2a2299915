"""Subscription items: what a subscription is made of, and what a change of them costs in the middle of a period."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.happenings import Json
from simulator.invoice_items import InvoiceItem
from simulator.invoice_lines import line_of_item
from simulator.prices import plan_of, price_named, price_of_data
from simulator.refusals import invalid, missing
from simulator.things import merged_metadata

if TYPE_CHECKING:
    from simulator.subscription_periods import Periods
    from simulator.world import World

MONTHS: dict[str, int] = {"month": 1, "year": 12}


def item_body(
    world: "World", subscription_id: str, price: Json, quantity: int = 1, metadata: Json | None = None
) -> Json:
    """A new item; its period is the subscription's."""
    return {
        "id": world.dice.identifier("si", 14),
        "object": "subscription_item",
        "billing_thresholds": None,
        "created": world.now,
        "current_period_end": world.now,
        "current_period_start": world.now,
        "discounts": [],
        "metadata": merged_metadata({}, metadata),
        "plan": plan_of(price),
        "price": price,
        "quantity": quantity,
        "subscription": subscription_id,
        "tax_rates": [],
    }


def items_asked(world: "World", subscription_id: str, old: Sequence[Json], asked: Sequence[Json]) -> list[Json]:
    """The items after what was *asked* of the *old* ones; Refused where that makes no subscription."""
    items = {item["id"]: item for item in old}
    for place, one in enumerate(asked):
        if "id" not in one:
            item = item_body(
                world, subscription_id, _price(world, one, place), one.get("quantity", 1), one.get("metadata")
            )
            periods = ("current_period_start", "current_period_end")
            items[item["id"]] = item | ({name: old[0][name] for name in periods} if old else {})
        elif one["id"] not in items:
            raise missing("subscription item", one["id"], f"items[{place}][id]")
        elif one.get("deleted"):
            del items[one["id"]]
        else:
            items[one["id"]] = _changed(world, items[one["id"]], one, place)
    _check(list(items.values()))
    return list(items.values())


def _changed(world: "World", item: Json, asked: Json, place: int) -> Json:
    changes: Json = {}
    if "price" in asked or "price_data" in asked:
        price = _price(world, asked, place)
        changes |= {"price": price, "plan": plan_of(price)}
    if "quantity" in asked:
        changes["quantity"] = asked["quantity"]
    if "metadata" in asked:
        changes["metadata"] = merged_metadata(item["metadata"], asked["metadata"])
    return item | changes


def _price(world: "World", asked: Json, place: int) -> Json:
    param = f"items[{place}][price]"
    if "price_body" in asked:  # What Checkout has looked up, or made for this one basket.
        known: Json = asked["price_body"]
        return known
    if "price_data" in asked:
        return price_of_data(world, asked["price_data"], f"items[{place}][price_data]").body
    if "price" not in asked:
        raise invalid("Missing required param: items[0][price].", param, "parameter_missing")
    price = price_named(world, asked["price"], param).body
    if price["recurring"] is None:
        words = (
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`."
        )
        raise invalid(words, param)
    return price


def _check(items: Sequence[Json]) -> None:
    if not items:
        raise invalid("A subscription must have at least one active plan.", "items")
    if len({(item["price"]["recurring"]["interval"], _count(item)) for item in items}) > 1:
        raise invalid("All prices on a subscription must have the same `recurring.interval`.", "items")
    if len({item["price"]["currency"] for item in items}) > 1:
        raise invalid("All prices on a subscription must have the same currency.", "items")
    prices = [item["price"]["id"] for item in items]
    if len(set(prices)) < len(prices):
        raise invalid("Cannot add multiple subscription items with the same plan.", "items")


def _count(item: Json) -> int:
    count: int = item["price"]["recurring"]["interval_count"]
    return count


def months_of(items: Sequence[Json]) -> int | None:
    """How many months a period lasts; None where it is counted in days or weeks."""
    months = MONTHS.get(items[0]["price"]["recurring"]["interval"])
    return months * _count(items[0]) if months else None


def days_of(items: Sequence[Json]) -> int:
    """How many days a period lasts that is counted in days or weeks."""
    return {"day": 1, "week": 7}[items[0]["price"]["recurring"]["interval"]] * _count(items[0])


def owed_for(items: Sequence[Json]) -> int:
    """What a whole period of the *items* costs, before anything is taken off."""
    return sum(item["price"]["unit_amount"] * item["quantity"] for item in items)


def prorate(subscription: "Periods", old: Sequence[Json], new: Sequence[Json], at: int, *, whole: bool) -> None:
    """Put aside what is given back of the *old* items, and owed for the *new* ones, until the period's end.

    With a *whole* new period the new ones are billed by that, and only the old ones are given back.
    """
    for item, amount in proration(old, new, at, whole=whole):
        InvoiceItem.prorate(subscription, item, amount, _words(item, amount))


def proration_lines(subscription: "Periods", new: Sequence[Json], at: int) -> list[Json]:
    """The lines that a change to *new* items would bring, of which nothing is kept."""
    lines = []
    for item, amount in proration(subscription.items, new, at, whole=False):
        line = line_of_item(subscription, item)
        period = {"end": item["current_period_end"], "start": at}
        lines.append(line | {"amount": amount, "description": _words(item, amount), "period": period})
    return lines


def proration(old: Sequence[Json], new: Sequence[Json], at: int, *, whole: bool) -> list[tuple[Json, int]]:
    """Which items are given back, and which are owed, from *at* until the period's end, and how much."""
    kept = {item["id"]: item for item in new}
    known = {item["id"] for item in old}
    shares: list[tuple[Json, int]] = []
    for item in old:
        after = kept.get(item["id"])
        if whole or after is None or _terms(after) != _terms(item):
            shares.append((item, -_share(item, at)))
            if after and not whole:
                shares.append((after, _share(after, at)))
    if not whole:
        shares += [(item, _share(item, at)) for item in new if item["id"] not in known]
    return [(item, amount) for item, amount in shares if amount]


def _terms(item: Json) -> tuple[str, int]:
    return item["price"]["id"], item["quantity"]


def _share(item: Json, at: int) -> int:
    """What the item costs from *at* until its period's end, rounded half up."""
    start, end = item["current_period_start"], item["current_period_end"]
    if not start <= at < end:
        return 0
    return int(((end - at) * owed_for([item]) + (end - start) // 2) // (end - start))


def _words(item: Json, amount: int) -> str:
    return f"{'Remaining' if amount > 0 else 'Unused'} time on {item['quantity']} x subscription"
