"""The event log: what happened in the last 30 days, as the API tells of it, in snapshots and thin.

A snapshot keeps the shape of the account's own API version for ever, whatever the version of the request that asks.
"""

from collections.abc import Iterator
from hashlib import sha256
from typing import Final

from simulator.clock import DAY_SECONDS
from simulator.happenings import Happening, Json
from simulator.server.moments import written
from simulator.shapes import render
from simulator.world import World

KEPT_SECONDS: Final = 30 * DAY_SECONDS

_PLACES: Final = {
    "billing_portal.configuration": "billing_portal/configurations",
    "checkout.session": "checkout/sessions",
    "radar.early_fraud_warning": "radar/early_fraud_warnings",
    "invoiceitem": "invoiceitems",
}
"""Where a thing is found, of the kinds whose place is not their name in the plural."""


class EventLog:
    """The happenings of a world, by the id of either event that tells of them, and newest first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._places: dict[str, int] = {}

    def newest_first(self) -> Iterator[Happening]:
        """Every happening that is still kept."""
        for happening in reversed(self._world.happenings):
            if not self._is_kept(happening):
                return
            yield happening

    def get(self, event_id: str) -> Happening | None:
        """The happening that this event tells of, while it is kept."""
        happenings = self._world.happenings
        for place in range(len(self._places), len(happenings)):
            self._places[happenings[place].event_id] = place
            self._places[thin_id(happenings[place])] = place
        place_found = self._places.get(event_id)
        if place_found is None or not self._is_kept(happenings[place_found]):
            return None
        return happenings[place_found]

    def _is_kept(self, happening: Happening) -> bool:
        return happening.created + KEPT_SECONDS > self._world.now


def snapshot(happening: Happening, api_version: str, undelivered: dict[str, int]) -> Json:
    """The event with the object as it stood."""
    event = render(happening, api_version)
    return event | {"pending_webhooks": undelivered.get(happening.event_id, 0)}


def thin_id(happening: Happening) -> str:
    """The id of the thin event, which is none of the snapshot's."""
    return f"evt_test_{sha256(happening.event_id.encode()).hexdigest()[:40]}"


def notification(happening: Happening) -> Json:
    """The thin event, as an event destination receives it: what happened to what, and where to look."""
    kind = str(happening.after["object"])
    event: Json = {
        "id": thin_id(happening),
        "object": "v2.core.event",
        "type": f"v1.{happening.type}",
        "created": written(happening.created),
        "livemode": False,
        "context": None,
        "reason": None,
        "related_object": {"id": happening.object_id, "type": kind, "url": place_of(kind, happening.object_id)},
    }
    if happening.request_id:
        asked = {"id": happening.request_id, "idempotency_key": happening.idempotency_key or ""}
        event["reason"] = {"type": "request", "request": asked}
    return event


def thin(happening: Happening) -> Json:
    """The thin event as the API shows it: it names the snapshot that tells of the same."""
    return notification(happening) | {"changes": None, "snapshot_event": happening.event_id}


def place_of(kind: str, thing_id: str) -> str:
    """Where the API shows the thing."""
    return f"/v1/{_PLACES.get(kind, f'{kind}s')}/{thing_id}"
