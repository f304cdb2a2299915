"""What the books believe of Stripe's objects now, to be laid beside what Stripe shows."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from msgspec import convert

from models.lines import LineState
from models.subscriptions import State
from store.arrays import Texts
from store.objects import STATE
from store.postgres import Database

SUBSCRIPTIONS: Final[LiteralString] = """
    SELECT subscription_id, occurred_at, customer_id, status, plan, price_lookup_key, billing_interval, quantity,
           current_period_start, current_period_end, trial_end, cancel_at, cancel_at_period_end, canceled_at,
           collection_paused, livemode
    FROM subscriptions WHERE subscription_id = ANY(%(object_ids)b::text[])
"""

OBJECTS: Final[LiteralString] = """
    SELECT object_id, occurred_at, state FROM stripe_objects
    WHERE object_id = ANY(%(object_ids)b::text[]) AND state IS NOT NULL
"""

OF_KIND: Final[LiteralString] = """
    SELECT object_id, state FROM stripe_objects
    WHERE kind = %(kind)s AND object_id > %(after)s
    ORDER BY object_id
    LIMIT %(rows_max)s
"""

UNSEEN: Final[LiteralString] = """
    SELECT c.customer_id AS object_id FROM customers AS c
    LEFT JOIN stripe_objects AS o ON o.object_id = c.customer_id AND o.state IS NOT NULL
    WHERE o.object_id IS NULL AND c.livemode = %(livemode)s AND c.customer_id > %(after)s
    ORDER BY c.customer_id
    LIMIT %(rows_max)s
"""

COUNTS: Final[LiteralString] = """
    SELECT kind, count(*) AS objects FROM stripe_objects WHERE kind IS NOT NULL GROUP BY kind
    UNION ALL
    SELECT 'subscription', count(*) FROM subscriptions
"""

ROWS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Held:
    """What we believe, and since which second of Stripe's."""

    state: LineState
    as_of: datetime


async def subscriptions(database: Database, subscription_ids: Sequence[str]) -> dict[str, Held]:
    """The present of these subscriptions, of those that we know."""
    async with database.connection() as connection:
        found = await connection.execute(SUBSCRIPTIONS, {"object_ids": Texts(subscription_ids)})
        rows = await found.fetchall()
    held: dict[str, Held] = {}
    for row in rows:
        subscription_id, as_of = row.pop("subscription_id"), row.pop("occurred_at")
        held[subscription_id] = Held(convert(row, State), as_of)
    return held


async def objects(database: Database, object_ids: Sequence[str]) -> dict[str, Held]:
    """The present of these objects, of those that we were shown."""
    async with database.connection() as connection:
        rows = await (await connection.execute(OBJECTS, {"object_ids": Texts(object_ids)})).fetchall()
    return {row["object_id"]: Held(STATE.decode(row["state"]), row["occurred_at"]) for row in rows}


async def living(database: Database, kind: str) -> AsyncIterator[str]:
    """The ids of all objects of a kind that we believe to be there still, in their order."""
    async for row in _each(database, OF_KIND, {"kind": kind}):
        if not STATE.decode(row["state"]).ended:
            yield row["object_id"]


async def unseen(database: Database, *, livemode: bool) -> AsyncIterator[str]:
    """Customers that others name, and that we were never shown themselves, in the order of their ids."""
    async for row in _each(database, UNSEEN, {"livemode": livemode}):
        yield row["object_id"]


async def _each(database: Database, query: LiteralString, about: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
    """The rows that *query* finds, page by page behind the last id: nothing is held open meanwhile."""
    after = ""
    while True:
        asked = {**about, "after": after, "rows_max": ROWS_MAX}
        async with database.connection() as connection:
            rows = await (await connection.execute(query, asked)).fetchall()
        for row in rows:
            yield row
        if len(rows) < ROWS_MAX:
            return
        after = rows[-1]["object_id"]


async def counts(database: Database) -> dict[str, int]:
    """How many objects of each kind we know: about as many as Stripe will list."""
    async with database.connection() as connection:
        rows = await (await connection.execute(COUNTS)).fetchall()
    return {row["kind"]: row["objects"] for row in rows}
