"""Changing a subscription: upward now, downward at the period's end, ending and going on.

Stripe is asked how it stands, since the books hear of changes a moment later, and each step is chosen by that.  So a
request that is sent again goes on from where it came to: what is so already is not done again.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from ingress.platform import customers
from ingress.platform.calls import Call
from ingress.platform.problems import Problem, Word
from ingress.platform.shapes import CancelAsked, ChangeAsked, SubscriptionAsked, SubscriptionShown, When
from models.catalog import Catalog, Interval, Offer
from runtime.stripe_client import Answer, Json, path

CUSTOMERS_MAX: Final = 5
"""An account is one customer; whoever has more of them has been merged."""

LIVE: Final = frozenset({"trialing", "active", "past_due", "unpaid", "paused"})
LENGTHS: Final = (Interval.DAY, Interval.WEEK, Interval.MONTH, Interval.YEAR)
assert set(LENGTHS) == set(Interval), "every interval has its length"


class Worth(NamedTuple):
    """What makes one offer more than another: the plan, then for how long it binds."""

    plan: int
    interval: int


async def act(call: Call) -> SubscriptionShown:
    """The account's subscription, after what was asked."""
    body: SubscriptionAsked = call.body
    subscription = await _theirs(call, body.root.subscription_id)
    await call.aim(subscription["id"])
    match body.root:
        case ChangeAsked(plan=plan):
            return await _change(call, subscription, plan)
        case CancelAsked(when="now"):
            return await _end(call, subscription)
        case CancelAsked():
            return await _let_run_out(call, subscription)
        case _:
            return await _resume(call, subscription)


async def _theirs(call: Call, wanted: str | None) -> Json:
    """The subscription that is meant: the live one, or what a try before this one acted on."""
    if call.target is not None:
        return await call.read(path("subscriptions", call.target))
    live = [one async for one in _live(call) if wanted in {None, one["id"]}]
    match live:
        case [subscription]:
            return subscription
        case []:
            right = "must be of this account and live" if wanted else "must have a live subscription"
            field = "subscription_id" if wanted else "account"
            raise Problem.with_field(Word.STATE_FORBIDS, field, right)
        case _:
            ids = ", ".join(one["id"] for one in live)
            raise Problem.with_field(Word.STATE_FORBIDS, "subscription_id", f"must say which one: {ids}")


async def _live(call: Call) -> AsyncIterator[Json]:
    known = await customers.known(call)
    for customer_id in known.living[:CUSTOMERS_MAX]:
        listed = await call.read(path("subscriptions"), {"customer": customer_id, "limit": 100})
        for subscription in listed["data"]:
            if subscription["status"] in LIVE:
                yield subscription


# Another plan.


async def _change(call: Call, subscription: Json, lookup_key: str) -> SubscriptionShown:
    new = _offer(call.tools.catalog, lookup_key)
    item, old = _plan_item(call.tools.catalog, subscription)
    if new.lookup_key == old.lookup_key:
        return _shown(await _drop_schedule(call, subscription), When.NOW)
    if subscription["cancel_at_period_end"]:
        raise Problem.with_field(Word.STATE_FORBIDS, "action", "must be resume first: the subscription is to end")
    price = await call.tools.prices.id_of(call.read, lookup_key)
    if _worth(call.tools.catalog, new) > _worth(call.tools.catalog, old):
        return await _upgrade(call, await _drop_schedule(call, subscription), item, price)
    return await _downgrade(call, subscription, item, price)


async def _upgrade(call: Call, subscription: Json, item: Json, price: str) -> SubscriptionShown:
    """From now on, and what it costs more is billed at once.  Until that is paid, nothing has changed."""
    where = path("subscriptions", subscription["id"])

    async def look() -> Answer | None:
        seen = await call.tools.stripe.read(where, None, call.asking)
        coming = (seen.object.get("pending_update") or {}).get("subscription_items") or []
        return seen if price in {one["price"]["id"] for one in [*seen.object["items"]["data"], *coming]} else None

    params = {
        "items": [{"id": item["id"], "price": price}],
        "proration_behavior": "always_invoice",
        "payment_behavior": "pending_if_incomplete",
    }
    after = await call.write("upgrade", where, params, look)
    if not after.get("pending_update"):
        return _shown(after, When.NOW)
    return _shown(after, When.WHEN_PAID, payment_url=await _payment_url(call, after))


async def _payment_url(call: Call, subscription: Json) -> str | None:
    """Where what a change costs is paid."""
    invoice_id = _id(subscription["latest_invoice"])
    if invoice_id is None:
        return None
    return (await call.read(path("invoices", invoice_id))).get("hosted_invoice_url")


async def _downgrade(call: Call, subscription: Json, item: Json, price: str) -> SubscriptionShown:
    """At the period's end, by a schedule.  One that is there already is planned anew."""
    schedule = await _schedule(call, subscription)
    phase = _current(schedule)
    items = [_asked(one) for one in phase["items"]]
    coming = [one | {"price": price} if one["price"] == _id(item["price"]) else one for one in items]
    where = path("subscription_schedules", schedule["id"])

    async def look() -> Answer | None:
        seen = await call.tools.stripe.read(where, None, call.asking)
        return seen if _plans(seen.object, price) else None

    if not _plans(schedule, price):
        now = {"items": items, "start_date": phase["start_date"], "end_date": phase["end_date"]}
        params = {"end_behavior": "release", "proration_behavior": "none", "phases": [now, {"items": coming}]}
        await call.write("downgrade", where, params, look)
    return _shown(subscription, When.PERIOD_END, at=phase["end_date"])


async def _schedule(call: Call, subscription: Json) -> Json:
    """The subscription's schedule: without one, a new one that changes nothing yet."""
    known = _id(subscription["schedule"])
    if known:
        return await call.read(path("subscription_schedules", known))

    async def look() -> Answer | None:
        seen = await call.read(path("subscriptions", subscription["id"]))
        found = _id(seen["schedule"])
        where = path("subscription_schedules", found) if found else ""
        return await call.tools.stripe.read(where, None, call.asking) if found else None

    return await call.write("schedule", path("subscription_schedules"), {"from_subscription": subscription["id"]}, look)


async def _drop_schedule(call: Call, subscription: Json) -> Json:
    """The subscription, without what was planned for it before."""
    known = _id(subscription["schedule"])
    if not known:
        return subscription
    where = path("subscriptions", subscription["id"])

    async def look() -> Answer | None:
        seen = await call.tools.stripe.read(where, None, call.asking)
        return seen if _id(seen.object["schedule"]) != known else None

    await call.write(f"release:{known}", path("subscription_schedules", known, "release"), {}, look)
    return subscription | {"schedule": None}


def _current(schedule: Json) -> Json:
    """The phase that runs; of a schedule that has not begun, the first."""
    phases: list[Json] = schedule["phases"]
    since = (schedule["current_phase"] or phases[0])["start_date"]
    return next((one for one in phases if one["start_date"] == since), phases[0])


def _plans(schedule: Json, price: str) -> bool:
    """Whether what comes after the current phase is this price already."""
    coming = [one for one in schedule["phases"] if one["start_date"] > _current(schedule)["start_date"]]
    return bool(coming) and price in {_id(item["price"]) for item in coming[0]["items"]}


def _asked(item: Json) -> dict[str, Any]:
    return {"price": _id(item["price"]), "quantity": item["quantity"]}


# Ending, and going on.


async def _let_run_out(call: Call, subscription: Json) -> SubscriptionShown:
    if subscription["status"] == "canceled" or subscription["cancel_at_period_end"]:
        return _shown(subscription, When.PERIOD_END)
    subscription = await _drop_schedule(call, subscription)
    return _shown(await _set_ending(call, subscription, ending=True), When.PERIOD_END)


async def _end(call: Call, subscription: Json) -> SubscriptionShown:
    if subscription["status"] == "canceled":
        return _shown(subscription, When.NOW)
    where = path("subscriptions", subscription["id"])

    async def look() -> Answer | None:
        seen = await call.tools.stripe.read(where, None, call.asking)
        return seen if seen.object["status"] == "canceled" else None

    return _shown(await call.write("cancel", where, {}, look, delete=True), When.NOW)


async def _resume(call: Call, subscription: Json) -> SubscriptionShown:
    if subscription["cancel_at_period_end"]:
        return _shown(await _set_ending(call, subscription, ending=False), When.NOW)
    where = path("subscriptions", subscription["id"])

    async def look() -> Answer | None:
        seen = await call.tools.stripe.read(where, None, call.asking)
        paused = seen.object["status"] == "paused" or seen.object["pause_collection"]
        return None if paused else seen

    if subscription["status"] == "paused":
        return _shown(
            await call.write("resume", path("subscriptions", subscription["id"], "resume"), {}, look), When.NOW
        )
    if subscription["pause_collection"]:
        return _shown(await call.write("collect", where, {"pause_collection": ""}, look), When.NOW)
    if call.again and subscription["status"] != "canceled":
        return _shown(subscription, When.NOW)
    raise Problem.with_field(Word.STATE_FORBIDS, "action", "is for what is to end or is paused: this is neither")


async def _set_ending(call: Call, subscription: Json, *, ending: bool) -> Json:
    where = path("subscriptions", subscription["id"])

    async def look() -> Answer | None:
        seen = await call.tools.stripe.read(where, None, call.asking)
        return seen if seen.object["cancel_at_period_end"] is ending else None

    return await call.write("ending", where, {"cancel_at_period_end": ending}, look)


# What is what.


def _offer(catalog: Catalog, lookup_key: str) -> Offer:
    terms = catalog.terms(lookup_key)
    offer = catalog.offer(lookup_key=lookup_key, price_id="", plan_hint=None, interval=None)
    if terms is None or offer is None:
        raise Problem.with_field(Word.NOT_SOLD, "plan", "must be the lookup key of a plan's price in the catalog")
    return offer


def _plan_item(catalog: Catalog, subscription: Json) -> tuple[Json, Offer]:
    """The one item that a plan of the catalog is bought by; others may stand beside it."""
    found = [(item, offer) for item in subscription["items"]["data"] if (offer := _offer_of(catalog, item["price"]))]
    if len(found) != 1:
        right = f"must have one plan of the catalog: it has {len(found)}"
        raise Problem.with_field(Word.STATE_FORBIDS, "subscription_id", right)
    return found[0]


def _offer_of(catalog: Catalog, price: Json) -> Offer | None:
    return catalog.offer(
        lookup_key=price.get("lookup_key"),
        price_id=price["id"],
        plan_hint=(price.get("metadata") or {}).get("plan"),
        interval=(price.get("recurring") or {}).get("interval"),
    )


def _worth(catalog: Catalog, offer: Offer) -> Worth:
    plans = [plan.plan for plan in catalog.plans]  # From the smallest to the largest.
    return Worth(plans.index(offer.plan), LENGTHS.index(offer.interval))


def _id(value: Any) -> str | None:
    """An id, whether Stripe sent the id or the object."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def _shown(
    subscription: Json, effective: When, *, at: int | None = None, payment_url: str | None = None
) -> SubscriptionShown:
    items = subscription["items"]["data"]
    if effective is When.PERIOD_END and at is None:
        at = subscription.get("ended_at") or subscription.get("cancel_at") or items[0]["current_period_end"]
    return SubscriptionShown(
        subscription_id=subscription["id"],
        status=subscription["status"],
        price_lookup_key=next((key for item in items if (key := item["price"].get("lookup_key"))), None),
        cancel_at_period_end=subscription["cancel_at_period_end"],
        effective=effective,
        effective_at=None if at is None else datetime.fromtimestamp(at, UTC),
        payment_url=payment_url,
    )
