"""The seam between Faust and the position that PostgreSQL keeps.

After every assignment Faust asks its consumer to `seek_to_committed` and books what that returns: this one seeks to
where PostgreSQL says instead.  (`on_partitions_assigned` would be too early: Faust's own seek comes after it.)  And
what it commits to Kafka, now and then, is an echo of the same position, never a sum of acknowledgements.  Pinned by
tests/streams/test_seek.py and test_parcels.py.

Records reach Faust in parcels (`streams.parcels`), which is also here because it is the consumer that packs them; and
it waits while enough is in hand.  Faust's own way of waiting, which takes single partitions out of the fetch while
its buffer is full and lets an arbitrary one back in, starves the others for as long as the buffer is never empty
(tests/streams/test_turns.py).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, ClassVar, Final
from weakref import WeakSet

import faust
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message

from runtime.failures import Stop
from runtime.logs import get_logger
from store.positions import Bounds, TopicPartition
from streams import parcels
from streams.ending import End
from streams.looped import LoopedConsumer
from streams.progress import Progress

AskPositions = Callable[[Mapping[TopicPartition, Bounds]], Awaitable[Mapping[TopicPartition, int]]]

LOOK_AGAIN_SECONDS: Final = 1.0

IN_HAND_RECORDS_MAX: Final = 2_000
"""Four batches: enough that the books never wait for the next fetch."""

log = get_logger(__name__)


class PositionedApp(faust.App):
    """A Faust app that reads on where *ask_positions* says; whoever has the answer sets it before the start."""

    ask_positions: AskPositions
    progress: Progress
    end: End

    def _create_directories(self) -> None:
        """Make none: they are for tables, this app has none, and its file system may be read-only."""


class PositionedConsumer(driver.Consumer):
    """Reads each partition from PostgreSQL's position on, whatever Kafka has booked, and in parcels."""

    app: PositionedApp

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_hand: WeakSet[Message] = WeakSet()  # Faust itself counts only what a stream has taken already.
        self._some_acked = asyncio.Event()

    def _new_consumer_thread(self) -> LoopedConsumer:
        return LoopedConsumer(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109  # Faust's signature.
        """One message with all that the next fetch brings of a topic, once there is room for it.

        Like Faust's own, but for the packing: nothing is handed out once the flow is stopped or a rebalance has begun,
        and a fetch that comes back while the flow rests seeks anew.
        """
        fetched, active = await self._wait_next_records(timeout)
        if not fetched or self.should_stop:
            return
        if not self.flow_active:
            await self.perform_seek()
            return
        generation = self.app.consumer_generation_id
        wanted = {
            tp: records
            for tp, records in fetched.items()
            if records and (active is None or tp in active or tp in self._buffered_partitions)
        }
        for part in parcels.by_topic(wanted):
            await self._until_room()
            if not self._still_flows(generation):
                return
            parcel = parcels.pack(part, generation)
            self._in_hand.add(parcel)
            for tp, records in part.items():
                self.app.progress.handed((tp.topic, tp.partition), records[-1].offset + 1)
            yield parcel.tp, parcel

    def _still_flows(self, generation: int) -> bool:
        return self.flow_active and not self.should_stop and self.app.consumer_generation_id == generation

    async def _until_room(self) -> None:
        """Wait while enough is in hand, but not once the flow is stopped: then what was fetched is another's."""
        while self.flow_active and not self.should_stop and not self._room():
            self._some_acked.clear()
            await self.wait_first(self._some_acked.wait(), self.suspend_flow.wait())

    @property
    def in_hand(self) -> list[int]:
        """How many records are in each parcel that the books hold and have not acknowledged.

        What a rebalance swept out of Faust's buffer is of an earlier generation, and will never be.
        """
        generation = self.app.consumer_generation_id
        return [len(parcels.unpack(parcel)) for parcel in self._in_hand if parcel.generation_id == generation]

    def _room(self) -> bool:
        return sum(self.in_hand) < IN_HAND_RECORDS_MAX

    def ack(self, message: Message) -> bool:
        """Faust's own, and whoever waits for room looks again."""
        self._in_hand.discard(message)
        self._some_acked.set()
        return super().ack(message)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        """Every partition that we hold: the books may have got on in one whose parcel is not through yet."""
        return (tp for tp in self.assignment() if topics is None or tp in topics or tp.topic in topics)

    def _new_offset(self, tp: TP) -> int | None:
        """What may be committed to Kafka: as far as the books have come."""
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self.app.progress.positions.get((tp.topic, tp.partition))

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Forget it: between two parcels' offsets lie records, and the intake knows a gap when it sees one."""

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
