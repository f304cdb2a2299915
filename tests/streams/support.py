"""Faust apps of the books in the test's own process, with plain objects where PostgreSQL would be."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from ops.local.providers import KafkaServer
from runtime.failpoints import Failpoints
from runtime.settings import BooksSettings
from store.positions import Bounds
from store.records import Record
from streams.agents import BooksAgent
from streams.app import make_app, raw_topic
from streams.gathering import Gathering
from streams.progress import Progress
from streams.transport import PositionedApp

WAIT_SECONDS_MAX = 30.0
_groups = itertools.count(1)


def new_group() -> str:
    return f"books-{next(_groups)}-{time.monotonic_ns()}"


def books_settings(kafka: KafkaServer, group: str, ordinal: int = 0, **others: object) -> BooksSettings:
    return BooksSettings(
        kafka_bootstrap_servers=kafka.bootstrap_servers,
        kafka_group=group,
        worker_ordinal=ordinal,
        database_url="postgresql://nobody@localhost/none",
        edge_keys_file="unused",
        store_keys_file="unused",
        **others,
    )


@dataclass
class Books:
    """What PostgreSQL would keep: positions, and every record that was taken, in order."""

    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    taken: list[Record] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    asked: list[Mapping[tuple[str, int], Bounds]] = field(default_factory=list)
    failing: Exception | None = None
    ahead: list[Record] = field(default_factory=list)
    waiting: bool = False
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def ask(self, bounds: Mapping[tuple[str, int], Bounds]) -> Mapping[tuple[str, int], int]:
        self.asked.append(bounds)
        for where, bound in bounds.items():
            self.positions.setdefault(where, bound.beginning)
        return {where: self.positions[where] for where in bounds}

    async def take(self, records: Sequence[Record]) -> None:
        self.waiting = True
        await self.open.wait()
        self.waiting = False
        if self.failing:
            raise self.failing
        self.batches.append(len(records))
        self.taken.extend(records)
        for record in records:
            self.positions[record.topic, record.partition] = record.offset + 1

    def read_ahead(self, record: Record) -> None:
        self.ahead.append(record)

    @property
    def offsets(self) -> list[tuple[int, int]]:
        return [(record.partition, record.offset) for record in self.taken]


@dataclass
class Worker:
    """A running worker, and why it wanted to end its process."""

    app: PositionedApp
    agent: BooksAgent
    progress: Progress
    ended: list[str]


@asynccontextmanager
async def worker(
    settings: BooksSettings, topic: str, books: Books, records_max: int = 500, *, waits_on_stop: bool = True
) -> AsyncIterator[Worker]:
    progress, ended = Progress(), []
    app = make_app(settings, progress, ended.append)
    app.ask_positions = books.ask
    app.conf.stream_wait_empty = waits_on_stop  # In a test the process goes on, and nobody will acknowledge any more.
    agent = BooksAgent(books, progress, Failpoints(None), Gathering(records_max, 0.02), ended.append)

    async def run(stream: object) -> None:
        await agent.run(stream)

    app.agent(raw_topic(app, topic), name="books", concurrency=1)(run)
    await app.start()
    try:
        yield Worker(app, agent, progress, ended)
    finally:
        await app.stop()


async def until(holds: Callable[[], object], what: str = "") -> None:
    """Wait for a condition; the test fails where it never comes."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS_MAX} s in vain {what}"
        await asyncio.sleep(0.01)


async def produce(
    kafka: KafkaServer,
    topic: str,
    values: Sequence[bytes | None],
    partition: int = 0,
    headers: Sequence[tuple[str, bytes]] = (),
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, acks="all") as producer:
        to: dict[str, Any] = {"key": b"key", "partition": partition, "headers": list(headers)}
        sent = [await producer.send(topic, value, **to) for value in values]
        await asyncio.gather(*sent)


async def committed(kafka: KafkaServer, group: str, topic: str, partition: int = 0) -> int | None:
    """What Kafka has booked for a group."""
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=group, enable_auto_commit=False
    ) as consumer:
        return await consumer.committed(TopicPartition(topic, partition))


async def book_in_kafka(kafka: KafkaServer, group: str, topic: str, offset: int, partition: int = 0) -> None:
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers, group_id=group, enable_auto_commit=False
    ) as consumer:
        consumer.assign([TopicPartition(topic, partition)])
        await consumer.commit({TopicPartition(topic, partition): offset})
