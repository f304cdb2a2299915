"""The desk: what all requests share.  One event loop, and the world is changed between two awaits: no locks."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from simulator.dice import Dice
from simulator.server.event_log import EventLog
from simulator.server.faults import Faults
from simulator.server.idempotency import IdempotencyKeys
from simulator.server.journal import Journal
from simulator.server.limits import Bucket
from simulator.shapes import NEWEST
from simulator.world import World


@dataclass(slots=True)
class Desk:
    """One pretend Stripe account, as its API sees it."""

    world: World
    dice: Dice  # The server's own: that somebody reads must not change what happens in the world.
    bucket: Bucket
    faults: Faults
    events: EventLog
    api_version: str = NEWEST  # The account's own: for whoever names none, and for all events.
    keys: IdempotencyKeys = field(default_factory=IdempotencyKeys)
    journal: Journal = field(default_factory=Journal)
    undelivered: dict[str, int] = field(default_factory=dict)
    """How many endpoints have not accepted an event yet.  The couriers keep it."""
    before_step: list[Callable[[int], Awaitable[None]]] = field(default_factory=list)
    """Called with the second to which the clock will move next, until which it may be held up."""
    after_advance: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """Called when time stands still again."""
    leaving: asyncio.Event = field(default_factory=asyncio.Event)
    _moving: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def advance(self, until_seconds: int) -> None:
        """Move the world's clock from one due thing to the next; whoever hangs on it may hold it up in between."""
        async with self._moving:
            until = max(until_seconds, self.world.now)
            while True:
                for hold_up in self.before_step:
                    await hold_up(self._next(until))
                moment = self._next(until)  # Sooner, perhaps: what was waited for may have put something on the agenda.
                await self._step(moment)
                if moment >= until:
                    break
            for settle in self.after_advance:
                await settle()

    def _next(self, until_seconds: int) -> int:
        due = self.world.next_due
        return until_seconds if due is None else min(due, until_seconds)

    async def _step(self, moment_seconds: int) -> None:
        heard_count = len(self.world.happenings)
        self.world.advance(moment_seconds)
        if len(self.world.happenings) > heard_count:
            await asyncio.sleep(0)  # Nobody is kept waiting for a whole year.


def desk_for(world: World, monotonic: Callable[[], float], rate_per_second: float) -> Desk:
    """A desk in front of *world*, with chance from the world's seed."""
    return Desk(
        world=world,
        dice=Dice(f"{world.seed}/server"),
        bucket=Bucket(rate_per_second, monotonic),
        faults=Faults(Dice(f"{world.seed}/faults")),
        events=EventLog(world),
    )
