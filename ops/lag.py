"""How far behind everybody is, seen from outside: the topics' ends are Kafka's, the positions PostgreSQL's.

Who asks Stripe has no database; its positions are Kafka's, too, and move once the answers are there.

A worker that hangs cannot tell that it hangs, so nothing here asks a worker.  Seconds are the age of the first record
that is not taken yet, by its own timestamp: what a customer waits for, where a number of records says little.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from models.base import Model
from models.topics import STRIPE_EVENTS, STRIPE_REQUESTS
from ops.local.errors import CannotStart
from runtime import clock
from runtime.settings import BooksSettings, StripeRequestsSettings
from store import lag
from store.postgres import Database

ASK_AGAIN_SECONDS: Final = 0.1
READ_SECONDS_MAX: Final = 10.0
"""How long to wait for the first unread records; a partition that does not give its own keeps its seconds untold."""

Readers = Mapping[str, tuple[str, ...]]

READERS: Final[Readers] = {BooksSettings.model_fields["kafka_group"].default: (STRIPE_EVENTS.name,)}
"""Who should read what: a group that never began has no position, and all of its topics before it."""

READERS_BY_KAFKA: Final[Readers] = {StripeRequestsSettings.model_fields["kafka_group"].default: (STRIPE_REQUESTS.name,)}
"""The same of those whose positions Kafka keeps."""


class PartitionLag(Model):
    """How far a group is behind in one partition; None where it cannot be told."""

    group: str
    topic: str
    partition: int
    position: int | None  # The offset that comes next; None when the group took nothing of it yet.
    end: int
    records: int | None  # None when the position lies beyond the end: the topic was made anew.
    lost: int  # Of the records, those that the log does not hold any more.
    seconds: float | None


class OutboxLag(Model):
    """How far the relay is behind."""

    events: int
    seconds: float


class Lag(Model):
    """How far everybody is behind."""

    partitions: tuple[PartitionLag, ...]
    outbox: OutboxLag

    @property
    def told(self) -> bool:
        """Whether all of it could be told."""
        return all(one.records is not None and one.seconds is not None for one in self.partitions)

    def exceeds(self, records_max: int | None, seconds_max: float | None) -> bool:
        """Whether a group as a whole, or the outbox, is further behind than that; None is no limit."""
        waiting = [*self._records_by_group().values(), self.outbox.events]
        ages = [*(one.seconds or 0.0 for one in self.partitions), self.outbox.seconds]
        too_many = records_max is not None and max(waiting) > records_max
        too_old = seconds_max is not None and max(ages) > seconds_max
        return too_many or too_old

    def _records_by_group(self) -> dict[str, int]:
        groups = {one.group for one in self.partitions}
        return {name: sum(one.records or 0 for one in self.partitions if one.group == name) for name in groups}


async def measure(
    options: Mapping[str, Any],
    database: Database,
    group: str | None = None,
    readers: Readers = READERS,
    readers_by_kafka: Readers = READERS_BY_KAFKA,
) -> Lag:
    """Where every group is, or the one named, and the relay.

    Positions are read before ends, so that a worker that moves on in between never seems to be ahead of its topic.
    """
    should = {**readers, **readers_by_kafka}
    async with _admin(options) as admin:
        taken = await lag.taken(database)
        taken |= {name: await _committed(admin, name) for name in readers_by_kafka if group in {None, name}}
        unsent = await lag.unsent(database)
        reads = {name: _topics(name, should, taken) for name in ([group] if group else sorted({*should, *taken}))}
        partitions = await _partitions(admin, {topic for topics in reads.values() for topic in topics})
    async with _consumer(options) as consumer:
        groups = [
            await _group(
                consumer, name, [where for topic in topics for where in partitions[topic]], taken.get(name, {})
            )
            for name, topics in reads.items()
        ]
    outbox = OutboxLag(events=unsent.events, seconds=round(unsent.age_seconds, 3))
    return Lag(partitions=tuple(one for partitions in groups for one in partitions), outbox=outbox)


async def _committed(admin: AIOKafkaAdminClient, group: str) -> dict[tuple[str, int], int]:
    """What Kafka keeps for a group: the offset that comes next in each partition it took something of.

    A new cluster makes the topic for that when it is first asked, and says so meanwhile.
    """
    until = clock.monotonic() + READ_SECONDS_MAX
    while True:
        try:
            kept = await admin.list_consumer_group_offsets(group)
            break
        except GroupCoordinatorNotAvailableError:
            if clock.monotonic() > until:
                raise
            await asyncio.sleep(ASK_AGAIN_SECONDS)
    return {(where.topic, where.partition): at.offset for where, at in kept.items() if at.offset >= 0}


def _topics(group: str, readers: Readers, taken: Mapping[str, Mapping[tuple[str, int], int]]) -> list[str]:
    """What a group reads: what it should, and what it ever took."""
    topics = sorted({*readers.get(group, ()), *(topic for topic, _ in taken.get(group, {}))})
    if not topics:
        raise CannotStart(f"No group {group} is known: it never took anything.")
    return topics


async def _group(
    consumer: AIOKafkaConsumer, name: str, wheres: Sequence[TopicPartition], taken: Mapping[tuple[str, int], int]
) -> list[PartitionLag]:
    beginnings = await consumer.beginning_offsets(wheres)
    ends = await consumer.end_offsets(wheres)
    positions = {where: taken.get(where, beginnings[where]) for where in wheres}
    unread = {where: max(positions[where], beginnings[where]) for where in wheres if positions[where] < ends[where]}
    ages = await _ages(consumer, {where: start for where, start in unread.items() if start < ends[where]})
    return [
        PartitionLag(
            group=name,
            topic=where.topic,
            partition=where.partition,
            position=taken.get(where),
            end=ends[where],
            records=ends[where] - positions[where] if positions[where] <= ends[where] else None,
            lost=max(0, beginnings[where] - positions[where]),
            seconds=ages.get(where) if where in unread else 0.0,
        )
        for where in wheres
    ]


async def _partitions(admin: AIOKafkaAdminClient, topics: Collection[str]) -> dict[str, list[TopicPartition]]:
    """The partitions of each topic."""
    described = await admin.describe_topics(sorted(topics))
    for found in described:
        if found["error_code"]:
            raise CannotStart(f"Kafka has no topic {found['topic']} to show: see `billing topics plan`.")
    return {
        found["topic"]: [TopicPartition(found["topic"], one["partition"]) for one in _numbered(found["partitions"])]
        for found in described
    }


def _numbered(partitions: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(partitions, key=itemgetter("partition"))


async def _ages(consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int]) -> dict[TopicPartition, float]:
    """How old the first record at or after each offset is, where one came in time."""
    written: dict[TopicPartition, int] = {}
    if not starts:
        return {}
    consumer.assign(list(starts))
    for where, start in starts.items():
        consumer.seek(where, start)
    until = clock.monotonic() + READ_SECONDS_MAX
    while len(written) < len(starts) and (left := until - clock.monotonic()) > 0:
        missing = [where for where in starts if where not in written]
        for where, records in (await consumer.getmany(*missing, timeout_ms=int(left * 1000), max_records=1)).items():
            written[where] = records[0].timestamp
    now_ms = clock.now().timestamp() * 1000
    return {where: round(max(0.0, now_ms - at_ms) / 1000, 3) for where, at_ms in written.items()}


@asynccontextmanager
async def _admin(options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**options)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def _consumer(options: Mapping[str, Any]) -> AsyncIterator[AIOKafkaConsumer]:
    """A reader of no group: it commits nothing and nobody is rebalanced because of it."""
    consumer = AIOKafkaConsumer(
        **options,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=1,  # Kafka gives one batch at least, and one record is all that is wanted.
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await asyncio.shield(consumer.stop())
