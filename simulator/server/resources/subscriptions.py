"""Subscriptions, and the items that they are made of."""

from typing import Any, Final

from simulator.happenings import Json
from simulator.server.errors import no_such
from simulator.server.lists import PAGING, Cursor, Page, page_of
from simulator.server.parameters import (
    MOMENT_OR_NOW,
    NOTHING,
    Hash,
    choice,
    either,
    flag,
    many,
    metadata,
    text,
    unsettable,
    whole,
)
from simulator.server.resources.shared import (
    AUTOMATIC_TAX,
    COLLECTION,
    DISCOUNTS,
    PAYMENT_BEHAVIOR,
    PRICE_DATA_OF_PRODUCT,
    PRORATION,
    TRIAL_SETTINGS,
)
from simulator.server.routes import CREATED, Call, Filters, Route, acting, listing, retrieving, same
from simulator.server.search import searching
from simulator.subscriptions import ENDS, Subscription

KIND: Final = "subscription"
PLACE: Final = "/v1/subscriptions"
ITEMS: Final = "/v1/subscription_items"
ITEMS_MAX: Final = 20

ITEM: Final[dict[str, Any]] = {
    "discounts": DISCOUNTS,
    "metadata": unsettable(metadata),
    "price": text,
    "price_data": PRICE_DATA_OF_PRODUCT,
    "quantity": whole,
}
CHANGE: Final[dict[str, Any]] = {
    "automatic_tax": AUTOMATIC_TAX,
    "cancel_at_period_end": flag,
    "collection_method": COLLECTION,
    "days_until_due": whole,
    "default_payment_method": text,
    "description": unsettable(text),
    "discounts": DISCOUNTS,
    "metadata": unsettable(metadata),
    "off_session": flag,
    "payment_behavior": PAYMENT_BEHAVIOR,
    "payment_settings": Hash({"save_default_payment_method": choice("off", "on_subscription")}),
    "proration_behavior": PRORATION,
    "trial_end": MOMENT_OR_NOW,
    "trial_settings": TRIAL_SETTINGS,
}
CREATE: Final = Hash(
    CHANGE
    | {
        "billing_cycle_anchor": whole,
        "cancel_at": whole,
        "currency": text,
        "customer": text,
        "items": many(Hash(ITEM), ITEMS_MAX),
        "trial_period_days": whole,
    },
    needs=("customer", "items"),
)
CANCELLATION: Final = Hash(
    {
        "comment": unsettable(text),
        "feedback": unsettable(
            choice(
                "customer_service",
                "low_quality",
                "missing_features",
                "other",
                "switched_service",
                "too_complex",
                "too_expensive",
                "unused",
            )
        ),
    }
)
UPDATE: Final = Hash(
    CHANGE
    | {
        "billing_cycle_anchor": choice("now", "unchanged"),
        "cancel_at": unsettable(either(choice("min_period_end", "max_period_end"), whole)),
        "cancellation_details": CANCELLATION,
        "items": many(Hash(ITEM | {"id": text, "deleted": flag}), ITEMS_MAX),
        "pause_collection": unsettable(
            Hash(
                {"behavior": choice("keep_as_draft", "mark_uncollectible", "void"), "resumes_at": whole},
                needs=("behavior",),
            )
        ),
        "proration_date": whole,
    }
)
CANCEL: Final = Hash({"cancellation_details": CANCELLATION, "invoice_now": flag, "prorate": flag})
RESUME: Final = Hash(
    {
        "billing_cycle_anchor": choice("now", "unchanged"),
        "proration_behavior": PRORATION,
        "proration_date": whole,
    }
)
STATUSES: Final = choice(
    "active",
    "all",
    "canceled",
    "ended",
    "incomplete",
    "incomplete_expired",
    "past_due",
    "paused",
    "trialing",
    "unpaid",
)


def _prices(body: Json) -> set[str]:
    return {item["price"]["id"] for item in body["items"]["data"]}


FILTERS: Final[Filters] = (
    CREATED
    | same("customer", text)
    | same("collection_method", COLLECTION)
    | {"price": (text, lambda price, body: price in _prices(body))}
)


def create(call: Call) -> Json:
    """A new subscription, with its first invoice."""
    body: Json = Subscription.create(call.world, **call.params).body
    return body


def list_subscriptions(call: Call) -> Page:
    """The subscriptions that are not canceled; all of them only when `status=all` asks for them."""
    status = call.params.get("status")
    page = listing(call.path, KIND, FILTERS, lambda subscription: _has(subscription.body["status"], status)).answer(
        call
    )
    assert isinstance(page, Page), "a listing answers with a page"
    return page


def _has(status: str, asked: str | None) -> bool:
    match asked:
        case None:
            return status != "canceled"
        case "all":
            return True
        case "ended":
            return status in ENDS
    return status == asked


# Items: a subscription's, and changed through it.


def _item(call: Call) -> tuple[Any, Json]:
    """The subscription that the item in the path belongs to, and the item."""
    for subscription in call.world.shelf.all(KIND):
        for item in subscription.body["items"]["data"]:
            if item["id"] == call.ids["id"]:
                return subscription, item
    raise no_such("subscription item", call.ids["id"], "item")


def retrieve_item(call: Call) -> Json:
    """One item."""
    return _item(call)[1]


def list_items(call: Call) -> Page:
    """The items of one subscription."""
    subscription = call.look(KIND, call.params["subscription"], "subscription")
    items: list[Json] = subscription.body["items"]["data"]
    data, has_more = page_of(
        "subscription item", items, lambda _: True, Cursor.of(call.params), lambda item: str(item["id"])
    )
    return Page(data, has_more, call.path)


def create_item(call: Call) -> Json:
    """One more item."""
    how, item = _parted(call.params)
    subscription = call.look(KIND, how.pop("subscription"), "subscription", 400)
    before = {one["id"] for one in subscription.body["items"]["data"]}
    subscription.update(items=[item], **how)
    return next(one for one in subscription.body["items"]["data"] if one["id"] not in before)


def update_item(call: Call) -> Json:
    """Another price or quantity."""
    subscription, _ = _item(call)
    how, item = _parted(call.params)
    subscription.update(items=[item | {"id": call.ids["id"]}], **how)
    return _item(call)[1]


def delete_item(call: Call) -> Json:
    """One item less."""
    subscription, item = _item(call)
    how, _ = _parted(call.params)
    subscription.update(items=[{"id": item["id"], "deleted": True}], **how)
    return {"id": item["id"], "object": "subscription_item", "deleted": True}


def _parted(params: Json) -> tuple[Json, Json]:
    """How the subscription is to change, and what is said of the item."""
    how = {name: value for name, value in params.items() if name not in ITEM}
    return how, {name: value for name, value in params.items() if name in ITEM}


HOW: Final[dict[str, Any]] = {
    "payment_behavior": PAYMENT_BEHAVIOR,
    "proration_behavior": PRORATION,
    "proration_date": whole,
}

ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    Route(
        "GET",
        PLACE,
        Hash(PAGING | {name: reader for name, (reader, _) in FILTERS.items()} | {"status": STATUSES}),
        list_subscriptions,
    ),
    searching(f"{PLACE}/search", KIND, ("created", "status")),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, UPDATE, lambda subscription, changes: subscription.update(**changes)),
    acting(f"{PLACE}/{{id}}", KIND, CANCEL, lambda subscription, how: subscription.cancel(**how), method="DELETE"),
    acting(f"{PLACE}/{{id}}/resume", KIND, RESUME, lambda subscription, how: subscription.resume(**how)),
    Route("POST", ITEMS, Hash(ITEM | HOW | {"subscription": text}, needs=("subscription",)), create_item),
    Route("GET", ITEMS, Hash(PAGING | {"subscription": text}, needs=("subscription",)), list_items),
    Route("GET", f"{ITEMS}/{{id}}", NOTHING, retrieve_item),
    Route("POST", f"{ITEMS}/{{id}}", Hash(ITEM | HOW | {"off_session": flag}), update_item),
    Route("DELETE", f"{ITEMS}/{{id}}", Hash(HOW), delete_item),
)
