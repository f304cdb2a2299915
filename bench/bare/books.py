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
from typing import Any, Final, NamedTuple

import psycopg
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from psycopg.types.numeric import Int8

from bench.bare import statements
from bench.bare.objects import Row
from bench.bare.payments import Payments, Piece
from bench.bare.rows import Event, account_of
from bench.bare.settings import BareBooksSettings
from runtime import clock, health, kafka
from runtime.settings import load
from store.postgres import BY_KEY

SUBSCRIPTION_CHANGED: Final = "billing.subscription.changed.v1"
INVOICE_UPCOMING: Final = "billing.invoice.upcoming.v1"
PAYMENT_CHANGED: Final = "billing.payment.changed.v1"
PAYMENT_MERGED: Final = "billing.payment.merged.v1"
SAID_OF_OBJECTS: Final = {
    "invoice": "billing.invoice.changed.v1",
    "refund": "billing.refund.changed.v1",
    "dispute": "billing.dispute.changed.v1",
}
PLANS: Final = {"plan_cache_mode": "force_generic_plan", **BY_KEY}
"""As ours: the tables are the same, and statistics of them are rarely taken."""

BATCH_BYTES_MAX: Final = 262_144
POLL_MS: Final = 200
COMMIT_SECONDS: Final = 0.5

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Shown(NamedTuple):
    """An object's row, and what is said: type, subject and state of each event."""

    piece: Piece
    said: list[tuple[str, str, Row]]


@dataclass(slots=True)
class Batch:
    """What a batch makes of what was known."""

    accounts: dict[str, str]  # By customer.
    last_seqs: dict[str, int]  # By account.
    sequences: dict[str, int]
    payments: Payments
    subscriptions: set[str]  # Those that were met before.
    customers: dict[str, Row] = field(default_factory=dict)  # New, or newly named.
    heard: list[Row] = field(default_factory=list)
    versions: list[Row] = field(default_factory=list)
    presents: dict[str, Row] = field(default_factory=dict)
    object_versions: list[Row] = field(default_factory=list)
    said: list[Row] = field(default_factory=list)

    def hear(self, event: Event) -> None:
        """Take one event."""
        shown = self._shown(event)
        account_id = self._account(event, shown.piece if shown else None)
        seq = None
        if account_id is not None:
            self.last_seqs[account_id] = seq = self.last_seqs.get(account_id, 0) + 1
        caused: list[str] = []
        if event.shown is not None:
            state = event.state()
            version = event.version(state)
            self.versions.append(version)
            subscription_id = version["subscription_id"]
            self.presents[subscription_id] = version
            if event.said or subscription_id not in self.subscriptions:
                caused.append(self._say(event, SUBSCRIPTION_CHANGED, event.subject, state, account_id, seq))
            self.subscriptions.add(subscription_id)
        if event.upcoming is not None:
            about = event.upcoming["subscription_id"] or event.customer_id
            caused.append(self._say(event, INVOICE_UPCOMING, about, event.upcoming, account_id, seq))
        for kind, subject, state in shown.said if shown else ():
            caused.append(self._say(event, kind, subject, state, account_id, seq))
        self.heard.append(_journaled(event, account_id, seq, caused))

    def _shown(self, event: Event) -> Shown | None:
        """What an object's row is now, and what there is to say of it and of its payments."""
        if event.shown is not None or event.object is None or event.subject is None:
            return None
        was = self.payments.pieces.get(event.subject)
        piece = Piece(
            object_id=event.subject,
            kind=event.kind,
            cause_id=was.cause_id if was else None,
            customer_id=event.customer_id or (was.customer_id if was else None),
            account_id=(event.account_hint if not event.customer_id else None) or (was.account_id if was else None),
            fact_id=event.fact_id,
            occurred_at=event.created,
            state=event.object_text,
        )
        piece, changed, gone = self.payments.show(piece, event.object, of_payment=event.of_payment)
        self.object_versions.append(event.object_version())
        said: list[tuple[str, str, Row]] = [(PAYMENT_MERGED, payment_id, {}) for payment_id in gone]
        said += [(PAYMENT_CHANGED, row["payment_id"], row) for row in changed]
        if event.kind in SAID_OF_OBJECTS and (was is None or was.state != event.object_text):
            said.append((SAID_OF_OBJECTS[event.kind], event.subject, event.object))
        return Shown(piece, said)

    def _account(self, event: Event, piece: Piece | None) -> str | None:
        """Whose it is: who is named, or whoever owns what it is about."""
        if event.customer_id is None:
            owner = piece.customer_id if piece else None
            return self.accounts[owner] if owner else piece.account_id if piece else None
        known = self.accounts.get(event.customer_id)
        named = event.account_hint
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

    def _say(  # noqa: PLR0917  # All of it makes the event.
        self, event: Event, kind: str, subject: str | None, state: Row, account_id: str | None, seq: int | None
    ) -> str:
        event_id = f"stripe/{event.fact_id}/{kind}/{subject}"
        sequence = None
        if account_id is not None:
            self.sequences[account_id] = sequence = self.sequences.get(account_id, 0) + 1
        head = {"type": kind, "subject": subject, "account_id": account_id, "as_of": event.created}
        self.said.append(
            {
                "account_id": account_id,
                "account_seq": seq,
                "sequence": sequence,
                "event_id": event_id,
                "type": kind,
                "subject": subject,
                "occurred_at": event.created,
                "data": json.dumps(head | state, default=str),
            }
        )
        return event_id


def _journaled(event: Event, account_id: str | None, seq: int | None, caused: Sequence[str]) -> Row:
    return {
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
        "outcome": "ignored" if event.slice is None else "applied",
        "caused": "\n".join(caused),
        "partition": event.partition,
        "offset": event.offset,
    }


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
        met = list({event.customer_id for event in events if event.customer_id})
        named = {hint for event in events if (hint := event.account_hint)}
        own = {account_of("stripe_customer", customer_id) for customer_id in met}
        touched = sorted({object_id for event in events for object_id in event.touches})
        shown = [event.subject for event in events if event.shown is not None]
        about = {"customer_ids": met, "account_ids": [*(named | own)], "object_ids": touched, "subscription_ids": shown}
        claimed = await self._run(
            statements.CLAIM,
            {
                "fact_ids": [*first],
                "hashes": [event.digest for event in first.values()],
                "api_versions": [event.api_version for event in first.values()],
            },
        )
        customers = await self._run(statements.CUSTOMERS, about)
        accounts = await self._run(statements.ACCOUNTS, about)
        pieces = await self._run(statements.PIECES, about)
        subscriptions = await self._run(statements.SUBSCRIPTIONS, about)
        fresh = {fact_id for (fact_id,) in await claimed.fetchall()}
        known = {subscription_id for (subscription_id,) in await subscriptions.fetchall()}
        batch = Batch(dict(await customers.fetchall()), {}, {}, Payments(), known)
        for account_id, last_seq, last_sequence in await accounts.fetchall():
            batch.last_seqs[account_id] = last_seq
            batch.sequences[account_id] = last_sequence
        for *piece, payment in await pieces.fetchall():
            batch.payments.add(Piece(*piece), payment)
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
        if batch.object_versions:
            await self._run(statements.SAVE_OBJECT_VERSIONS, _columns(batch.object_versions))
            changed = zip(*(batch.payments.pieces[one] for one in batch.payments.changed_pieces), strict=True)
            await self._run(statements.SAVE_PIECES, dict(zip(Piece._fields, map(list, changed), strict=True)))
        await self._save_payments(batch.payments)
        if batch.said:
            spoken = {row["account_id"]: row["sequence"] for row in batch.said if row["account_id"]}
            await self._run(statements.SAVE_SEQUENCES, _last(spoken, "lasts"))
            await self._run(statements.OUTBOX, _columns(batch.said))

    async def _save_payments(self, payments: Payments) -> None:
        if payments.gone:
            await self._run(statements.DROP_PAYMENTS, {"payment_ids": [*payments.gone]})
        rows = [payments.rows[one] for one in payments.changed if one in payments.rows]
        if rows:
            await self._run(statements.SAVE_PAYMENTS, _columns(rows))

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
                self._topic, row["data"].encode(), key=(row["account_id"] or "").encode(), headers=_headers(row)
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


def _headers(row: Row) -> list[tuple[str, bytes]]:
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", row["event_id"].encode()),
        ("ce_type", row["type"].encode()),
        ("ce_source", b"/billstream/books"),
        ("ce_subject", row["subject"].encode()),
        ("ce_time", row["occurred_at"].isoformat().encode()),
        ("content-type", b"application/json"),
        ("account_seq", b"%d" % (row["account_seq"] or 0)),
        ("sequence", b"%d" % (row["sequence"] or 0)),
    ]


def _columns(rows: Sequence[Row]) -> dict[str, Any]:
    """Rows turned to columns; integers as bigint whatever their values."""
    return {
        name: _bigints(row[name] for row in rows) if name in BIGINTS else [row[name] for row in rows]
        for name in rows[0]
    }


BIGINTS: Final = frozenset(
    "account_seq sequence partition offset ordinal rank quantity amount_minor tax_minor discount_minor refunded_minor"
    " disputed_minor".split()
)


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
        settings.database_url.get_secret_value(),
        autocommit=True,
        prepare_threshold=0,
        application_name="bare",
        options=" ".join(f"-c {name}={value}" for name, value in PLANS.items()),
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
