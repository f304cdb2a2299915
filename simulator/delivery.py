"""Delivery as Stripe delivers: signed at every try, again after a failure, twice now and then, in no sure order.

`arrange` decides what is posted in which order (pure, from dice); a `Sender` posts it.  Every try and every answer is
in the sender's journal, with wall times, so that somebody can say afterwards what was accepted, and when first.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp

from simulator.dice import Dice
from simulator.signing import signature_header

Now = Callable[[], float]
"""Wall time in seconds since 1970: signatures and journals speak of it.  It comes in, like everything else."""

HEADERS: Final = {
    "Accept": "*/*; q=0.5, application/xml",
    "Cache-Control": "no-cache",
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    event_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Disorder:
    """What goes wrong on the way, before anything is sent.  All shares are of the deliveries."""

    duplicate_share: float = 0.0
    drop_share: float = 0.0
    window: int | None = 0
    """How far an event may be overtaken, in deliveries; 0 keeps the order, None mixes all of them."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to, and signed with what."""

    url: str
    secrets: tuple[str, ...]  # Two while one is being rotated.


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, and how patient.  Stripe's three days of backoff, compressed."""

    concurrency_max: int | None = 32  # None with a rate is an open loop: deliveries begin whatever the answers do.
    rate_per_second: float | None = None
    retry_count_max: int = 16
    pause_seconds: float = 0.1
    pause_factor: float = 1.6
    pause_seconds_max: float = 3.0
    timeout_seconds: float = 10.0

    def pause_after(self, attempt: int) -> float:
        """How long to wait after the *attempt*-th try has failed."""
        return float(min(self.pause_seconds * self.pause_factor ** (attempt - 1), self.pause_seconds_max))


@dataclass(frozen=True, slots=True)
class Try:
    """One post, and what came back: a status, or the error that kept it away."""

    event_id: str
    attempt: int
    sent_at: float
    answered_at: float
    status: int | None
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the endpoint took the event: any 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004  HTTP's own numbers.


@dataclass(slots=True)
class Journal:
    """Every try, in the order of the answers."""

    tries: list[Try] = field(default_factory=list)
    first_accepted: dict[str, float] = field(default_factory=dict)
    accepted_count: int = 0
    given_up: list[str] = field(default_factory=list)

    def note(self, one: Try) -> None:
        """Remember a try."""
        self.tries.append(one)
        if one.accepted:
            self.accepted_count += 1
            self.first_accepted.setdefault(one.event_id, one.answered_at)


def arrange(deliveries: Sequence[Delivery], disorder: Disorder, dice: Dice) -> list[Delivery]:
    """What is posted, in which order: some dropped, some twice, overtaking each other within the window."""
    kept = [one for one in deliveries if not dice.happens(disorder.drop_share)]
    window = len(kept) if disorder.window is None else disorder.window
    placed: list[tuple[float, Delivery]] = []
    for index, one in enumerate(kept):
        placed.append((index + dice.uniform(0, window), one))
        if dice.happens(disorder.duplicate_share):
            placed.append((index + dice.uniform(0, max(window, 1)), one))
    placed.sort(key=lambda pair: pair[0])
    return [one for _, one in placed]


class Sender:
    """Posts deliveries to one endpoint until each was accepted, or patience is at its end."""

    def __init__(self, endpoint: Endpoint, now: Now, pace: Pace | None = None) -> None:
        self.endpoint = endpoint
        self.pace = pace or Pace()
        self.journal = Journal()
        self._now = now

    async def send(self, deliveries: Iterable[Delivery], on_try: Callable[[Try], None] = lambda _: None) -> Journal:
        """Post all of *deliveries*, and come back when each was accepted or given up."""
        async with self._session() as session, asyncio.TaskGroup() as tasks:
            room = asyncio.Semaphore(self.pace.concurrency_max or sys.maxsize)
            async for one in self._paced(deliveries):
                await room.acquire()
                tasks.create_task(self._deliver(session, one, on_try)).add_done_callback(lambda _: room.release())
        return self.journal

    async def post(self, delivery: Delivery) -> tuple[Try, str]:
        """Post once, and show the answer's text."""
        async with self._session() as session:
            return await self._try(session, delivery, 1)

    async def _paced(self, deliveries: Iterable[Delivery]) -> AsyncIterator[Delivery]:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for index, one in enumerate(deliveries):
            if self.pace.rate_per_second:
                await asyncio.sleep(max(0.0, begin + index / self.pace.rate_per_second - loop.time()))
            yield one

    async def _deliver(self, session: aiohttp.ClientSession, delivery: Delivery, on_try: Callable[[Try], None]) -> None:
        for attempt in range(1, self.pace.retry_count_max + 2):
            one, _ = await self._try(session, delivery, attempt)
            on_try(one)
            if one.accepted:
                return
            await asyncio.sleep(self.pace.pause_after(attempt))
        self.journal.given_up.append(delivery.event_id)

    async def _try(self, session: aiohttp.ClientSession, delivery: Delivery, attempt: int) -> tuple[Try, str]:
        """Sign and post: the timestamp, and so the signature, is of this try."""
        sent_at = self._now()
        signature = signature_header(delivery.body, self.endpoint.secrets, int(sent_at))
        status, error, text = None, None, ""
        try:
            async with session.post(
                self.endpoint.url, data=delivery.body, headers=HEADERS | {"Stripe-Signature": signature}
            ) as answer:
                status, text = answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError) as failure:
            error = type(failure).__name__
        one = Try(delivery.event_id, attempt, sent_at, self._now(), status, error)
        self.journal.note(one)
        return one, text

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[aiohttp.ClientSession]:
        timeout = aiohttp.ClientTimeout(total=self.pace.timeout_seconds)
        # No limit of connections: the pace has the limit, and an open loop must not wait in a queue of the client's.
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
            yield session
