"""The seam between Faust and PostgreSQL's positions, in every combination of what the two have."""

import inspect
import itertools
from collections.abc import Awaitable, Callable

from faust.transport.consumer import Consumer as FaustConsumer
from faust.transport.consumer import ThreadDelegateConsumer
from faust.types import TP

from ops.local.providers import KafkaServer
from runtime.failures import Stop
from tests.streams.support import (
    Books,
    book_in_kafka,
    books_settings,
    committed,
    new_group,
    produce,
    until,
    worker,
)

MakeTopic = Callable[..., Awaitable[str]]

RECORDS = 10
COMBINATIONS = list(itertools.product((None, 0, 4, RECORDS), repeat=2))  # Booked by Kafka, kept by PostgreSQL.


def test_faust_books_what_seek_to_committed_returns_and_nothing_else() -> None:
    perform = inspect.getsource(FaustConsumer.perform_seek)

    assert "_committed_offsets = await self.seek_to_committed()" in perform
    assert "read_offset.update(" in perform
    assert "self._committed_offset.update(committed_offsets)" in perform
    assert "seek_to_committed" in vars(ThreadDelegateConsumer)


async def test_a_worker_reads_on_from_postgresqls_position_whatever_kafka_has_booked(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    """One partition for each combination."""
    name, group, books = await topic(partitions=len(COMBINATIONS)), new_group(), Books()
    for partition, (booked_by_kafka, kept_by_postgres) in enumerate(COMBINATIONS):
        await produce(kafka, name, [b"%d" % number for number in range(RECORDS)], partition)
        if booked_by_kafka is not None:
            await book_in_kafka(kafka, group, name, booked_by_kafka, partition)
        if kept_by_postgres is not None:
            books.positions[name, partition] = kept_by_postgres

    async with worker(books_settings(kafka, group), name, books) as running:
        await until(lambda: running.progress.settled)
        for partition in range(len(COMBINATIONS)):
            await produce(kafka, name, [b"last"], partition)
        await until(lambda: set(books.positions.values()) == {RECORDS + 1})

    for partition, (_, kept_by_postgres) in enumerate(COMBINATIONS):
        read = [offset for where, offset in books.offsets if where == partition]
        assert read == list(range(kept_by_postgres or 0, RECORDS + 1)), COMBINATIONS[partition]
        assert await committed(kafka, group, name, partition) == RECORDS + 1
    assert running.ended == []


async def test_a_peer_that_joins_makes_nobody_read_anything_twice_or_skip_anything(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, group, books = await topic(partitions=4), new_group(), Books()
    for partition in range(4):
        await produce(kafka, name, [b"before"] * 50, partition)

    async with worker(books_settings(kafka, group, 0), name, books, records_max=7) as first:
        await until(lambda: len(books.taken) >= 20)
        async with worker(books_settings(kafka, group, 1), name, books, records_max=7) as second:
            await until(lambda: len(first.progress.positions) == len(second.progress.positions) == 2)
            for partition in range(4):
                await produce(kafka, name, [b"after"] * 50, partition)
            await until(lambda: len(books.taken) >= 400)

    assert sorted(books.offsets) == [(partition, offset) for partition in range(4) for offset in range(100)]
    for partition in range(4):
        assert [offset for where, offset in books.offsets if where == partition] == list(range(100))
    assert first.ended == second.ended == []


async def test_a_worker_ends_its_process_when_the_positions_do_not_fit_the_log(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    class Recreated(Books):
        async def ask(self, bounds: object) -> dict[tuple[str, int], int]:  # noqa: ARG002  # The seam's signature.
            raise Stop("the topic was recreated")

    name, books = await topic(), Recreated()
    await produce(kafka, name, [b"new facts"])

    async with worker(books_settings(kafka, new_group()), name, books) as running:
        await until(lambda: running.ended)

    assert running.ended[0] == "the topic was recreated"
    assert books.taken == []


async def test_the_positions_are_asked_with_the_logs_bounds_as_kafka_has_them(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, books = await topic(partitions=2), Books()
    await produce(kafka, name, [b"one", b"two"], partition=1)

    async with worker(books_settings(kafka, new_group()), name, books) as running:
        await until(lambda: running.progress.settled)
        assert running.app.consumer.assignment() == {TP(name, 0), TP(name, 1)}

    bounds = books.asked[0]
    assert {where: (bound.beginning, bound.end) for where, bound in bounds.items()} == {
        (name, 0): (0, 0),
        (name, 1): (0, 2),
    }
