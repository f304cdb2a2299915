"""How many requests a second Stripe hears from this process, and who is next.

Stripe counts by account and answers what is too much with 429 (https://docs.stripe.com/rate-limits).  We stay below
it, evenly: the limiter gives out one turn at a time.  Whose it is is asked at each turn anew, so a person who comes is
next, however many others wait already.
"""

import asyncio
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count
from typing import Final

from aiolimiter import AsyncLimiter

TURNS_AT_ONCE: Final = 1
"""More would be as many more in the first second than are meant in any."""


class Urgency(IntEnum):
    """Who asks.  The smaller goes first."""

    PERSON = 0  # Somebody sits before a screen.
    BACKGROUND = 1  # A decision asked, and nobody waits.


class Budget:
    """The turns of one process."""

    def __init__(self, requests_per_second: float) -> None:
        self._limiter = AsyncLimiter(TURNS_AT_ONCE, TURNS_AT_ONCE / requests_per_second)
        self._waiting: list[tuple[Urgency, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self._giving: asyncio.Task[None] | None = None

    async def turn(self, urgency: Urgency) -> None:
        """Return when the caller may ask: in order, but for whoever is more urgent."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (urgency, next(self._numbers), turn))
        if self._giving is None or self._giving.done():
            self._giving = asyncio.create_task(self._give())
        await turn

    async def _give(self) -> None:
        while self._waiting:
            await self._limiter.acquire()
            self._give_one()

    def _give_one(self) -> None:
        """The turn is whose it is now, not whose it was when the waiting began; nobody's, if all have left."""
        while self._waiting:
            _, _, turn = heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
