"""What we have still to say: written in the transaction that decided it, sent by the relay afterwards.

Rows of one account are written under its lock, so their ids rise in commit order.  The relay looks for rows that are
not sent, never for ids beyond a cursor: an id may commit after a larger one.  Which are not sent `unsent_events` says:
a row of the outbox is written once (docs/decisions/0006).
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from models.books import Said
from store import traces
from store.arrays import Bigints, Moments, Texts
from store.customers import Whose
from store.postgres import Connection, Cursor, Database, one_transaction

TURN: Final = 0x72656C61  # "rela": the advisory lock under which one relay at a time sends.
SPEC_VERSION: Final = "1.0"
EVENT_SOURCE: Final = "/billstream/books"

SEQUENCES: Final[LiteralString] = """
    SELECT account_id, topic, last_sequence
    FROM outbox_sequences
    WHERE account_id = ANY(
        %(named)b::text[]
        || ARRAY(
            SELECT account_id FROM customers
            WHERE customer_id = ANY(%(customer_ids)b::text[] || ARRAY(
                SELECT customer_id FROM stripe_objects
                WHERE object_id = ANY(%(object_ids)b::text[]) AND customer_id IS NOT NULL)))
        || ARRAY(
            SELECT account_id FROM stripe_objects
            WHERE object_id = ANY(%(object_ids)b::text[]) AND account_id IS NOT NULL))
"""

WRITE: Final[LiteralString] = """
    WITH sequences AS (
        INSERT INTO outbox_sequences (account_id, topic, last_sequence)
        SELECT * FROM unnest(%(advanced)b::text[], %(on_topics)b::text[], %(lasts)b::bigint[])
        ON CONFLICT (account_id, topic) DO UPDATE SET last_sequence = excluded.last_sequence
    ), said AS (
        INSERT INTO outbox (written_at, topic, key, account_id, account_seq, sequence, event_id, type, subject,
                            occurred_at, data, traceparent, sent_at)
        SELECT clock_timestamp(), topic, key, account_id, account_seq, sequence, event_id, type, subject, occurred_at,
               data, traceparent, clock_timestamp()
        FROM unnest(%(topics)b::text[], %(keys)b::text[], %(account_ids)b::text[], %(account_seqs)b::bigint[],
                    %(sequences)b::bigint[], %(event_ids)b::text[], %(types)b::text[], %(subjects)b::text[],
                    %(as_ofs)b::timestamptz[], %(datas)b::text[], %(traceparents)b::text[])
            WITH ORDINALITY AS event (topic, key, account_id, account_seq, sequence, event_id, type, subject,
                                      occurred_at, data, traceparent, place)
        ORDER BY place
        RETURNING outbox_id, written_at
    )
    INSERT INTO unsent_events (outbox_id, written_at) SELECT outbox_id, written_at FROM said
"""
"""The outbox's own mark is there from the beginning: a relay of the release before leaves such rows alone."""

UNSENT: Final[LiteralString] = """
    SELECT outbox_id, written_at, topic, key, account_id, account_seq, sequence, event_id, type, subject, occurred_at,
           data, traceparent, sent_at IS NULL AS unmarked
    FROM (
        (SELECT outbox_id, written_at FROM unsent_events
         WHERE current_setting('billing.turn_taken')::boolean
         ORDER BY outbox_id
         LIMIT %(batch_max)s)
        UNION ALL
        (SELECT outbox_id, written_at FROM outbox
         WHERE sent_at IS NULL AND current_setting('billing.turn_taken')::boolean
         ORDER BY outbox_id
         LIMIT %(batch_max)s)
    ) AS unsent
    JOIN outbox USING (outbox_id, written_at)
    ORDER BY outbox_id
    LIMIT %(batch_max)s
"""
"""What this release has written, and what the one before has: in one order."""

TAKE_TURN: Final[LiteralString] = """
    SELECT set_config('billing.turn_taken', pg_try_advisory_xact_lock(%(turn)s)::text, true)
"""
"""Comes before UNSENT in one transaction, and in a statement of its own: the rows are to be seen as they are once the
turn is taken.  UNSENT without it is an error."""

TAKE_OUT: Final[LiteralString] = """
    DELETE FROM unsent_events WHERE outbox_id = ANY(%(ids)b::bigint[])
"""

MARK: Final[LiteralString] = """
    UPDATE outbox SET sent_at = clock_timestamp()
    FROM unnest(%(ids)b::bigint[], %(written_ats)b::timestamptz[]) AS sent (outbox_id, written_at)
    WHERE outbox.outbox_id = sent.outbox_id AND outbox.written_at = sent.written_at
"""

OLDEST: Final[LiteralString] = """
    SELECT coalesce(extract(epoch FROM clock_timestamp() - min(written_at)), 0)::float8 AS age_seconds
    FROM (
        (SELECT written_at FROM unsent_events ORDER BY outbox_id LIMIT 1)
        UNION ALL
        (SELECT written_at FROM outbox WHERE sent_at IS NULL ORDER BY outbox_id LIMIT 1)
    ) AS oldest
"""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One message to send: a CloudEvent in Kafka's binary mode."""

    id: int
    topic: str
    key: str
    headers: list[tuple[str, bytes]]
    value: bytes
    written_at: datetime
    unmarked: bool  # The release before wrote it, and its relay would send it again.
    traceparent: str | None  # The trace that it goes on with, where its fact is sampled.


@dataclass(frozen=True, slots=True)
class Claim:
    """Rows that are ours to send until the block ends."""

    rows: tuple[OutboxRow, ...]


async def load_sequences(connection: Connection, whose: Whose) -> Cursor:
    """Ask for the last sequence of each topic of these accounts; their rows are locked already."""
    return await connection.execute(SEQUENCES, whose.parameters())


async def read_sequences(loaded: Cursor) -> dict[tuple[str, str], int]:
    """The last sequences, by topic and account."""
    return {(row["topic"], row["account_id"]): row["last_sequence"] for row in await loaded.fetchall()}


async def write(connection: Connection, said: Sequence[Said]) -> None:
    """Put down what is to be said, in order, and advance the sequences."""
    if not said:
        return
    lasts = {(one.event.account_id, one.event.topic.name): one.sequence for one in said if one.sequence is not None}
    await connection.execute(
        WRITE,
        {
            "advanced": Texts(account_id for account_id, _ in lasts),
            "on_topics": Texts(topic for _, topic in lasts),
            "lasts": Bigints(lasts.values()),
            "topics": Texts.of(said, "event.topic.name"),
            "keys": Texts.of(said, "event.key"),
            "account_ids": Texts.of(said, "event.account_id"),
            "account_seqs": Bigints.of(said, "account_seq"),
            "sequences": Bigints.of(said, "sequence"),
            "event_ids": Texts.of(said, "event_id"),
            "types": Texts.of(said, "event.type"),
            "subjects": Texts.of(said, "event.subject"),
            "as_ofs": Moments.of(said, "event.as_of"),
            "datas": Texts(one.event.model_dump_json() for one in said),
            "traceparents": Texts(traces.traceparents(said)),
        },
    )


class Outbox:
    """The relay's view: what is not sent yet, one relay at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def claim(self, batch_max: int) -> AsyncIterator[Claim]:
        """The oldest unsent rows, in order, ours until the block ends; none while another relay has the turn.

        Leaving the block takes them out and commits; leaving it by an exception leaves them.  The turn is held by
        the transaction, so a relay that dies gives it up, and two relays never send at once.
        """
        async with one_transaction(self._database) as connection:
            await connection.execute(TAKE_TURN, {"turn": TURN})
            rows = await _unsent(connection, batch_max)
            yield Claim(rows)
            await _take_out(connection, rows)

    async def oldest_unsent_age_seconds(self) -> float:
        """How long the oldest unsent row has waited; 0.0 when all is said."""
        async with self._database.connection() as connection:
            found = await connection.execute(OLDEST)
            row = await found.fetchone()
        return float(row["age_seconds"]) if row else 0.0


async def _unsent(connection: Connection, batch_max: int) -> tuple[OutboxRow, ...]:
    found = await connection.execute(UNSENT, {"batch_max": batch_max})
    return tuple(
        OutboxRow(
            id=row["outbox_id"],
            topic=row["topic"],
            key=row["key"],
            headers=_headers(row),
            value=row["data"].encode(),
            written_at=row["written_at"],
            unmarked=row["unmarked"],
            traceparent=row["traceparent"],
        )
        for row in await found.fetchall()
    )


async def _take_out(connection: Connection, rows: Sequence[OutboxRow]) -> None:
    if rows:
        await connection.execute(TAKE_OUT, {"ids": Bigints.of(rows, "id")})
    if before := [row for row in rows if row.unmarked]:
        await connection.execute(
            MARK, {"ids": Bigints.of(before, "id"), "written_ats": Moments.of(before, "written_at")}
        )


def _headers(row: dict[str, object]) -> list[tuple[str, bytes]]:
    """CloudEvents' attributes, and our own two numbers where the event has them."""
    occurred_at = row["occurred_at"]
    assert isinstance(occurred_at, datetime), "the column is a timestamp"
    headers = {
        "ce_specversion": SPEC_VERSION,
        "ce_id": row["event_id"],
        "ce_type": row["type"],
        "ce_source": EVENT_SOURCE,
        "ce_subject": row["subject"],
        "ce_time": occurred_at.isoformat().replace("+00:00", "Z"),
        "content-type": "application/json",
        "account_seq": row["account_seq"],
        "sequence": row["sequence"],
    }
    return [(name, str(value).encode()) for name, value in headers.items() if value is not None]
