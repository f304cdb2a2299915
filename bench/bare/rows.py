"""From the bytes of an event to the values of its rows: json.loads and dictionary look-ups, no check of anything."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from bench.bare import objects
from bench.bare.objects import ENDED, OF_PAYMENTS, Row

ENDS: Final = ("canceled", "incomplete_expired")
RANKS: Final = {"customer.subscription.created": 0, "customer.subscription.deleted": 2}
SHOWN: Final = frozenset("status items trial_end cancel_at cancel_at_period_end canceled_at pause_collection".split())
"""Fields that readers of our events see: a change of any other says nothing to them."""

ALWAYS_SAID: Final = frozenset({"customer.subscription.created", "customer.subscription.deleted"})
SUBSCRIPTION: Final = "customer.subscription."
UPCOMING: Final = "invoice.upcoming"
"""Shows an invoice that there is not yet: it is said, and kept nowhere else."""


class Event:
    """One event of one record, and what its rows are made of."""

    __slots__ = (
        *("fact_id", "type", "created", "api_version", "subject", "customer_id", "platform_id", "partition", "offset"),
        *("received_at", "shown", "previous", "slice", "said", "kind", "of_payment", "object", "object_text", "before"),
        *("account_hint", "upcoming"),
    )

    def __init__(self, record: Any) -> None:
        event = json.loads(record.value)
        data = event["data"]
        shown = data["object"]
        self.fact_id: str = event["id"]
        self.type: str = event["type"]
        self.created = _moment(event["created"])
        self.api_version: str = event["api_version"]
        self.kind: str = shown["object"]
        self.subject: str | None = shown.get("id")
        self.customer_id: str | None = self.subject if self.kind == "customer" else shown.get("customer")
        self.platform_id: str | None = (shown.get("metadata") or {}).get("account_id")
        if self.kind == "checkout.session" and not shown["payment_link"]:
            self.platform_id = self.platform_id or shown["client_reference_id"]
        self.account_hint = account_of("platform", self.platform_id) if self.platform_id else None
        self.partition: int = record.partition
        self.offset: int = record.offset
        self.received_at = _moment(record.timestamp / 1000)
        self.shown: Row | None = shown if self.type.startswith(SUBSCRIPTION) else None
        self.previous: Row | None = data.get("previous_attributes")
        self.said = self.shown is not None and (self.type in ALWAYS_SAID or not SHOWN.isdisjoint(self.previous or ()))
        read = objects.READ.get(self.kind) if self.type != UPCOMING else None
        self.upcoming: Row | None = objects.READ["invoice"](shown) if self.type == UPCOMING else None
        self.of_payment = self.kind in OF_PAYMENTS
        self.object: Row | None = read(shown) if read else None
        self.object_text = self.before = self.slice = None
        if self.shown is not None:
            self.slice = json.dumps(_slice(shown, self.previous))
        elif self.upcoming is not None:
            self.slice = json.dumps({"upcoming": {"kind": "invoice", **self.upcoming}})
        elif self.object is not None and read is not None:
            self.object_text = json.dumps({"kind": self.kind, **self.object})
            self.before = json.dumps(read(objects.before(shown, self.previous))) if self.previous is not None else None
            self.slice = f'{{"object_id":"{self.subject}","after":{self.object_text},"before":{self.before or "null"}}}'

    @property
    def touches(self) -> list[str]:
        """The ids of the object that it shows and of those that this names."""
        if self.object is None or self.subject is None:
            return []
        return [self.subject, *(objects.links(self.object) if self.of_payment else ())]

    @property
    def digest(self) -> bytes:
        """What the inbox keeps of it."""
        return sha256((self.slice or self.fact_id).encode()).digest()

    def object_version(self) -> Row:
        """The version of an object of another kind that it makes."""
        return {
            "object_id": self.subject,
            "fact_id": self.fact_id,
            "ended": (self.object or {}).get("status") in ENDED,
            "occurred_at": self.created,
            "ordinal": self.offset * 100 + self.partition,
            "rank": 1,
            "before": self.before,
            "state": self.object_text,
        }

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


def account_of(kind: str, alias: str) -> str:
    """An account's id, as long as ours."""
    return "ac_" + sha256(f"{kind}:{alias}".encode()).hexdigest()[:26]


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
