"""Every partition has its turn: what piles up in some makes no other wait for its end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaConsumer
from hypothesis import given
from hypothesis import strategies as st

from ops.local.providers import KafkaServer
from store.records import Record
from streams.app import PARTITION_FETCH_BYTES_MAX, POLL_RECORDS_MAX
from streams.progress import Progress
from streams.transport import IN_HAND_RECORDS_MAX
from tests.streams.support import WAIT_SECONDS_MAX, Books, Worker, books_settings, new_group, produce, until, worker

MakeTopic = Callable[..., Awaitable[str]]

PARTITIONS = 12
EACH = 700
VALUE = bytes(6_000)
PARTITION_RECORDS = PARTITION_FETCH_BYTES_MAX // len(VALUE)  # In one fetch.
ROUNDS_APART_MAX = 3


async def test_in_a_backlog_no_partition_falls_behind_the_others(kafka: KafkaServer, topic: MakeTopic) -> None:
    name, books = await topic(partitions=PARTITIONS), Books()
    for partition in range(PARTITIONS):
        await produce(kafka, name, [VALUE] * EACH, partition)
    spreads, take = [], books.take

    async def take_slowly(records: Sequence[Record]) -> None:
        await asyncio.sleep(0.03)  # Fetching is faster than the books, as it is in a backlog.
        await take(records)
        positions = [books.positions[name, partition] for partition in range(PARTITIONS)]
        if max(positions) < EACH:
            spreads.append(max(positions) - min(positions))

    books.take = take_slowly  # type: ignore[method-assign]
    async with worker(books_settings(kafka, new_group()), name, books):
        await until(lambda: len(books.taken) == PARTITIONS * EACH)

    assert len(spreads) > 5
    assert max(spreads) <= ROUNDS_APART_MAX * PARTITION_RECORDS


async def test_what_is_in_hand_is_bounded_and_fausts_own_buffer_never_full(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, books = await topic(partitions=2), Books()
    for partition in range(2):
        await produce(kafka, name, [b"small"] * 2 * IN_HAND_RECORDS_MAX, partition)
    books.open.clear()
    async with worker(books_settings(kafka, new_group()), name, books) as running:
        try:
            await until(lambda: sum(running.app.consumer.in_hand) >= IN_HAND_RECORDS_MAX)
            await read_by_somebody_else(kafka, name, 4 * IN_HAND_RECORDS_MAX)  # As long as that, more could come.
            assert sum(running.app.consumer.in_hand) <= IN_HAND_RECORDS_MAX + POLL_RECORDS_MAX
        finally:
            books.open.set()
        await until(lambda: len(books.taken) == 4 * IN_HAND_RECORDS_MAX)
        assert running.app.monitor.topic_buffer_full == {}
        for queue in (channel.queue for channel in running.app.topics):
            assert queue.pressure_high_size > IN_HAND_RECORDS_MAX + PARTITIONS


async def read_by_somebody_else(kafka: KafkaServer, topic: str, count: int) -> None:
    reader = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest")
    async with asyncio.timeout(WAIT_SECONDS_MAX), reader:
        for _ in range(count):
            await reader.getone()


async def test_a_record_larger_than_a_fetch_comes_in_its_turn(kafka: KafkaServer, topic: MakeTopic) -> None:
    name, books = await topic(partitions=3), Books()
    large = bytes(PARTITION_FETCH_BYTES_MAX + 100_000)
    for partition in range(3):
        await produce(kafka, name, [b"before", large, b"after"], partition)

    async with worker(books_settings(kafka, new_group()), name, books):
        await until(lambda: len(books.taken) == 9)

    for partition in range(3):
        assert [record.value for record in books.taken if record.partition == partition] == [b"before", large, b"after"]


async def test_a_peer_that_joins_in_a_backlog_finds_nobody_waiting_for_room(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, group, books = await topic(partitions=4), new_group(), Books()
    for partition in range(4):
        await produce(kafka, name, [b"small"] * IN_HAND_RECORDS_MAX, partition)
    books.open.clear()

    async def open_once_it_rebalances(first: Worker) -> None:
        await until(lambda: not first.app.consumer.flow_active)
        books.open.set()

    async with worker(books_settings(kafka, group, 0), name, books) as first:
        try:
            await until(lambda: sum(first.app.consumer.in_hand) >= IN_HAND_RECORDS_MAX)
            opening = asyncio.create_task(open_once_it_rebalances(first))
            async with worker(books_settings(kafka, group, 1), name, books) as second:
                await opening
                await until(lambda: len(books.taken) >= 4 * IN_HAND_RECORDS_MAX)
                await until(lambda: len(first.progress.positions) == len(second.progress.positions) == 2)
        finally:
            books.open.set()

    assert sorted(books.offsets) == [
        (partition, offset) for partition in range(4) for offset in range(IN_HAND_RECORDS_MAX)
    ]
    assert first.ended == second.ended == []


def record(partition: int, offset: int) -> Record:
    return Record("topic", partition, offset, 0, b"key", b"", {})


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30), st.data())
def test_a_parcel_waits_its_turn_until_it_or_a_later_one_is_in_the_books(order: list[int], data: st.DataObject) -> None:
    """Parcels of one record each, handed in some order; one of them may be lost on the way."""
    progress = Progress()
    progress.assigned({("topic", partition): 0 for partition in range(3)})
    parcels = [(partition, order[:at].count(partition)) for at, partition in enumerate(order)]
    lost = data.draw(st.sampled_from([None, *parcels]))
    for partition, offset in parcels:
        progress.handed(("topic", partition), offset + 1)

    taken = []
    for partition, offset in parcels:
        if (partition, offset) != lost and (lost is None or partition != lost[0] or offset < lost[1]):
            progress.committed([record(partition, offset)])
            taken.append((partition, offset))
        newest = {one: max(at for at, (which, _) in enumerate(parcels) if which == one) for one in set(order)}
        done = max((newest[one] for one, at in taken if (one, at) == parcels[newest[one]]), default=-1)
        for one, at in newest.items():
            assert progress.waits_its_turn(("topic", one)) == (at > done)


def test_what_was_in_hand_before_a_rebalance_waits_no_more_after_it() -> None:
    progress = Progress()
    progress.assigned({("topic", 0): 0})
    progress.handed(("topic", 0), 5)
    assert progress.waits_its_turn(("topic", 0))

    progress.revoked()
    progress.assigned({("topic", 0): 0})

    assert not progress.waits_its_turn(("topic", 0))
