"""What waits for the next batch.

A batch costs some milliseconds whatever is in it, so under load small ones would be most of the work.  While records
come fast, the next batch is given a moment to fill; otherwise nothing waits for anything.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

from runtime import clock
from store.records import Record
from streams.parcels import Piece

ENOUGH_RECORDS: Final = 100
"""Beyond that a batch's own cost is a small part of its facts', and waiting on would only make them late."""

PACE_SECONDS: Final = 0.25
"""Longer than a pause between two batches: what has piled up in one says nothing of how fast records come."""


class Gathering:
    """Pieces in order, between one task that puts and one that takes; full with a batch's worth of records."""

    def __init__(
        self, records_max: int, fill_seconds_max: float, monotonic: Callable[[], float] = clock.monotonic
    ) -> None:
        self.records_max = records_max
        self._enough_records = min(ENOUGH_RECORDS, records_max)
        self._fill_seconds_max = fill_seconds_max
        self._waiting: deque[Piece] = deque()
        self._unread: deque[Record] = deque()  # The last of those that wait.
        self._more_unread = asyncio.Event()
        self._records = 0
        self._pace = _Pace(monotonic)
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._room = asyncio.Event()

    def full(self) -> bool:
        """Whether a whole batch waits."""
        return self._records >= self.records_max

    async def put(self, piece: Piece) -> None:
        """Let a piece wait, once there is room."""
        while self.full():
            self._room.clear()
            await self._room.wait()
        self._waiting.append(piece)
        self._unread.extend(piece.records)
        self._more_unread.set()
        self._records += len(piece.records)
        self._pace.note(len(piece.records))
        self._some.set()
        if self._records >= self._enough_records:
            self._enough.set()

    async def take(self) -> list[Piece]:
        """What is there, in order: at least one piece, and no more records than a batch may hold."""
        await self._some.wait()
        if self._would_fill():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), self._fill_seconds_max)
        batch, records = [], 0
        while self._waiting and records + len(self._waiting[0].records) <= self.records_max:
            piece = self._waiting.popleft()
            batch.append(piece)
            records += len(piece.records)
        self._taken(records)
        return batch

    async def read_ahead(self, read: Callable[[Record], None]) -> NoReturn:
        """Have *read* look at each record that waits, until cancelled; whoever else has something to do goes first."""
        while True:
            while self._unread:
                read(self._unread.popleft())
                await asyncio.sleep(0)
            self._more_unread.clear()
            await self._more_unread.wait()

    def _would_fill(self) -> bool:
        """Whether records come so fast that the time to fill would bring half of what is enough, or more."""
        return self._pace.per_second() * self._fill_seconds_max * 2 >= self._enough_records

    def _taken(self, records: int) -> None:
        self._records -= records
        while len(self._unread) > self._records:
            self._unread.popleft()
        if not self._waiting:
            self._some.clear()
        if self._records < self._enough_records:
            self._enough.clear()
        self._room.set()


class _Pace:
    """How fast records come, as the last PACE_SECONDS show it: what was before them is forgotten at once."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._came: deque[tuple[float, int]] = deque()
        self._records = 0

    def note(self, records: int) -> None:
        """So many have just come."""
        self._came.append((self._monotonic(), records))
        self._records += records

    def per_second(self) -> float:
        """Records a second."""
        since = self._monotonic() - PACE_SECONDS
        while self._came and self._came[0][0] <= since:
            self._records -= self._came.popleft()[1]
        return self._records / PACE_SECONDS
