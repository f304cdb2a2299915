"""Stripe's objects beside ours, one by one; and what mends the difference, told as answers of Stripe.

Lists have everything, however old (https://docs.stripe.com/api/pagination); events only the last 30 days.  What Stripe
shows is read as the books read an answer, and laid beside what they believe.  What they believe of a later second than
that of Stripe's answer is no difference: a webhook was faster.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from msgspec import ValidationError
from prometheus_client import Counter

from consumers.facts import Facts
from consumers.stripe_deeds import PLACES
from models import drift, stripe_answers
from models.catalog import Catalog
from models.drift import SUBSCRIPTION, Drift, Why
from models.lines import LineState
from models.stripe_answers import Told
from runtime import clock
from runtime.stripe_client import API_VERSION, PAGE_OBJECTS, Answer, Asking, Refused, StripeClient, path
from store import drift as held_objects
from store import missing, waiting
from store.drift import Held
from store.postgres import Database

TELL_AT_ONCE: Final = 200
MENDED_SECONDS_MAX: Final = 120.0
LOOK_EVERY_SECONDS: Final = 0.2

COMPARED: Final = Counter("reconcile_compared_objects", "Objects of Stripe's that were laid beside ours", ["kind"])

CUSTOMER: Final = "customer"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listing:
    """One list of Stripe's."""

    kind: str
    params: Json = field(default_factory=dict)
    may_go: bool = False  # Whether what was listed once may be listed no more.

    @property
    def path(self) -> str:
        """Where it is."""
        return path(*PLACES[self.kind])


LISTINGS: Final = (
    Listing("product", may_go=True),
    Listing("price", {"active": True}),
    Listing("price", {"active": False}),
    Listing(CUSTOMER, may_go=True),
    Listing("payment_method", may_go=True),
    Listing("checkout.session"),
    Listing(SUBSCRIPTION, {"status": "all"}),
    Listing("subscription_schedule"),
    Listing("invoice"),
    Listing("invoice_payment"),
    Listing("payment_intent"),
    Listing("charge"),
    Listing("refund"),
    Listing("dispute"),
    Listing("radar.early_fraud_warning"),
)
"""What names an owner before what is owned, so that little has to wait for it.

Prices are listed by whether they are for sale: without being told, Stripe lists those that are.
"""

KINDS: Final = tuple(dict.fromkeys(listing.kind for listing in LISTINGS))


@dataclass(frozen=True, slots=True)
class Shown:
    """One object as Stripe showed it, and the fact that would tell so."""

    kind: str
    object_id: str
    fact_id: str
    body: bytes
    answered_at: datetime
    state: LineState | None  # None: unreadable.


@dataclass(frozen=True, slots=True)
class Found:
    """A drift, and what would mend it."""

    drift: Drift
    shown: Shown | None


@dataclass(frozen=True, slots=True)
class Page:
    """What one page brought."""

    listing: Listing
    listed: int
    found: tuple[Found, ...]
    last_id: str | None  # Where the list goes on; None at its end.


class Reconciler:
    """Lays Stripe's objects beside ours."""

    def __init__(  # noqa: PLR0917  # Each is a part that tests choose.
        self,
        stripe: StripeClient,
        database: Database,
        catalog: Catalog,
        facts: Facts,
        cause: str,
        now: Callable[[], datetime],
        *,
        livemode: bool,
        go_live_at: datetime | None = None,
    ) -> None:
        """What was made before *go_live_at* is told as history."""
        self._stripe = stripe
        self._database = database
        self._catalog = catalog
        self._facts = facts
        self._cause = cause
        self._now = now
        self._livemode = livemode
        self._go_live_at = go_live_at
        self._customers: set[bytes] = set()  # Those that the list of them had.

    async def pages(self, listing: Listing, after: str | None = None) -> AsyncIterator[Page]:
        """Go through a list from *after* to its end.  What is gone is known at the end of a list read as a whole."""
        seen: set[bytes] = set()
        whole = after is None
        while True:
            params = {"limit": PAGE_OBJECTS, **listing.params} | ({"starting_after": after} if after else {})
            answer = await self._stripe.read(listing.path, params, Asking())
            objects: list[Json] = answer.object["data"]
            if listing.may_go and whole:
                seen |= {_short(one["id"]) for one in objects}
            COMPARED.labels(listing.kind).inc(len(objects))
            after = objects[-1]["id"] if answer.object["has_more"] else None
            found = await self._compared([self._shown(answer, one) for one in objects])
            yield Page(listing, len(objects), found, after)
            if after is None:
                break
        if listing.may_go and whole:
            yield Page(listing, 0, await self._gone(listing, seen), None)
        if listing.kind == CUSTOMER:
            self._customers = seen

    async def unseen(self) -> AsyncIterator[Page]:
        """Customers that others name and no list has: those that were deleted before we heard of them."""
        listing = Listing(CUSTOMER, may_go=True)
        async for customer_id in held_objects.unseen(self._database, livemode=self._livemode):
            if _short(customer_id) in self._customers:
                continue  # It was found apart there already.
            shown = await self._asked(CUSTOMER, customer_id)
            if shown is None:
                gone = Drift(kind=CUSTOMER, object_id=customer_id, why=Why.GONE)
                yield Page(listing, 0, (Found(gone, None),), None)
            else:
                yield Page(listing, 0, await self._compared([shown]), None)

    async def still(self, found: Sequence[Found]) -> list[Found]:
        """Those that are apart still: a webhook may have brought the others meanwhile.  What is gone stays gone."""
        gone = [one for one in found if one.shown is None]
        return gone + list(await self._compared([one.shown for one in found if one.shown is not None]))

    async def tell(self, found: Sequence[Found]) -> list[str]:
        """Tell what mends these; the ids of the facts.  Raises Untold."""
        mending = [one.shown for one in found if one.shown is not None and one.shown.state is not None]
        for begin in range(0, len(mending), TELL_AT_ONCE):
            await self._facts.tell([one.body for one in mending[begin : begin + TELL_AT_ONCE]], self._now())
        return [one.fact_id for one in mending]

    async def taken(self, fact_ids: Sequence[str]) -> bool:
        """Return when the books have these facts; False when that takes too long."""

        async def all_taken() -> bool:
            return not await missing.missing(self._database, fact_ids)

        return await _becomes(all_taken)

    async def settled(self) -> bool:
        """Return when no fact waits for its owner any more; False when that takes too long."""

        async def nobody_waits() -> bool:
            return not await waiting.count(self._database)

        return await _becomes(nobody_waits)

    async def _compared(self, shown: Sequence[Shown]) -> tuple[Found, ...]:
        held = await self._held(shown)
        pairs = [(one, self._between(one, held.get(one.object_id))) for one in shown]
        return tuple(Found(apart, one) for one, apart in pairs if apart is not None)

    async def _held(self, shown: Sequence[Shown]) -> dict[str, Held]:
        subscription_ids = [one.object_id for one in shown if one.kind == SUBSCRIPTION]
        object_ids = [one.object_id for one in shown if one.kind != SUBSCRIPTION]
        held = await held_objects.subscriptions(self._database, subscription_ids) if subscription_ids else {}
        return held | (await held_objects.objects(self._database, object_ids) if object_ids else {})

    def _between(self, shown: Shown, held: Held | None) -> Drift | None:
        if shown.state is None:
            return Drift(kind=shown.kind, object_id=shown.object_id, why=Why.UNREADABLE)
        apart = drift.between(shown.kind, shown.object_id, held.state if held else None, shown.state)
        return None if held and held.as_of > shown.answered_at else apart

    async def _gone(self, listing: Listing, seen: set[bytes]) -> tuple[Found, ...]:
        """What we believe to be there and was not listed: each is asked for, since it may have come meanwhile."""
        found: list[Found] = []
        async for object_id in held_objects.living(self._database, listing.kind):
            if _short(object_id) in seen:
                continue
            shown = await self._asked(listing.kind, object_id)
            if shown is None:
                gone = Drift(kind=listing.kind, object_id=object_id, why=Why.GONE)
                found.append(Found(gone, None))
            else:
                found.extend(await self._compared([shown]))
        return tuple(found)

    async def _asked(self, kind: str, object_id: str) -> Shown | None:
        try:
            answer = await self._stripe.read(path(*PLACES[kind], object_id), {}, Asking())
        except Refused as refused:
            if refused.status == 404:  # noqa: PLR2004  # HTTP's own number.
                return None
            raise
        return self._shown(answer, answer.object)

    def _is_history(self, thing: Json) -> bool:
        created = thing.get("created")
        return self._go_live_at is not None and (not isinstance(created, int) or created < self._go_live_at.timestamp())

    def _shown(self, answer: Answer, thing: Json) -> Shown:
        told = Told(self._cause, answer.answered_at, API_VERSION, self._livemode, request_id=answer.request_id)
        historical = self._is_history(thing)
        body = stripe_answers.shown(thing, told, historical=historical)
        kind = str(thing["object"])
        try:
            state = drift.believed(stripe_answers.fact_type(thing, historical=historical), body, self._catalog)
        except ValidationError:
            state = None
        return Shown(kind, str(thing["id"]), json.loads(body)["id"], body, answer.answered_at, state)


async def _becomes(true: Callable[[], Awaitable[bool]]) -> bool:
    began = clock.monotonic()
    while not await true():
        if clock.monotonic() - began > MENDED_SECONDS_MAX:
            return False
        await asyncio.sleep(LOOK_EVERY_SECONDS)
    return True


def _short(object_id: str) -> bytes:
    """An id in a dozen bytes: a million customers are to fit in memory."""
    return hashlib.blake2b(object_id.encode(), digest_size=12).digest()
