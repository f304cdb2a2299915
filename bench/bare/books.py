"""The bare consumer: records by the batch, one pipelined transaction, one message out for each event.

`python -m bench.bare.books`.  It writes the rows that `streams.books` writes and says what `streams.relay` says, with
nothing between: no models, no seals, no Faust, no order, no retries, no parked facts, no separate relay.  Sending goes
on while the next batch is in hand.  One difference is to its favour: what is to be said is written as sent already.
"""

import asyncio
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from psycopg.types.numeric import Int8

from bench.bare import statements
from bench.bare.rows import Event, Row
from bench.bare.settings import BareBooksSettings
from runtime import clock, health, kafka
from runtime.settings import load

SAID_TYPE: Final = "billing.subscription.changed.v1"
BATCH_BYTES_MAX: Final = 262_144
POLL_MS: Final = 200
COMMIT_SECONDS: Final = 0.5

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


@dataclass(slots=True)
class Batch:
    """What a batch makes of what was known."""

    accounts: dict[str, str]  # By customer.
    last_seqs: dict[str, int]  # By account.
    sequences: dict[str, int]
    customers: dict[str, Row] = field(default_factory=dict)  # New, or newly named.
    heard: list[Row] = field(default_factory=list)
    versions: list[Row] = field(default_factory=list)
    presents: dict[str, Row] = field(default_factory=dict)
    said: list[Row] = field(default_factory=list)

    def hear(self, event: Event) -> None:
        """Take one event."""
        account_id = self._account(event)
        self.last_seqs[account_id] = seq = self.last_seqs.get(account_id, 0) + 1
        caused = None
        if event.shown is not None:
            state = event.state()
            version = event.version(state)
            self.versions.append(version)
            self.presents[event.subject] = version
            if event.said:
                caused = self._say(event, state, account_id, seq)
        self.heard.append(
            {
                "account_id": account_id,
                "account_seq": seq,
                "fact_id": event.fact_id,
                "type": event.type,
                "subject": event.subject,
                "customer_id": event.customer_id,
                "account_hint": event.platform_id,
                "occurred_at": event.created,
                "received_at": event.received_at,
                "api_version": event.api_version,
                "slice": event.slice,
                "outcome": "ignored" if event.shown is None else "applied",
                "caused": caused,
                "partition": event.partition,
                "offset": event.offset,
            }
        )

    def _account(self, event: Event) -> str:
        known = self.accounts.get(event.customer_id)
        named = account_of("platform", event.platform_id) if event.platform_id else None
        if known and named in {None, known}:
            return known
        own = account_of("stripe_customer", event.customer_id)
        if not known:
            self.last_seqs.setdefault(own, 0)
        account_id = named or own
        self.accounts[event.customer_id] = account_id
        self.customers[event.customer_id] = {
            "customer_ids": event.customer_id,
            "account_ids": account_id,
            "platform_ids": event.platform_id,
            "named_ats": event.created if named else None,
            "named_bys": event.fact_id if named else None,
        }
        return account_id

    def _say(self, event: Event, state: Row, account_id: str, seq: int) -> str:
        event_id = f"stripe/{event.fact_id}/{SAID_TYPE}/{event.subject}"
        self.sequences[account_id] = sequence = self.sequences.get(account_id, 0) + 1
        head = {"type": SAID_TYPE, "subject": event.subject, "account_id": account_id, "as_of": event.created}
        self.said.append(
            {
                "account_id": account_id,
                "account_seq": seq,
                "sequence": sequence,
                "event_id": event_id,
                "subject": event.subject,
                "occurred_at": event.created,
                "data": json.dumps(head | state, default=str),
            }
        )
        return event_id


class BareBooks:
    """The transaction."""

    def __init__(self, connection: Connection, settings: BareBooksSettings) -> None:
        self._connection = connection
        self._about = {"group": settings.group, "topic": settings.topic, "said_topic": settings.said_topic}

    async def positions(self, beginnings: Mapping[int, int]) -> dict[int, int]:
        """Where to read on in each partition."""
        await self._connection.execute(
            statements.SEED,
            self._about | {"partitions": _bigints(beginnings), "offsets": _bigints(beginnings.values())},
        )
        found = await self._connection.execute(statements.POSITIONS, self._about)
        return dict(await found.fetchall())

    async def take(self, events: Sequence[Event], ends: Mapping[int, int]) -> list[Row]:
        """All of *events* in one transaction; what is to be said now."""
        async with self._connection.pipeline():
            await self._run("BEGIN", {})
            batch = await self._known(events)
            await self._save(batch)
            await self._run(statements.MOVE, {"partitions": _bigints(ends), "offsets": _bigints(ends.values())})
            await self._run("COMMIT", {})
        return batch.said

    async def _known(self, events: Sequence[Event]) -> Batch:
        """Claim and ask in one go; then everything is decided here."""
        first = {event.fact_id: event for event in reversed(events)}
        met = list({event.customer_id for event in events})
        named = {account_of("platform", event.platform_id) for event in events if event.platform_id}
        own = {account_of("stripe_customer", customer_id) for customer_id in met}
        claimed = await self._run(
            statements.CLAIM,
            {
                "fact_ids": [*first],
                "hashes": [event.digest for event in first.values()],
                "api_versions": [event.api_version for event in first.values()],
            },
        )
        customers = await self._run(statements.CUSTOMERS, {"customer_ids": met})
        accounts = await self._run(statements.ACCOUNTS, {"customer_ids": met, "account_ids": [*(named | own)]})
        fresh = {fact_id for (fact_id,) in await claimed.fetchall()}
        batch = Batch(dict(await customers.fetchall()), {}, {})
        for account_id, last_seq, last_sequence in await accounts.fetchall():
            batch.last_seqs[account_id] = last_seq
            batch.sequences[account_id] = last_sequence
        for fact_id in reversed(first):
            if fact_id in fresh:
                batch.hear(first[fact_id])
        return batch

    async def _save(self, batch: Batch) -> None:
        if batch.customers:
            await self._run(statements.SAVE_CUSTOMERS, _columns([*batch.customers.values()]))
        if batch.heard:
            await self._run(statements.JOURNAL, _columns(batch.heard))
            await self._run(statements.SAVE_ACCOUNTS, _last(batch.last_seqs, "last_seqs"))
        if batch.versions:
            await self._run(statements.SAVE_VERSIONS, _columns(batch.versions))
            await self._run(statements.SAVE_PRESENT, _columns([*batch.presents.values()]))
        if batch.said:
            spoken = {row["account_id"]: row["sequence"] for row in batch.said}
            await self._run(statements.SAVE_SEQUENCES, _last(spoken, "lasts"))
            await self._run(statements.OUTBOX, _columns(batch.said) | {"said_type": SAID_TYPE})

    async def _run(self, statement: Any, values: Mapping[str, Any]) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        return await self._connection.execute(statement, {**self._about, **values})


class Mouth:
    """Says what was committed, and then tells Kafka how far we are: now and then, as nobody asks it."""

    def __init__(self, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, topic: str) -> None:
        self._consumer = consumer
        self._producer = producer
        self._topic = topic
        self._next_commit = 0.0

    async def say(self, rows: Sequence[Row], ends: Mapping[TopicPartition, int]) -> None:
        """Return when the broker has all of it."""
        sent = [
            await self._producer.send(
                self._topic, row["data"].encode(), key=row["account_id"].encode(), headers=_headers(row)
            )
            for row in rows
        ]
        await asyncio.gather(*sent)
        if clock.monotonic() > self._next_commit:
            await self._consumer.commit(ends)
            self._next_commit = clock.monotonic() + COMMIT_SECONDS


async def consume(
    consumer: AIOKafkaConsumer, books: BareBooks, mouth: Mouth, batch_max: int, stop: asyncio.Event
) -> None:
    """Batch after batch until *stop*."""
    saying: asyncio.Task[None] | None = None
    while not stop.is_set():
        found = await consumer.getmany(timeout_ms=POLL_MS, max_records=batch_max)
        if not found:
            continue
        events = [Event(record) for records in found.values() for record in records]
        ends = {where: records[-1].offset + 1 for where, records in found.items()}
        said = await books.take(events, {where.partition: end for where, end in ends.items()})
        if saying is not None:
            await saying
        saying = asyncio.create_task(mouth.say(said, ends))
    if saying is not None:
        await saying


def account_of(kind: str, alias: str) -> str:
    """An account's id, as long as ours."""
    return "ac_" + sha256(f"{kind}:{alias}".encode()).hexdigest()[:26]


def _headers(row: Row) -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", row["event_id"].encode()),
        ("ce_type", SAID_TYPE.encode()),
        ("ce_source", b"/billstream/books"),
        ("ce_subject", row["subject"].encode()),
        ("ce_time", row["occurred_at"].isoformat().encode()),
        ("content-type", b"application/json"),
        ("account_seq", b"%d" % row["account_seq"]),
        ("sequence", b"%d" % row["sequence"]),
    ]


def _columns(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows turned to columns; integers as bigint whatever their values."""
    return {
        name: _bigints(row[name] for row in rows) if name in BIGINTS else [row[name] for row in rows]
        for name in rows[0]
    }


BIGINTS: Final = frozenset("account_seq sequence partition offset ordinal rank quantity".split())


def _last(values: Mapping[str, int], name: str) -> dict[str, Any]:
    return {"account_ids": [*values], name: _bigints(values.values())}


def _bigints(values: Any) -> list[Int8 | None]:
    return [None if value is None else Int8(value) for value in values]


async def _assigned(settings: BareBooksSettings, consumer: AIOKafkaConsumer, books: BareBooks) -> None:
    """All partitions are ours, from where the database says that we are."""
    cluster = await consumer._client.fetch_all_metadata()  # noqa: SLF001  # A group of one needs no group protocol.
    wanted = [TopicPartition(settings.topic, one) for one in sorted(cluster.partitions_for_topic(settings.topic))]
    consumer.assign(wanted)
    beginnings = await consumer.beginning_offsets(wanted)
    positions = await books.positions({where.partition: offset for where, offset in beginnings.items()})
    for where in wanted:
        consumer.seek(where, positions[where.partition])


async def run(settings: BareBooksSettings) -> None:
    """Run until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    options = kafka.client_options(settings)
    consumer = AIOKafkaConsumer(**options, group_id=settings.group, enable_auto_commit=False)
    producer = AIOKafkaProducer(
        **options, acks="all", enable_idempotence=True, linger_ms=0, max_batch_size=BATCH_BYTES_MAX
    )
    connecting = psycopg.AsyncConnection.connect(
        settings.database_url.get_secret_value(), autocommit=True, prepare_threshold=0, application_name="bare"
    )
    async with await connecting as connection, producer, consumer:
        books = BareBooks(connection, settings)
        await _assigned(settings, consumer, books)
        answers = await health.serve(settings.metrics_host, settings.metrics_port, _at_once)
        mouth = Mouth(consumer, producer, settings.said_topic)
        await consume(consumer, books, mouth, settings.batch_records_max, stop)
        await answers.cleanup()


async def _at_once() -> None:
    """Ready as soon as it can be asked."""


def main() -> None:
    """Run until SIGTERM."""
    uvloop.run(run(load(BareBooksSettings)))


if __name__ == "__main__":
    main()
