"""From the bytes of an event to the values of its rows: json.loads and dictionary look-ups, no check of anything."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

Row = dict[str, Any]

ENDS: Final = ("canceled", "incomplete_expired")
RANKS: Final = {"customer.subscription.created": 0, "customer.subscription.deleted": 2}
SHOWN: Final = frozenset("status items trial_end cancel_at cancel_at_period_end canceled_at pause_collection".split())
"""Fields that readers of our events see: a change of any other says nothing to them."""

ALWAYS_SAID: Final = frozenset({"customer.subscription.created", "customer.subscription.deleted"})
SUBSCRIPTION: Final = "customer.subscription."


class Event:
    """One event of one record, and what its rows are made of."""

    __slots__ = (
        *("fact_id", "type", "created", "api_version", "subject", "customer_id", "platform_id", "partition", "offset"),
        *("received_at", "shown", "previous", "slice", "said"),
    )

    def __init__(self, record: Any) -> None:
        event = json.loads(record.value)
        data = event["data"]
        shown = data["object"]
        self.fact_id: str = event["id"]
        self.type: str = event["type"]
        self.created = _moment(event["created"])
        self.api_version: str = event["api_version"]
        self.subject: str = shown["id"]
        self.customer_id: str = shown["customer"]
        self.platform_id: str | None = shown["metadata"].get("account_id")
        self.partition: int = record.partition
        self.offset: int = record.offset
        self.received_at = _moment(record.timestamp / 1000)
        self.shown: Row | None = shown if self.type.startswith(SUBSCRIPTION) else None
        self.previous: Row | None = data.get("previous_attributes")
        self.slice = None if self.shown is None else json.dumps(_slice(shown, self.previous))
        self.said = self.shown is not None and (self.type in ALWAYS_SAID or not SHOWN.isdisjoint(self.previous or ()))

    @property
    def digest(self) -> bytes:
        """What the inbox keeps of it."""
        return sha256((self.slice or self.fact_id).encode()).digest()

    def state(self) -> Row:
        """The subscription as its row shows it."""
        assert self.shown is not None, "only an event about a subscription has one"
        return _state(self.shown)

    def version(self, state: Mapping[str, Any]) -> Row:
        """The version that it makes.  Its ordinal is only unique: nobody puts it in order."""
        assert self.shown is not None, "only an event about a subscription has one"
        before = json.dumps(_state(self.shown | self.previous), default=str) if self.previous else None
        return {
            **state,
            "ended": state["status"] in ENDS,
            "ordinal": self.offset * 100 + self.partition,
            "rank": RANKS.get(self.type, 1),
            "before": before,
            "fact_id": self.fact_id,
            "occurred_at": self.created,
            "subscription_id": self.subject,
        }


def _state(shown: Mapping[str, Any]) -> Row:
    item = next((one for one in shown["items"]["data"] if one["price"]["lookup_key"]), shown["items"]["data"][0])
    price = item["price"]
    return {
        "customer_id": shown["customer"],
        "status": shown["status"],
        "plan": price["metadata"].get("plan"),
        "price_lookup_key": price["lookup_key"],
        "billing_interval": price["recurring"]["interval"],
        "quantity": item["quantity"],
        "current_period_start": _moment(item["current_period_start"]),
        "current_period_end": _moment(item["current_period_end"]),
        "trial_end": _maybe(shown["trial_end"]),
        "cancel_at": _maybe(shown["cancel_at"]),
        "cancel_at_period_end": shown["cancel_at_period_end"],
        "canceled_at": _maybe(shown["canceled_at"]),
        "collection_paused": shown["pause_collection"] is not None,
        "livemode": shown["livemode"],
    }


def _slice(shown: Row, previous: Row | None) -> Row:
    """As much text as ours keeps: the subscription after the change, and before it."""
    return {"after": _snapshot(shown), "before": _snapshot(shown | previous) if previous else None}


def _snapshot(shown: Mapping[str, Any]) -> Row:
    return {
        "subscription_id": shown["id"],
        "customer_id": shown["customer"],
        "status": shown["status"],
        "items": [
            {
                "price_id": item["price"]["id"],
                "lookup_key": item["price"]["lookup_key"],
                "plan_hint": item["price"]["metadata"].get("plan"),
                "interval": item["price"]["recurring"]["interval"],
                "quantity": item["quantity"],
                "period_start": item["current_period_start"],
                "period_end": item["current_period_end"],
            }
            for item in shown["items"]["data"]
        ],
        "trial_end": shown["trial_end"],
        "cancel_at": shown["cancel_at"],
        "cancel_at_period_end": shown["cancel_at_period_end"],
        "canceled_at": shown["canceled_at"],
        "collection_paused": shown["pause_collection"] is not None,
        "livemode": shown["livemode"],
    }


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _maybe(seconds: float | None) -> datetime | None:
    return None if seconds is None else _moment(seconds)
