"""Stripe's events as tests write them: one subscription in every shape, and the facts that come of it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from models import stripe_events, subscriptions
from models.base import Envelope, Source
from models.catalog import Catalog
from models.stripe_events import Fact
from models.subscriptions import Version

Json = dict[str, Any]

CATALOG_FILE: Final = Path(__file__).parents[2] / "deploy" / "catalog.yaml"
CATALOG: Final = Catalog.model_validate(yaml.safe_load(CATALOG_FILE.read_text()))

PLAN_ITEMS: Final = "2019-12-03"
BEFORE_BASIL: Final = "2024-06-20"
BASIL: Final = "2025-03-31.basil"
SHAPES: Final = (PLAN_ITEMS, BEFORE_BASIL, BASIL)

NOON: Final = 1_790_000_000
MONTH: Final = 30 * 24 * 60 * 60

SUBSCRIPTION: Final[Json] = {
    "id": "sub_1",
    "customer": "cus_1",
    "status": "active",
    "lookup_key": "mid_monthly",
    "quantity": 1,
    "period": (NOON, NOON + MONTH),
    "trial_end": None,
    "cancel_at": None,
    "cancel_at_period_end": False,
    "canceled_at": None,
    "paused": False,
    "note": "",
}
"""A subscription before any shape: `lookup_key` names the plan and the interval, `note` is in nothing that we show."""


def subscription(**changes: Any) -> Json:
    """A subscription that differs from the plain one by *changes*."""
    return SUBSCRIPTION | changes


def rendered(body: Mapping[str, Any], shape: str) -> Json:
    """The subscription as Stripe shows it in API version *shape*."""
    start, end = body["period"]
    period = {"current_period_start": start, "current_period_end": end}
    item: Json = {"id": "si_1", "quantity": body["quantity"], **_price(body["lookup_key"], shape)}
    return {
        "id": body["id"],
        "object": "subscription",
        "customer": body["customer"],
        "status": body["status"],
        "items": {"object": "list", "data": [item | (period if shape == BASIL else {})]},
        "trial_end": body["trial_end"],
        "cancel_at": body["cancel_at"],
        "cancel_at_period_end": body["cancel_at_period_end"],
        "canceled_at": body["canceled_at"],
        "pause_collection": {"behavior": "void", "resumes_at": None} if body["paused"] else None,
        "metadata": {"note": body["note"]},
        "livemode": False,
    } | ({} if shape == BASIL else period)


def _price(lookup_key: str, shape: str) -> Json:
    plan, interval = lookup_key.removesuffix("ly").split("_")
    if shape == PLAN_ITEMS:  # No lookup key yet: the plan is found by metadata and interval.
        return {"plan": {"id": f"plan_{lookup_key}", "interval": interval, "metadata": {"plan": plan}}}
    recurring = {"interval": interval, "interval_count": 1}
    return {"price": {"id": f"price_{lookup_key}", "lookup_key": lookup_key, "recurring": recurring}}


def event(
    event_id: str,
    after: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
    *,
    kind: str = "updated",
    created: int = NOON,
    shape: str = BASIL,
) -> Json:
    """An event that shows *after* and, where it is given, tells what was different in *before*."""
    new = rendered(after, shape)
    data: Json = {"object": new}
    if before is not None:
        old = rendered(before, shape)
        data["previous_attributes"] = {key: old[key] for key in old if old[key] != new[key]}
    return {
        "id": event_id,
        "object": "event",
        "api_version": shape,
        "created": created,
        "livemode": False,
        "type": f"customer.subscription.{kind}",
        "data": data,
    }


def envelope(fact_id: str = "evt_1", **changes: Any) -> Envelope:
    """An envelope that differs from the plain one by *changes*; times may be given in seconds."""
    plain: Json = {
        "source": Source.STRIPE,
        "id": fact_id,
        "type": "customer.subscription.updated",
        "subject": "sub_1",
        "customer": "cus_1",
        "occurred_at": NOON,
        "received_at": NOON + 1,
        "api_version": BASIL,
        "livemode": False,
    }
    fields = plain | changes
    for name in ("occurred_at", "received_at"):
        if isinstance(fields[name], int):
            fields[name] = moment(fields[name])
    return Envelope(**fields)


def moment(second: int) -> datetime:
    """The instant of a second of Stripe's."""
    return datetime.fromtimestamp(second, UTC)


def envelope_of(event: Json) -> Envelope:
    """What the door writes on the envelope of *event*; the door's own reading is tested beside the door."""
    shown = event["data"]["object"]
    return envelope(
        event["id"],
        type=event["type"],
        subject=shown.get("id"),
        customer=shown["id"] if shown.get("object") == "customer" else shown.get("customer"),
        account=(shown.get("metadata") or {}).get("account_id"),
        occurred_at=event["created"],
        received_at=event["created"] + 1,
        api_version=event["api_version"],
    )


def fact_of(event: Json) -> Fact:
    """The fact that *event* becomes."""
    return stripe_events.read(envelope_of(event), json.dumps(event).encode())


def version_of(event: Json) -> Version:
    """The version that *event* makes of its subscription."""
    fact = fact_of(event)
    assert fact.body is not None
    return subscriptions.version_of(fact.envelope, fact.body, CATALOG)


def version(fact_id: str, after: Mapping[str, Any], before: Mapping[str, Any] | None = None, **options: Any) -> Version:
    """The version that an event with these contents makes."""
    return version_of(event(fact_id, after, before, **options))
