"""Places before Stripe: so many requests ask at once, and who gets none in half its time hears that it is crowded.

Most requests ask Stripe twice or more.  If all were let begin, a crowd would spend what may be asked on first
questions, and nobody would come to the second: each would begin and none would end.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import Gauge

from ingress.platform.problems import SEND_AGAIN, Problem, Word

SHARE_OF_TIME: Final = 0.5
"""What of a request's time may go by before it begins: the rest must be enough to end."""

TAKEN: Final = Gauge("platform_places_taken", "Requests that ask Stripe now")


class Places:
    """The places of one process, given out in the order in which they were asked for."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    @asynccontextmanager
    async def place(self, left_seconds: float) -> AsyncIterator[None]:
        """A place for as long as the block runs; raises a problem when there is none in time."""
        try:
            async with asyncio.timeout(left_seconds * SHARE_OF_TIME):
                await self._free.acquire()
        except TimeoutError:
            raise Problem(Word.NOT_NOW, f"Too many ask at once. {SEND_AGAIN}", retry_after_seconds=2) from None
        TAKEN.inc()
        try:
            yield
        finally:
            TAKEN.dec()
            self._free.release()
