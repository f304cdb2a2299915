"""Facts that could not be applied, in lanes.

A *root* is a fact that went wrong; its lane is its account, and the account's later facts wait in it behind the root,
in order, until the lane is redriven or the root discarded.  A fact of no account has a lane to itself.  A customer's
facts wait in one lane, whatever account it turns out to belong to.  Bodies are sealed with the store's key: the edge's
keys go after a week, and a parked fact may stay longer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from models.base import Envelope, as_json
from runtime.keys import Keyring
from store.arrays import Bigints, Booleans, Byteas, Moments, Texts
from store.customers import Whose
from store.postgres import Connection, Cursor, Database
from store.records import Arrival, Origin

LANES: Final[LiteralString] = """
    SELECT lane, customer_id FROM parked_facts WHERE lane = ANY(%(named)b::text[])
    UNION
    SELECT lane, customer_id FROM parked_facts WHERE customer_id = ANY(%(customer_ids)b::text[])
    UNION
    SELECT parked_facts.lane, parked_facts.customer_id
    FROM customers
    JOIN parked_facts ON parked_facts.lane = customers.account_id
    WHERE customers.customer_id = ANY(%(customer_ids)b::text[] || ARRAY(
        SELECT customer_id FROM stripe_objects
        WHERE object_id = ANY(%(object_ids)b::text[]) AND customer_id IS NOT NULL))
    UNION
    SELECT parked_facts.lane, parked_facts.customer_id
    FROM stripe_objects
    JOIN parked_facts ON parked_facts.customer_id = stripe_objects.customer_id
        OR parked_facts.lane = stripe_objects.account_id
    WHERE stripe_objects.object_id = ANY(%(object_ids)b::text[])
"""

WRITE: Final[LiteralString] = """
    INSERT INTO parked_facts (
        source, fact_id, lane, root, account_id, customer_id, envelope, type, api_version, occurred_at, received_at,
        sealed, key_id, opened, reason, parked_at, consumer_group, topic, partition, topic_offset)
    SELECT source, fact_id, lane, root, account_id, customer_id, envelope, type, api_version, occurred_at, received_at,
           sealed, key_id, opened, reason, clock_timestamp(), %(group)s, topic, partition, topic_offset
    FROM unnest(
        %(sources)b::text[], %(fact_ids)b::text[], %(lanes)b::text[], %(roots)b::boolean[], %(account_ids)b::text[],
        %(customer_ids)b::text[], %(envelopes)b::text[], %(types)b::text[], %(api_versions)b::text[],
        %(occurred_ats)b::timestamptz[], %(received_ats)b::timestamptz[], %(sealed)b::bytea[], %(key_ids)b::text[],
        %(opened)b::boolean[], %(reasons)b::text[], %(topics)b::text[], %(partitions)b::bigint[], %(offsets)b::bigint[])
        WITH ORDINALITY AS parked (
        source, fact_id, lane, root, account_id, customer_id, envelope, type, api_version, occurred_at, received_at,
        sealed, key_id, opened, reason, topic, partition, topic_offset, place)
    ORDER BY place
"""

COPY: Final[LiteralString] = """
    INSERT INTO conflicting_copies (source, fact_id, slice_sha256, envelope, sealed, key_id, opened, seen_at)
    VALUES (
        %(source)s, %(fact_id)s, %(digest)s, %(envelope)s, %(sealed)s, %(key_id)s, %(opened)s, clock_timestamp())
    ON CONFLICT DO NOTHING
    RETURNING fact_id
"""

LIST: Final[LiteralString] = """
    SELECT parked_id, source, fact_id, lane, root, account_id, envelope, type, sealed, key_id, opened, reason, attempts,
           parked_at, topic, partition, topic_offset
    FROM parked_facts
    WHERE (%(lane)s::text IS NULL OR lane = %(lane)s::text)
      AND (%(fact_id)s::text IS NULL OR fact_id = %(fact_id)s::text)
    ORDER BY parked_id
    LIMIT %(rows_max)s
"""

FILLED: Final[LiteralString] = """
    SELECT lane, source, fact_id, type, account_id, reason, attempts, parked_at, followers
    FROM (
        SELECT DISTINCT ON (lane) parked_id, lane, source, fact_id, type, account_id, reason, attempts, parked_at,
               count(*) OVER (PARTITION BY lane) - 1 AS followers
        FROM parked_facts
        ORDER BY lane, parked_id
    ) AS heads
    ORDER BY parked_id
    LIMIT %(lanes_max)s
"""

COUNT: Final[LiteralString] = """
    SELECT count(*) AS facts FROM parked_facts
"""

UNPARK: Final[LiteralString] = """
    DELETE FROM parked_facts WHERE source = %(source)s AND fact_id = %(fact_id)s RETURNING lane, parked_id
"""

OLDER: Final[LiteralString] = """
    SELECT fact_id FROM parked_facts WHERE lane = %(lane)s AND parked_id < %(parked_id)s LIMIT 1
"""

TRIED: Final[LiteralString] = """
    UPDATE parked_facts SET attempts = attempts + 1, root = true, reason = %(reason)s
    WHERE source = %(source)s AND fact_id = %(fact_id)s
"""


@dataclass(frozen=True, slots=True)
class Parked:
    """A fact to be parked: why, in which lane, and whether it is the one that went wrong."""

    arrival: Arrival
    lane: str
    account_id: str | None
    reason: str
    root: bool


@dataclass(frozen=True, slots=True)
class ParkedFact:
    """A parked fact as the table has it."""

    parked_id: int
    envelope: Envelope
    lane: str
    root: bool
    account_id: str | None
    reason: str
    attempts: int
    parked_at: datetime
    origin: Origin
    sealed: bytes
    key_id: str
    opened: bool

    def body(self, store_keys: Keyring) -> bytes:
        """The bytes that were parked; as signed where `opened`, else as the edge sealed them."""
        return store_keys.decrypt(self.key_id, self.sealed, self.envelope.seal_context)


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane that is not empty: the fact at its head, and how many wait behind it."""

    lane: str
    source: str
    fact_id: str
    type: str
    account_id: str | None
    reason: str
    attempts: int
    parked_at: datetime
    followers: int


def own_lane(envelope: Envelope) -> str:
    """The lane of a fact of no account: nobody waits behind it."""
    return f"fact:{envelope.source.value}/{envelope.id}"


async def lanes(connection: Connection, whose: Whose) -> Cursor:
    """Ask which lanes of these accounts have something parked in them."""
    return await connection.execute(LANES, whose.parameters())


async def read_lanes(found: Cursor) -> dict[str, str]:
    """By account and by customer, the lane in which their facts have to wait."""
    rows = await found.fetchall()
    return {whose: row["lane"] for row in rows for whose in (row["lane"], row["customer_id"]) if whose}


async def write(connection: Connection, group: str, parked: Sequence[Parked], store_keys: Keyring) -> None:
    """Park facts, in order."""
    if not parked:
        return
    arrivals = [one.arrival for one in parked]
    sealed = [store_keys.encrypt(arrival.body, arrival.envelope.seal_context) for arrival in arrivals]
    await connection.execute(
        WRITE,
        {
            "group": group,
            "sources": Texts.of(arrivals, "envelope.source.value"),
            "fact_ids": Texts.of(arrivals, "envelope.id"),
            "lanes": Texts.of(parked, "lane"),
            "roots": Booleans.of(parked, "root"),
            "account_ids": Texts.of(parked, "account_id"),
            "customer_ids": Texts.of(arrivals, "envelope.customer"),
            "envelopes": Texts(as_json(arrival.envelope) for arrival in arrivals),
            "types": Texts.of(arrivals, "envelope.type"),
            "api_versions": Texts.of(arrivals, "envelope.api_version"),
            "occurred_ats": Moments.of(arrivals, "envelope.occurred_at"),
            "received_ats": Moments.of(arrivals, "envelope.received_at"),
            "sealed": Byteas(body for _, body in sealed),
            "key_ids": Texts(key_id for key_id, _ in sealed),
            "opened": Booleans.of(arrivals, "opened"),
            "reasons": Texts.of(parked, "reason"),
            "topics": Texts.of(arrivals, "origin.topic"),
            "partitions": Bigints.of(arrivals, "origin.partition"),
            "offsets": Bigints.of(arrivals, "origin.offset"),
        },
    )


async def quarantine(connection: Connection, copy: Arrival, store_keys: Keyring) -> bool:
    """Keep a second content under a known id; False when this very content was kept before."""
    key_id, sealed = store_keys.encrypt(copy.body, copy.envelope.seal_context)
    kept = await connection.execute(
        COPY,
        {
            "source": copy.envelope.source.value,
            "fact_id": copy.envelope.id,
            "digest": copy.content_sha256,
            "envelope": as_json(copy.envelope),
            "sealed": sealed,
            "key_id": key_id,
            "opened": copy.opened,
        },
    )
    return bool(await kept.fetchall())


async def listed(
    database: Database, *, lane: str | None = None, fact_id: str | None = None, rows_max: int = 1_000
) -> list[ParkedFact]:
    """Parked facts, oldest first, of one lane or one id where given."""
    async with database.connection() as connection:
        found = await connection.execute(LIST, {"lane": lane, "fact_id": fact_id, "rows_max": rows_max})
        return [_parked_fact(row) for row in await found.fetchall()]


async def filled(database: Database, *, lanes_max: int = 1_000) -> list[Lane]:
    """The lanes that have something in them, the one that waits longest first."""
    async with database.connection() as connection:
        found = await connection.execute(FILLED, {"lanes_max": lanes_max})
        return [Lane(**row) for row in await found.fetchall()]


async def count(database: Database) -> int:
    """How many facts are parked."""
    async with database.connection() as connection:
        found = await (await connection.execute(COUNT)).fetchone()
    assert found is not None, "an aggregate has one row"
    return int(found["facts"])


async def unpark(connection: Connection, envelope: Envelope) -> bool:
    """Take a fact out of its lane; False when it is not parked any more, or not the first of its lane."""
    source, fact_id = envelope.identity
    gone = await (await connection.execute(UNPARK, {"source": source, "fact_id": fact_id})).fetchall()
    if not gone:
        return False
    older = await connection.execute(OLDER, {"lane": gone[0]["lane"], "parked_id": gone[0]["parked_id"]})
    return not await older.fetchall()


async def tried(database: Database, envelope: Envelope, reason: str) -> None:
    """Note that a redrive failed, and why."""
    source, fact_id = envelope.identity
    async with database.connection() as connection:
        await connection.execute(TRIED, {"source": source, "fact_id": fact_id, "reason": reason})


def _parked_fact(row: Mapping[str, Any]) -> ParkedFact:
    same = {name: row[name] for name in ("parked_id", "lane", "root", "account_id", "reason", "attempts", "parked_at")}
    return ParkedFact(
        **same,
        envelope=Envelope.read(row["envelope"]),
        origin=Origin(row["topic"], row["partition"], row["topic_offset"]),
        sealed=row["sealed"],
        key_id=row["key_id"],
        opened=row["opened"],
    )
