"""Subscription schedules: what a subscription will become, phase by phase."""

from typing import Any, Final

from simulator.happenings import Json
from simulator.server.parameters import MOMENT_OR_NOW, Hash, choice, flag, many, metadata, text, unsettable, whole
from simulator.server.resources.shared import COLLECTION, DISCOUNTS, PRICE_DATA_OF_PRODUCT, PRORATION, RECURRING
from simulator.server.routes import CREATED, Call, Filters, Route, acting, listing, retrieving, same
from simulator.subscription_schedules import SubscriptionSchedule

KIND: Final = "subscription_schedule"
PLACE: Final = "/v1/subscription_schedules"
PHASES_MAX: Final = 10

PHASE: Final = Hash(
    {
        "collection_method": COLLECTION,
        "currency": text,
        "default_payment_method": text,
        "description": unsettable(text),
        "discounts": DISCOUNTS,
        "duration": RECURRING,
        "end_date": whole,
        "items": many(
            Hash(
                {
                    "discounts": DISCOUNTS,
                    "metadata": metadata,
                    "price": text,
                    "price_data": PRICE_DATA_OF_PRODUCT,
                    "quantity": whole,
                }
            )
        ),
        "metadata": metadata,
        "proration_behavior": PRORATION,
        "trial": flag,
        "trial_end": whole,
    },
    needs=("items",),
)
CHANGE: Final[dict[str, Any]] = {
    "end_behavior": choice("cancel", "release"),
    "metadata": unsettable(metadata),
}
CREATE: Final = Hash(
    CHANGE
    | {
        "customer": text,
        "from_subscription": text,
        "phases": many(PHASE, PHASES_MAX),
        "start_date": MOMENT_OR_NOW,
    }
)
UPDATE: Final = Hash(
    CHANGE
    | {
        "phases": many(PHASE.with_fields({"start_date": MOMENT_OR_NOW}), PHASES_MAX),
        "proration_behavior": PRORATION,
    }
)
FILTERS: Final[Filters] = (
    CREATED
    | same("customer", text)
    | {"scheduled": (flag, lambda scheduled, body: scheduled == (body["status"] == "not_started"))}
)


def create(call: Call) -> Json:
    """A new schedule: of a subscription there is, or of one that will be."""
    return SubscriptionSchedule.create(call.world, **call.params).body


ROUTES: Final = (
    Route("POST", PLACE, CREATE, create),
    listing(PLACE, KIND, FILTERS),
    retrieving(f"{PLACE}/{{id}}", KIND),
    acting(f"{PLACE}/{{id}}", KIND, UPDATE, lambda schedule, changes: schedule.update(**changes)),
    acting(
        f"{PLACE}/{{id}}/cancel",
        KIND,
        Hash({"invoice_now": flag, "prorate": flag}),
        lambda schedule, how: schedule.cancel(**how),
    ),
    acting(
        f"{PLACE}/{{id}}/release",
        KIND,
        Hash({"preserve_cancel_date": flag}),
        lambda schedule, how: schedule.release(**how),
    ),
)
