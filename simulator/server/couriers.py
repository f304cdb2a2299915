"""Couriers: they bring what happened to the webhook endpoints, and write down every try.

A try is signed when it is made, with wall time, because that is what endpoints check; when the next one is due is a
matter of the world's clock.  The clock may run ahead of an answer by an hour and no more, which is as long as Stripe
waits for an answer before it goes on with an invoice; when it stands still again, all that was due is answered.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

import aiohttp

from simulator.clock import HOUR_SECONDS
from simulator.delivery import HEADERS
from simulator.dice import Dice
from simulator.happenings import Happening, Json
from simulator.server.event_log import notification, snapshot
from simulator.server.webhook_endpoints import WebhookEndpoint
from simulator.shapes import wire
from simulator.signing import signature_header
from simulator.webhooks import Disorder, pause_after

if TYPE_CHECKING:
    from simulator.server.desk import Desk

TRIES_KEPT: Final = 200_000
CONNECTIONS_MAX: Final = 32
ANSWER_SECONDS_MAX: Final = 10.0
AHEAD_SECONDS_MAX: Final = HOUR_SECONDS
"""How far the world's clock may be ahead of a delivery that is not answered."""


@dataclass(frozen=True, slots=True)
class Try:
    """One post and what came back: a status, or the error that kept it away."""

    number: int  # Counts all tries of this server, from 1.
    event_id: str
    type: str
    endpoint: str
    attempt: int
    at: int  # The world's second.
    sent_at: float  # Wall time, in seconds since 1970.
    answered_at: float
    status: int | None
    error: str | None

    @property
    def accepted(self) -> bool:
        """Whether the endpoint took it: any 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004  HTTP's own numbers.


@dataclass(slots=True)
class Tries:
    """The newest tries, and counts of all."""

    kept: deque[Try] = field(default_factory=lambda: deque(maxlen=TRIES_KEPT))
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, one: Try) -> None:
        """Remember a try."""
        self.kept.append(one)
        self.counts["tries"] += 1
        self.counts["accepted" if one.accepted else "failed"] += 1


@dataclass(eq=False, slots=True)
class _Delivery:
    """One event on its way to one endpoint.  A copy is tried once."""

    happening: Happening
    endpoint: WebhookEndpoint
    is_copy: bool
    attempt: int = 0
    begun_at: int = 0


class Couriers:
    """All deliveries of one world."""

    def __init__(self, desk: "Desk", now: Callable[[], float]) -> None:
        self.tries = Tries()
        self.disorder = Disorder()
        self._desk = desk
        self._world = desk.world
        self._now = now
        self._ready: deque[_Delivery] = deque()
        self._under_way: dict[_Delivery, None] = {}  # The longest under way first.
        self._owed: set[tuple[str, str]] = set()
        self._called = asyncio.Event()
        self._landed = asyncio.Event()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """They work for as long as the block runs."""
        self._world.on_event.append(self._hear)
        self._desk.before_step.append(self._not_too_far_behind)
        self._desk.after_advance.append(self._all_answered)
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            work = asyncio.create_task(self._work(session))
            try:
                yield
            finally:
                work.cancel()
                await asyncio.wait([work])

    def counted(self) -> Json:
        """How many happened, were tried, accepted and so on; for whoever watches."""
        counts = self.tries.counts
        names = ("tries", "accepted", "failed", "dropped", "copies", "given_up")
        return {name: counts[name] for name in names} | {
            "events": len(self._world.happenings),
            "waiting": len(self._owed) - counts["given_up"],
            "under_way": len(self._ready) + len(self._under_way),
        }

    def shown(self, after: int, **same: str) -> list[Json]:
        """The tries after the *after*-th that have these values, oldest first."""
        return [
            asdict(one) | {"accepted": one.accepted}
            for one in self.tries.kept
            if one.number > after and all(getattr(one, name) == value for name, value in same.items())
        ]

    def _hear(self, happening: Happening) -> None:
        dice: Dice | None = None
        for endpoint in reversed(list(self._world.shelf.all("webhook_endpoint"))):
            if not endpoint.wants(happening.type):
                continue
            dice = dice or Dice(f"{self._world.seed}/webhooks/{happening.event_id}")
            self._send_off(happening, endpoint, dice)

    def _send_off(self, happening: Happening, endpoint: WebhookEndpoint, dice: Dice) -> None:
        delays = list(self.disorder.delays(dice))
        if not delays:
            self.tries.counts["dropped"] += 1
            return
        self.tries.counts["copies"] += len(delays) - 1
        self._owed.add((happening.event_id, endpoint.body["id"]))
        undelivered = self._desk.undelivered
        undelivered[happening.event_id] = undelivered.get(happening.event_id, 0) + 1
        for number, delay in enumerate(delays):
            self._again(_Delivery(happening, endpoint, is_copy=number > 0), delay)

    def _again(self, delivery: _Delivery, pause_seconds: int) -> None:
        if pause_seconds:
            self._world.later(pause_seconds, lambda: self._begin(delivery))
        else:
            self._begin(delivery)

    def _begin(self, delivery: _Delivery) -> None:
        """Have it tried, unless its endpoint wants nothing any more."""
        endpoint = delivery.endpoint
        if endpoint.is_enabled and self._world.shelf.get("webhook_endpoint", endpoint.body["id"]) is endpoint:
            delivery.attempt += 1
            delivery.begun_at = self._world.now
            self._ready.append(delivery)
            self._called.set()
        else:
            self._give_up(delivery)

    async def _work(self, session: aiohttp.ClientSession) -> None:
        room = asyncio.Semaphore(CONNECTIONS_MAX)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._called.wait()
                self._called.clear()
                while self._ready:
                    await room.acquire()
                    delivery = self._ready.popleft()
                    self._under_way[delivery] = None
                    tasks.create_task(self._carry(session, delivery)).add_done_callback(lambda _: room.release())

    async def _carry(self, session: aiohttp.ClientSession, delivery: _Delivery) -> None:
        one = await self._try(session, delivery)
        self.tries.note(one)
        if one.accepted:
            delivery.endpoint.accepted()
            self._settle(delivery)
        else:
            delivery.endpoint.failed()
            self._after_failure(delivery)
        del self._under_way[delivery]
        self._landed.set()

    async def _try(self, session: aiohttp.ClientSession, delivery: _Delivery) -> Try:
        endpoint, happening = delivery.endpoint, delivery.happening
        body, sent_at = wire(self._told(delivery)), self._now()
        headers = HEADERS | {"Stripe-Signature": signature_header(body, endpoint.secrets, int(sent_at))}
        status, error = None, None
        try:
            async with session.post(endpoint.url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as failure:
            error = type(failure).__name__
        return Try(
            number=self.tries.counts["tries"] + 1,
            event_id=happening.event_id,
            type=happening.type,
            endpoint=endpoint.body["id"],
            attempt=delivery.attempt,
            at=delivery.begun_at,
            sent_at=sent_at,
            answered_at=self._now(),
            status=status,
            error=error,
        )

    def _told(self, delivery: _Delivery) -> Json:
        endpoint = delivery.endpoint
        if endpoint.is_thin:
            return notification(delivery.happening)
        version = endpoint.body["api_version"] or self._desk.api_version
        return snapshot(delivery.happening, version, self._desk.undelivered)

    def _after_failure(self, delivery: _Delivery) -> None:
        if delivery.is_copy:
            return
        pause = pause_after(delivery.attempt)
        if pause is None:
            self._give_up(delivery)
        else:
            self._again(delivery, pause)

    def _give_up(self, delivery: _Delivery) -> None:
        """It stays undelivered."""
        if not delivery.is_copy and (delivery.happening.event_id, delivery.endpoint.body["id"]) in self._owed:
            self.tries.counts["given_up"] += 1

    def _settle(self, delivery: _Delivery) -> None:
        """The endpoint has it: whichever copy came first counts."""
        event_id = delivery.happening.event_id
        owed = (event_id, delivery.endpoint.body["id"])
        if owed not in self._owed:
            return
        self._owed.remove(owed)
        self._desk.undelivered[event_id] -= 1
        if not self._desk.undelivered[event_id]:
            del self._desk.undelivered[event_id]

    async def _not_too_far_behind(self, moment_seconds: int) -> None:
        while self._oldest(moment_seconds) < moment_seconds - AHEAD_SECONDS_MAX:
            await self._landing()

    async def _all_answered(self) -> None:
        while self._ready or self._under_way:
            await self._landing()

    def _oldest(self, otherwise: int) -> int:
        """When the oldest delivery that is not answered was begun."""
        oldest = next(iter(self._under_way), None) or (self._ready[0] if self._ready else None)
        return oldest.begun_at if oldest else otherwise

    async def _landing(self) -> None:
        self._landed.clear()
        await self._landed.wait()
