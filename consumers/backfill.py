"""Events that no webhook brought: Stripe's list of them, beside what the inbox has, and the difference told as facts.

The list has the last 30 days, newest first (https://docs.stripe.com/api/events/list).  It is read page by page; what
the inbox lacks of a page goes where the door puts its own before the place is moved on.  So it may be broken off
anywhere and begun again: what is told twice counts once.
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from prometheus_client import Counter

from consumers.facts import Facts
from models.base import Model
from runtime.stripe_client import PAGE_OBJECTS, Answer, Asking, StripeClient, path
from store import bookmarks, missing
from store.postgres import Database

EVENTS: Final = path("events")
KEPT: Final = timedelta(days=30)
"""How long Stripe lists an event."""

LISTED: Final = Counter("backfill_listed_events", "Events of Stripe's that were compared with the inbox")
FOUND: Final = Counter("backfill_missing_events", "Events that the inbox lacked, and that were told as facts")

Json = dict[str, Any]


class Place(Model):
    """Where a look through the list stands: all newer ones of the window are done.  Seconds of Stripe's clock."""

    since: int
    until: int | None = None
    after: str | None = None  # The last event that is done.
    newest: int | None = None  # When the newest of all happened.


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it has come."""

    place: Place
    reached: int | None = None  # The second of the oldest event that is done.
    listed: int = 0
    missing: int = 0
    told: int = 0
    young: int = 0  # Left to their webhooks, which may still come.

    @property
    def share(self) -> float:
        """How much of the window's time is done, from 0 to 1."""
        if self.reached is None or self.place.newest is None or self.place.newest <= self.place.since:
            return 0.0
        return min(1.0, (self.place.newest - self.reached) / (self.place.newest - self.place.since))


@dataclass(frozen=True, slots=True)
class Wish:
    """How to look: under which name the place is kept, and what to leave alone."""

    name: str
    settle: timedelta = timedelta(0)  # Younger events are left to their webhooks.
    tell: bool = True  # Else it is only counted.


class Backfill:
    """Looks through Stripe's events."""

    def __init__(self, stripe: StripeClient, database: Database, facts: Facts, now: Callable[[], datetime]) -> None:
        self._stripe = stripe
        self._database = database
        self._facts = facts
        self._now = now

    async def begun(self, wish: Wish) -> Place | None:
        """The place of a look that was broken off."""
        found = await bookmarks.read(self._database, wish.name)
        return Place.model_validate_json(found) if found else None

    async def look(self, wish: Wish, place: Place) -> AsyncIterator[Progress]:
        """Go through the list from *place* to its end; one progress a page.  Raises StripeTrouble, and Untold."""
        progress = Progress(place)
        async for page in self._pages(place):
            progress = await self._compare(wish, progress, page)
            if wish.tell:
                await bookmarks.move(self._database, wish.name, progress.place.model_dump_json())
            yield progress
        if wish.tell:
            await bookmarks.take_out(self._database, wish.name)

    async def _pages(self, place: Place) -> AsyncIterator[Answer]:
        until = {"lte": place.until} if place.until is not None else {}
        params: Json = {"limit": PAGE_OBJECTS, "created": {"gte": place.since, **until}}
        after = place.after
        while True:
            page = await self._stripe.read(EVENTS, params | ({"starting_after": after} if after else {}), Asking())
            yield page
            if not page.object["has_more"]:
                return
            after = page.object["data"][-1]["id"]

    async def _compare(self, wish: Wish, so_far: Progress, page: Answer) -> Progress:
        events: list[Json] = page.object["data"]
        if not events:
            return so_far
        LISTED.inc(len(events))
        settled = [one for one in events if one["created"] <= (page.answered_at - wish.settle).timestamp()]
        lacking = set(await missing.missing(self._database, [one["id"] for one in settled]))
        # The oldest first, as they happened: so the books need to amend the least.
        bodies = [json.dumps(one).encode() for one in reversed(settled) if one["id"] in lacking]
        if bodies and wish.tell:
            await self._facts.tell(bodies, self._now())
            FOUND.inc(len(bodies))
        place = so_far.place
        return replace(
            so_far,
            place=place.model_copy(
                update={"after": events[-1]["id"], "newest": place.newest or events[0]["created"]},
            ),
            reached=events[-1]["created"],
            listed=so_far.listed + len(events),
            missing=so_far.missing + len(bodies),
            told=so_far.told + (len(bodies) if wish.tell else 0),
            young=so_far.young + len(events) - len(settled),
        )
