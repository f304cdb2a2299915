"""How another service reads our topics: the example to copy.

What we say is CloudEvents 1.0 in Kafka's binary mode: JSON in the value, everything else in headers.  Three habits make
a reader right:

1. **Drop what you know.**  Delivery is at least once: after a crash of the relay the same `id` comes again.
2. **Count.**  `sequence` is contiguous per topic and account: when all is read, a number that never came was missed.
3. **Ignore what you do not know.**  New types and new fields may come whenever; a type's meaning never changes.

    ledger = Ledger()
    for event in await read_all(options, ["billing.subscriptions"]):
        if ledger.is_news(event):
            ...
    assert not ledger.gaps
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

READ_SECONDS_MAX: Final = 30.0


@dataclass(frozen=True, slots=True)
class Event:
    """One thing we said.  `account_seq` and `sequence` are None where a topic is not about accounts."""

    id: str
    type: str
    subject: str | None
    time: datetime
    data: dict[str, Any]
    account_seq: int | None
    sequence: int | None
    key: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Missing:
    """What an account's sequence in a topic should have gone on with, and what came instead."""

    topic: str
    account: str
    expected: int
    came: int


@dataclass(slots=True)
class _Heard:
    """The numbers of one sequence: all up to `whole`, and those that came ahead of one that is still to come."""

    whole: int = 0
    ahead: set[int] = field(default_factory=set)

    def add(self, sequence: int) -> None:
        self.ahead.add(sequence)
        while self.whole + 1 in self.ahead:
            self.whole += 1
            self.ahead.remove(self.whole)


class Ledger:
    """What a reader remembers: the ids that it has had, and the numbers of each account's sequence in each topic.

    Subscriptions' events of one account are in one partition, and come in order.  Alerts are keyed by their rule: those
    of one account lie in several partitions, and may be read in another order than they were said in.  So a gap is
    one only when everything has been read.

    A service keeps both in its own database, in the transaction that holds the effect.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._heard: defaultdict[tuple[str, str], _Heard] = defaultdict(_Heard)

    def is_news(self, event: Event) -> bool:
        """Whether the event is heard for the first time."""
        if event.id in self._known:
            return False
        self._known.add(event.id)
        if event.sequence is not None:
            self._heard[event.topic, event.data.get("account_id") or event.key].add(event.sequence)
        return True

    @property
    def gaps(self) -> list[Missing]:
        """Every jump in what was heard so far."""
        return [
            Missing(topic, account, expected=before + 1, came=came)
            for (topic, account), heard in self._heard.items()
            for before, came in pairwise([heard.whole, *sorted(heard.ahead)])
            if came != before + 1
        ]


async def read_all(options: Mapping[str, Any], topics: Sequence[str]) -> list[Event]:
    """Everything in *topics* from the beginning to the end of this moment, each partition in its order.

    *options* are aiokafka's, such as `bootstrap_servers`.  Raises UnknownTopicOrPartitionError for a topic that
    is not there, TimeoutError when Kafka takes too long.
    """
    async with asyncio.timeout(READ_SECONDS_MAX), _consumer(options, topics) as consumer:
        partitions = list(consumer.assignment())
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        left = {where: end for where, end in ends.items() if end > begins[where]}
        events: list[Event] = []
        await consumer.seek_to_beginning(*partitions)
        while left:
            events.extend(await _read_on(consumer, left))
        return events


def as_event(record: ConsumerRecord[bytes, bytes]) -> Event:
    """The event in a record; raises KeyError or ValueError when it is not one of ours."""
    headers = {name: value.decode() for name, value in record.headers}
    return Event(
        id=headers["ce_id"],
        type=headers["ce_type"],
        subject=headers.get("ce_subject"),
        time=datetime.fromisoformat(headers["ce_time"]),
        data=json.loads(record.value or b""),
        account_seq=_number(headers.get("account_seq")),
        sequence=_number(headers.get("sequence")),
        key=(record.key or b"").decode(),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
    )


@asynccontextmanager
async def _consumer(options: Mapping[str, Any], topics: Sequence[str]) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of no group: reading moves nobody's offsets."""
    consumer = AIOKafkaConsumer(*topics, **options, group_id=None, enable_auto_commit=False)
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def _read_on(consumer: AIOKafkaConsumer, left: dict[TopicPartition, int]) -> list[Event]:
    """The next records below the ends in *left*; what is read to its end is taken out of it."""
    events = []
    for where, records in (await consumer.getmany(*left, timeout_ms=1_000)).items():
        events += [as_event(record) for record in records if record.offset < left[where]]
    for where in list(left):
        if await consumer.position(where) >= left[where]:
            consumer.pause(where)
            del left[where]
    return events


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)
