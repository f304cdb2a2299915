"""Faust carries parcels, and nothing is lost, split or booked too early by it."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
from faust.transport import consumer as faust_consumer
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.local.providers import KafkaServer
from store.records import Record
from streams.gathering import Gathering
from streams.parcels import Piece, by_topic, pack, pieces, unpack
from streams.transport import PositionedConsumer
from tests.streams.support import Books, books_settings, committed, new_group, produce, until, worker

MakeTopic = Callable[..., Awaitable[str]]


def records_of(count: int, first: int = 0) -> tuple[Record, ...]:
    return tuple(Record("topic", 0, offset, 0, b"key", b"", {}) for offset in range(first, first + count))


def event_of(records: Sequence[Record]) -> SimpleNamespace:
    return SimpleNamespace(message=SimpleNamespace(value=records))


@given(count=st.integers(1, 60), records_max=st.integers(1, 25))
def test_a_parcel_is_cut_to_what_a_batch_can_hold_and_its_last_piece_stands_for_it(
    count: int, records_max: int
) -> None:
    event = event_of(records_of(count))

    cut = pieces(event, records_max)

    assert tuple(record for piece in cut for record in piece.records) == records_of(count)
    assert all(len(piece.records) <= records_max for piece in cut)
    assert [piece.event for piece in cut] == [None] * (len(cut) - 1) + [event]


@given(sizes=st.lists(st.integers(1, 10), min_size=1, max_size=40), records_max=st.integers(10, 25))
@settings(deadline=None)
def test_what_gathers_is_taken_in_order_and_a_batch_at_a_time(sizes: list[int], records_max: int) -> None:
    async def play() -> list[list[Piece]]:
        gathering, taken = Gathering(records_max, 0.001), 0
        batches: list[list[Piece]] = []

        async def put_all() -> None:
            for number, size in enumerate(sizes):
                await gathering.put(Piece(records_of(size), number))

        async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
            tasks.create_task(put_all())
            while taken < len(sizes):
                batches.append(await gathering.take())
                taken += len(batches[-1])
        return batches

    batches = asyncio.run(play())

    assert [piece.event for batch in batches for piece in batch] == list(range(len(sizes)))
    assert all(1 <= sum(len(piece.records) for piece in batch) <= records_max for batch in batches)


async def test_under_load_a_message_of_fausts_holds_many_records(kafka: KafkaServer, topic: MakeTopic) -> None:
    name, books = await topic(), Books()
    await produce(kafka, name, [b"%d" % number for number in range(300)])

    async with worker(books_settings(kafka, new_group()), name, books) as running:
        await until(lambda: len(books.taken) == 300)
        assert running.app.monitor.messages_received_total < 100

    assert [record.value for record in books.taken] == [b"%d" % number for number in range(300)]


async def test_kafka_hears_how_far_the_books_are_even_within_a_parcel_and_never_more(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, group, books = await topic(), new_group(), Books()
    await produce(kafka, name, [b"fact"] * 100)
    take = books.take

    async def take_three_batches(records: Sequence[Record]) -> None:
        if len(books.batches) == 3:
            books.open.clear()
        await take(records)

    books.take = take_three_batches  # type: ignore[method-assign]
    async with worker(books_settings(kafka, group), name, books, records_max=10) as running:
        try:
            await until(lambda: books.waiting and len(books.batches) == 3)
            async with asyncio.timeout(20):
                while (booked := await committed(kafka, group, name)) != 30:
                    assert booked is None or booked < 30
        finally:
            books.open.set()
        await until(lambda: len(books.taken) == 100)

    assert running.ended == []
    assert await committed(kafka, group, name) == 100


async def test_one_fetch_is_one_message_of_fausts_whatever_partitions_it_brings(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, books = await topic(partitions=12), Books()
    for partition in range(12):
        await produce(kafka, name, [b"%d" % number for number in range(30)], partition)

    async with worker(books_settings(kafka, new_group()), name, books) as running:
        await until(lambda: len(books.taken) == 360)
        assert running.app.monitor.messages_received_total < 12

    for partition in range(12):
        taken = [record.value for record in books.taken if record.partition == partition]
        assert taken == [b"%d" % number for number in range(30)]


def fetched_of(topic: str, partition: int, offsets: Sequence[int]) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            topic=topic, partition=partition, offset=offset, timestamp=1, key=b"key", value=b"value", headers=()
        )
        for offset in offsets
    ]


@given(st.dictionaries(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), st.integers(1, 4), min_size=1))
def test_a_parcel_is_of_one_topic_and_goes_by_its_last_record(counts: dict[tuple[str, int], int]) -> None:
    fetched = {TP(*where): fetched_of(*where, range(count)) for where, count in counts.items()}

    parcels = [pack(part, generation_id=7) for part in by_topic(fetched)]

    records = [record for parcel in parcels for record in unpack(parcel)]
    assert sorted((one.topic, one.partition, one.offset) for one in records) == sorted(
        (*where, offset) for where, count in counts.items() for offset in range(count)
    )
    for parcel in parcels:
        last = unpack(parcel)[-1]
        assert {record.topic for record in unpack(parcel)} == {parcel.topic}
        assert (*parcel.tp, parcel.offset) == (last.topic, last.partition, last.offset)
        for partition in range(4):
            offsets = [record.offset for record in unpack(parcel) if record.partition == partition]
            assert offsets == sorted(offsets)


def test_the_seam_of_the_parcels_is_where_it_was() -> None:
    drain = inspect.getsource(faust_consumer.Consumer._drain_messages)
    original = inspect.getsource(faust_consumer.Consumer.getmany)

    assert "getmany(timeout=1.0)" in drain
    assert "callback(message)" in drain
    assert "self._add_gap(" in drain
    assert "self._filter_tps_with_pending_acks(topics)" in inspect.getsource(faust_consumer.Consumer.force_commit)
    assert "self._new_offset(tp)" in inspect.getsource(faust_consumer.Consumer._filter_committable_offsets)
    for asked in ("_wait_next_records(timeout)", "flow_active", "consumer_generation_id", "_buffered_partitions"):
        assert asked in original, "Faust asks something else before it hands a record out"
        assert asked.removesuffix("(timeout)") in inspect.getsource(PositionedConsumer)


@dataclass
class Clock:
    """A clock that goes when it is told to."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


async def come(gathering: Gathering, clock: Clock, per_second: int, seconds: float = 1.0) -> None:
    """Records come at a rate for a while, and each is taken at once."""
    for _ in range(int(per_second * seconds)):
        clock.now += 1 / per_second
        await gathering.put(Piece(records_of(1), None))
        await gathering.take()


async def test_a_batch_is_given_time_to_fill_while_records_come_fast() -> None:
    clock = Clock()
    gathering = Gathering(500, fill_seconds_max=1, monotonic=clock)
    await come(gathering, clock, per_second=1, seconds=3)
    for _ in range(20):
        clock.now += 0.02
        await gathering.put(Piece(records_of(20), None))

    async with asyncio.timeout(10):
        await gathering.take()
        await gathering.put(Piece(records_of(60), None))
        filling = asyncio.create_task(gathering.take())
        await asyncio.sleep(0)
        await gathering.put(Piece(records_of(40), None))
        assert len(await filling) == 2


@pytest.mark.parametrize("per_second", [1, 50, 500, 1_000])
async def test_nobody_waits_while_records_come_slowly_not_even_a_crowd_that_a_pause_has_left(per_second: int) -> None:
    clock = Clock()
    gathering = Gathering(500, fill_seconds_max=0.04, monotonic=clock)
    await come(gathering, clock, per_second)
    for _ in range(max(1, per_second // 25)):  # Forty milliseconds' worth at once.
        await gathering.put(Piece(records_of(1), None))

    taking = asyncio.create_task(gathering.take())
    await asyncio.sleep(0)

    assert taking.done()


@pytest.mark.parametrize("pause_seconds", [0.2, 0.25, 1.0, 60.0])
async def test_how_fast_records_came_before_a_pause_makes_nobody_wait_after_it(pause_seconds: float) -> None:
    clock = Clock()
    gathering = Gathering(500, fill_seconds_max=0.04, monotonic=clock)
    for _ in range(5):
        clock.now += 0.05
        await gathering.put(Piece(records_of(200), None))
        await gathering.take()
    clock.now += pause_seconds
    for _ in range(2):
        await gathering.put(Piece(records_of(1), None))
        clock.now += 0.04

    taking = asyncio.create_task(gathering.take())
    await asyncio.sleep(0)

    assert taking.done()
