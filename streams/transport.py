"""The seam between Faust and the position that PostgreSQL keeps.

Faust's committed offset can run ahead of what was acknowledged, so it is only an echo.  After every assignment Faust
asks its consumer to `seek_to_committed` and books what that returns: this one seeks to where PostgreSQL says instead.
(`on_partitions_assigned` would be too early: Faust's own seek comes after it.)  Pinned by tests/streams/test_seek.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, Final

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from runtime.failures import Stop
from runtime.logs import get_logger
from store.positions import Bounds, TopicPartition
from streams.ending import End
from streams.progress import Progress

AskPositions = Callable[[Mapping[TopicPartition, Bounds]], Awaitable[Mapping[TopicPartition, int]]]

LOOK_AGAIN_SECONDS: Final = 1.0

log = get_logger(__name__)


class PositionedApp(faust.App):
    """A Faust app that reads on where *ask_positions* says; whoever has the answer sets it before the start."""

    ask_positions: AskPositions
    progress: Progress
    end: End

    def _create_directories(self) -> None:
        """Make none: they are for tables, this app has none, and its file system may be read-only."""


class PositionedConsumer(driver.Consumer):
    """Reads each partition from PostgreSQL's position on, whatever Kafka has booked."""

    app: PositionedApp

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek to PostgreSQL's positions and return them.  Where that fails the process ends: never a default."""
        assigned = self.assignment()
        try:
            return await self._seek_to_positions(assigned)
        except Exception as failure:  # Faust would crash the app in order, acknowledging on the way.
            if self.assignment() != assigned:
                log.info("rebalanced while seeking", error=type(failure).__name__)
                return {}  # The next assignment seeks again, and until then no partition of this one is read.
            self.app.end(_why(failure))
            raise

    async def _seek_to_positions(self, assigned: set[TP]) -> Mapping[TP, int]:
        booked = await super().seek_to_committed()
        positions = await self._positions(assigned)
        wanted = {tp: positions[tp.topic, tp.partition] for tp in assigned}
        await self.seek_wait(wanted)
        self.app.progress.assigned(positions)
        log.info("assigned", partitions=len(wanted))
        return {**booked, **wanted}

    async def _positions(self, assigned: set[TP]) -> Mapping[TopicPartition, int]:
        """PostgreSQL's positions.  Where they do not fit the log, both are looked at once more before it is believed.

        A zombie may have committed between the two questions, and a log's end may fall back for a moment when its
        leader changes.
        """
        try:
            return await self.app.ask_positions(await self._bounds(assigned))
        except Stop as stop:
            log.warning("looking again", reason=stop.reason)
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            return await self.app.ask_positions(await self._bounds(assigned))

    async def _bounds(self, assigned: set[TP]) -> dict[TopicPartition, Bounds]:
        begins = await self.earliest_offsets(*assigned)
        ends = await self.highwaters(*assigned)
        return {(tp.topic, tp.partition): Bounds(begins[tp], ends[tp]) for tp in assigned}


class PositionedTransport(driver.Transport):
    """Faust's own transport with that consumer in it."""

    Consumer: ClassVar[Any] = PositionedConsumer


def _why(failure: Exception) -> str:
    if isinstance(failure, Stop):
        return failure.reason
    return f"could not seek to the positions: {type(failure).__name__}: {failure}"
