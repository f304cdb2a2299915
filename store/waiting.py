"""Facts that wait: nobody knows yet whose they are.

A waiting fact was claimed and is not in the books: it has no journal row and no number.  The fact that tells whose it
is presents it again, in the same transaction.  What nobody tells of in time, Stripe is asked about (`streams.clock`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from models import stripe_events
from models.base import Envelope, as_json
from models.objects import ObjectSeen
from models.stripe_events import Fact
from store.arrays import Bigints, Moments, Texts
from store.postgres import Connection, Cursor, Database
from store.records import Origin

LOAD: Final[LiteralString] = """
    SELECT source, fact_id, envelope, slice, awaits, topic, partition, topic_offset, waiting_since, asked_at
    FROM waiting_facts
    WHERE awaits && %(object_ids)b::text[]
    ORDER BY occurred_at, fact_id
    FOR UPDATE
"""

WRITE: Final[LiteralString] = """
    INSERT INTO waiting_facts (
        source, fact_id, envelope, slice, awaits, type, api_version, occurred_at, received_at, waiting_since, topic,
        partition, topic_offset)
    SELECT source, fact_id, envelope, slice, string_to_array(awaits, E'\\n'), type, api_version, occurred_at,
           received_at, clock_timestamp(), topic, partition, topic_offset
    FROM unnest(
        %(sources)b::text[], %(fact_ids)b::text[], %(envelopes)b::text[], %(slices)b::text[], %(awaits)b::text[],
        %(types)b::text[], %(api_versions)b::text[], %(occurred_ats)b::timestamptz[], %(received_ats)b::timestamptz[],
        %(topics)b::text[], %(partitions)b::bigint[], %(offsets)b::bigint[])
        AS waiting (
        source, fact_id, envelope, slice, awaits, type, api_version, occurred_at, received_at, topic, partition,
        topic_offset)
"""

TAKE: Final[LiteralString] = """
    DELETE FROM waiting_facts AS w
    USING unnest(%(sources)b::text[], %(fact_ids)b::text[]) AS taken (source, fact_id)
    WHERE w.source = taken.source AND w.fact_id = taken.fact_id
"""

READY: Final[LiteralString] = """
    SELECT source, fact_id, envelope, slice, awaits, topic, partition, topic_offset, waiting_since, asked_at
    FROM waiting_facts AS w
    WHERE EXISTS (
        SELECT FROM stripe_objects AS o
        WHERE o.object_id = ANY(w.awaits)
          AND (o.customer_id IS NOT NULL OR o.account_id IS NOT NULL OR o.ownerless))
    ORDER BY waiting_since
    LIMIT %(rows_max)s
"""

UNASKED: Final[LiteralString] = """
    SELECT source, fact_id, envelope, slice, awaits, topic, partition, topic_offset, waiting_since, asked_at
    FROM waiting_facts
    WHERE asked_at IS NULL AND waiting_since <= clock_timestamp() - make_interval(secs => %(seconds)s)
    ORDER BY waiting_since
    LIMIT %(rows_max)s
"""

COUNT: Final[LiteralString] = """
    SELECT count(*) AS facts FROM waiting_facts
"""

ASKED: Final[LiteralString] = """
    UPDATE waiting_facts SET asked_at = clock_timestamp()
    WHERE source = %(source)s AND fact_id = %(fact_id)s AND asked_at IS NULL
    RETURNING fact_id
"""


@dataclass(frozen=True, slots=True)
class WaitingFact:
    """A fact that waits, as the table has it."""

    fact: Fact
    origin: Origin
    awaits: tuple[str, ...]
    waiting_since: datetime
    asked_at: datetime | None


async def load(connection: Connection, object_ids: Sequence[str]) -> Cursor:
    """Ask for the facts that wait for news of these objects, the oldest first; nobody else presents them meanwhile."""
    return await connection.execute(LOAD, {"object_ids": Texts(object_ids)})


async def read(loaded: Cursor) -> list[WaitingFact]:
    """Those that were asked for."""
    return [_waiting(row) for row in await loaded.fetchall()]


async def write(connection: Connection, facts: Sequence[Fact], origins: Mapping[tuple[str, str], Origin]) -> None:
    """Let facts wait."""
    if not facts:
        return
    envelopes = [fact.envelope for fact in facts]
    came = [origins.get(envelope.identity, Origin()) for envelope in envelopes]
    await connection.execute(
        WRITE,
        {
            "sources": Texts.of(envelopes, "source.value"),
            "fact_ids": Texts.of(envelopes, "id"),
            "envelopes": Texts(as_json(envelope) for envelope in envelopes),
            "slices": Texts.of(facts, "slice"),
            "awaits": Texts("\n".join(_awaits(fact)) for fact in facts),
            "types": Texts.of(envelopes, "type"),
            "api_versions": Texts.of(envelopes, "api_version"),
            "occurred_ats": Moments.of(envelopes, "occurred_at"),
            "received_ats": Moments.of(envelopes, "received_at"),
            "topics": Texts.of(came, "topic"),
            "partitions": Bigints.of(came, "partition"),
            "offsets": Bigints.of(came, "offset"),
        },
    )


async def take(connection: Connection, identities: Sequence[tuple[str, str]]) -> None:
    """Take facts away that need not wait any more."""
    if identities:
        parameters = {
            "sources": Texts(source for source, _ in identities),
            "fact_ids": Texts(fact_id for _, fact_id in identities),
        }
        await connection.execute(TAKE, parameters)


async def ready(database: Database, *, rows_max: int) -> list[WaitingFact]:
    """Those that need not wait any more and that nobody has presented: who told came at the same moment as they."""
    async with database.connection() as connection:
        return await read(await connection.execute(READY, {"rows_max": rows_max}))


async def unasked(database: Database, *, seconds: float, rows_max: int) -> list[WaitingFact]:
    """Those that have waited so long and about which Stripe was not asked yet, the longest first."""
    async with database.connection() as connection:
        return await read(await connection.execute(UNASKED, {"seconds": seconds, "rows_max": rows_max}))


async def count(database: Database) -> int:
    """How many facts wait."""
    async with database.connection() as connection:
        row = await (await connection.execute(COUNT)).fetchone()
    assert row is not None, "an aggregate has one row"
    return int(row["facts"])


async def asked(connection: Connection, envelope: Envelope) -> bool:
    """Note that Stripe is asked about a fact; False when it waits no more, or was asked about before."""
    source, fact_id = envelope.identity
    return bool(await (await connection.execute(ASKED, {"source": source, "fact_id": fact_id})).fetchall())


def _awaits(fact: Fact) -> tuple[str, ...]:
    assert isinstance(fact.body, ObjectSeen), "only what shows an object of a payment waits"
    return fact.body.touched


def _waiting(row: Mapping[str, Any]) -> WaitingFact:
    envelope = Envelope.read(row["envelope"])
    return WaitingFact(
        fact=Fact(envelope=envelope, body=stripe_events.as_read(row["slice"])),
        origin=Origin(row["topic"], row["partition"], row["topic_offset"]),
        awaits=tuple(row["awaits"]),
        waiting_since=row["waiting_since"],
        asked_at=row["asked_at"],
    )
