from collections.abc import Awaitable, Callable

from ops.local.providers import KafkaServer
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
