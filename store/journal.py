"""What we heard and what we made of it: one row for each committed fact, gapless and in order per account.

The audit log, the source of a replay and the answer to "why" are this one table.  It holds the slice that we read,
never the body.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final, LiteralString

from msgspec import convert

from models import stripe_events
from models.base import Envelope
from models.books import Heard
from models.stripe_events import Fact
from store.arrays import Bigints, Booleans, Moments, Texts
from store.postgres import Connection, Database
from store.records import Origin

READ_AT_ONCE: Final = 1_000

_TEXTS: Final = (
    *("id", "type", "subject", "customer", "account", "api_version", "stripe_account", "causation", "correlation"),
)

WRITE: Final[LiteralString] = """
    WITH advanced AS (
        UPDATE accounts
        SET last_seq = after.last_seq
        FROM unnest(%(advanced)b::text[], %(last_seqs)b::bigint[]) AS after (account_id, last_seq)
        WHERE accounts.account_id = after.account_id
    )
    INSERT INTO journal (
        committed_at, account_id, account_seq, source, fact_id, type, subject, customer_id, account_hint, occurred_at,
        received_at, api_version, livemode, stripe_account, causation, correlation, schema_version, slice, outcome,
        reason, caused, topic, partition, topic_offset)
    SELECT
        clock_timestamp(), account_id, account_seq, source, fact_id, type, subject, customer_id, account_hint,
        occurred_at, received_at, api_version, livemode, stripe_account, causation, correlation, schema_version, slice,
        outcome, reason, array_remove(string_to_array(caused, E'\\n'), ''), topic, partition, topic_offset
    FROM unnest(
        %(account_ids)b::text[], %(account_seqs)b::bigint[], %(source)b::text[], %(id)b::text[], %(type)b::text[],
        %(subject)b::text[], %(customer)b::text[], %(account)b::text[], %(occurred_at)b::timestamptz[],
        %(received_at)b::timestamptz[], %(api_version)b::text[], %(livemode)b::boolean[], %(stripe_account)b::text[],
        %(causation)b::text[], %(correlation)b::text[], %(schema_version)b::bigint[], %(slices)b::text[],
        %(outcomes)b::text[], %(reasons)b::text[], %(caused)b::text[], %(topics)b::text[], %(partitions)b::bigint[],
        %(offsets)b::bigint[])
        AS heard (
        account_id, account_seq, source, fact_id, type, subject, customer_id, account_hint, occurred_at, received_at,
        api_version, livemode, stripe_account, causation, correlation, schema_version, slice, outcome, reason, caused,
        topic, partition, topic_offset)
"""

READ: Final[LiteralString] = """
    SELECT source, fact_id AS id, type, subject, customer_id AS customer, account_hint AS account, occurred_at,
           received_at, api_version, livemode, stripe_account, causation, correlation, schema_version, slice
    FROM journal
    WHERE reason IS NULL OR reason NOT LIKE 'discarded:%%'
    ORDER BY account_id, account_seq, committed_at
"""


async def write(
    connection: Connection,
    heard: Sequence[Heard],
    origins: Mapping[tuple[str, str], Origin],
    last_seqs: Mapping[str, int],
) -> None:
    """Journal facts with where they came from, and advance their accounts to the last numbers that they took."""
    if not heard and not last_seqs:
        return
    envelopes = [one.fact.envelope for one in heard]
    came = [origins.get(envelope.identity, Origin()) for envelope in envelopes]
    await connection.execute(
        WRITE,
        {
            "advanced": Texts(last_seqs),
            "last_seqs": Bigints(last_seqs.values()),
            "source": Texts.of(envelopes, "source.value"),
            **{name: Texts.of(envelopes, name) for name in _TEXTS},
            "occurred_at": Moments.of(envelopes, "occurred_at"),
            "received_at": Moments.of(envelopes, "received_at"),
            "livemode": Booleans.of(envelopes, "livemode"),
            "schema_version": Bigints.of(envelopes, "schema_version"),
            "account_ids": Texts.of(heard, "account_id"),
            "account_seqs": Bigints.of(heard, "account_seq"),
            "slices": Texts.of(heard, "fact.slice"),
            "outcomes": Texts.of(heard, "outcome.value"),
            "reasons": Texts.of(heard, "reason"),
            "caused": Texts("\n".join(said.event_id for said in one.said) for one in heard),
            "topics": Texts.of(came, "topic"),
            "partitions": Bigints.of(came, "partition"),
            "offsets": Bigints.of(came, "offset"),
        },
    )


async def read(database: Database) -> AsyncIterator[Fact]:
    """Every fact that the books have heard and nobody discarded, each account's in order: what a replay folds."""
    async with (
        database.connection() as connection,
        connection.transaction(),
        connection.cursor("journal") as cursor,
    ):
        cursor.itersize = READ_AT_ONCE
        await cursor.execute(READ)
        async for row in cursor:
            yield _fact(row)


def _fact(row: Mapping[str, Any]) -> Fact:
    told = {name: value for name, value in row.items() if name != "slice"}
    body = stripe_events.as_read(row["slice"]) if row["slice"] else None
    return Fact(envelope=convert(told, Envelope), body=body)
