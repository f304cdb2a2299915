import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from faust import StreamT

from ops.local.providers import KafkaServer
from runtime.failures import Stop
from streams.agents import BooksAgent
from streams.gathering import ENOUGH_RECORDS
from streams.parcels import Piece
from tests.streams.support import Books, books_settings, committed, new_group, produce, until, worker

MakeTopic = Callable[..., Awaitable[str]]


async def test_every_record_is_taken_once_in_order_and_then_acknowledged(kafka: KafkaServer, topic: MakeTopic) -> None:
    name, group, books = await topic(), new_group(), Books()
    await produce(kafka, name, [b"%d" % number for number in range(300)])

    async with worker(books_settings(kafka, group), name, books) as running:
        await until(lambda: len(books.taken) == 300)

    assert [record.value for record in books.taken] == [b"%d" % number for number in range(300)]
    assert await committed(kafka, group, name) == 300
    assert running.ended == []


async def test_batches_gather_while_one_is_committed_and_a_lone_record_waits_for_nobody(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, books = await topic(), Books()
    async with worker(books_settings(kafka, new_group()), name, books, records_max=50) as running:
        await until(lambda: running.progress.settled)
        await produce(kafka, name, [b"alone"])
        await until(lambda: books.batches == [1])
        books.open.clear()
        await produce(kafka, name, [b"many"] * 120)
        await until(running.agent._gathered.full)
        books.open.set()
        await until(lambda: len(books.taken) == 121)

    assert max(books.batches) == 50


async def test_while_a_full_batch_is_committed_what_comes_next_is_read_once_and_in_order(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, books = await topic(), Books()
    books.open.clear()
    sent = [b"%d" % number for number in range(3 * ENOUGH_RECORDS)]
    await produce(kafka, name, sent)
    try:
        async with worker(books_settings(kafka, new_group()), name, books, records_max=ENOUGH_RECORDS):
            await until(lambda: len(books.ahead) == ENOUGH_RECORDS)
            assert books.taken == []
            books.open.set()
            await until(lambda: len(books.taken) == len(sent))
    finally:
        books.open.set()

    assert [record.value for record in books.taken] == sent
    ahead = [record.value for record in books.ahead]
    assert ahead == sorted(set(ahead), key=sent.index)


@pytest.mark.parametrize("failing", [Stop("the world stayed away"), ZeroDivisionError("a bug of ours")])
async def test_whatever_the_intake_raises_ends_the_process_and_acknowledges_nothing(
    kafka: KafkaServer, topic: MakeTopic, failing: Exception
) -> None:
    name, group, books = await topic(), new_group(), Books(failing=failing)
    books_of_next = Books()
    await produce(kafka, name, [b"fact"] * 10)

    async with worker(books_settings(kafka, group), name, books, waits_on_stop=False) as running:
        await until(lambda: running.ended)

    assert await committed(kafka, group, name) in {None, 0}, "what nobody took was acknowledged"

    async with worker(books_settings(kafka, group), name, books_of_next):
        await until(lambda: len(books_of_next.taken) == 10)


async def test_acknowledging_before_taking_turns_the_test_above_red(
    kafka: KafkaServer, topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def early(self: BooksAgent, stream: StreamT[bytes], batch: Sequence[Piece]) -> None:
        records = [record for piece in batch for record in piece.records]
        self._progress.committed(records)
        for piece in batch:
            if piece.event is not None:
                await stream.ack(piece.event)
        await self._intake.take(records)

    monkeypatch.setattr(BooksAgent, "_commit_one", early)

    with pytest.raises(AssertionError, match="acknowledged"):
        await test_whatever_the_intake_raises_ends_the_process_and_acknowledges_nothing(
            kafka, topic, Stop("the world stayed away")
        )


async def open_when(holds: Callable[[], object], books: Books) -> None:
    await until(holds)
    assert books.taken == [], "the rebalance began with the batch in hand"
    books.open.set()


async def test_a_rebalance_in_the_middle_of_a_batch_waits_for_it_and_repeats_nothing(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, group, books = await topic(partitions=2), new_group(), Books()
    for partition in range(2):
        await produce(kafka, name, [b"fact"] * 100, partition)
    books.open.clear()
    async with worker(books_settings(kafka, group, 0), name, books, records_max=10) as first:
        await until(lambda: books.waiting)
        opening = asyncio.create_task(open_when(lambda: first.app.rebalancing, books))
        async with worker(books_settings(kafka, group, 1), name, books, records_max=10) as second:
            await opening
            await until(lambda: len(first.progress.positions) == len(second.progress.positions) == 1)
            await until(lambda: len(books.taken) >= 200)

    assert sorted(books.offsets) == [(partition, offset) for partition in range(2) for offset in range(100)]
    assert first.ended == second.ended == []


async def test_what_cannot_be_decoded_reaches_the_intake_as_it_is(kafka: KafkaServer, topic: MakeTopic) -> None:
    name, books = await topic(), Books()
    await produce(kafka, name, [b"\xff\xfe not text", None, b"", b"{"])

    async with worker(books_settings(kafka, new_group()), name, books):
        await until(lambda: len(books.taken) == 4)

    assert [record.value for record in books.taken] == [b"\xff\xfe not text", b"", b"", b"{"]
