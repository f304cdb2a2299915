"""What waits for the next batch."""

import asyncio
from collections import deque

from streams.parcels import Piece


class Gathering:
    """Pieces in order, between one task that puts and one that takes; full with a batch's worth of records."""

    def __init__(self, records_max: int) -> None:
        self._records_max = records_max
        self._waiting: deque[Piece] = deque()
        self._records = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()

    def full(self) -> bool:
        """Whether a whole batch waits."""
        return self._records >= self._records_max

    async def put(self, piece: Piece) -> None:
        """Let a piece wait, once there is room."""
        while self.full():
            self._room.clear()
            await self._room.wait()
        self._waiting.append(piece)
        self._records += len(piece.records)
        self._some.set()

    async def take(self) -> list[Piece]:
        """What is there, in order: at least one piece, and no more records than a batch may hold."""
        await self._some.wait()
        batch, records = [], 0
        while self._waiting and records + len(self._waiting[0].records) <= self._records_max:
            piece = self._waiting.popleft()
            batch.append(piece)
            records += len(piece.records)
        self._records -= records
        if not self._waiting:
            self._some.clear()
        self._room.set()
        return batch
