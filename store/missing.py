"""What we never had.  A fact that is parked, or waits for its owner, is not missing."""

from collections.abc import Sequence
from typing import Final, LiteralString

from models.base import Source
from store.arrays import Texts
from store.postgres import Database

KNOWN: Final[LiteralString] = """
    SELECT asked.fact_id
    FROM unnest(%(fact_ids)b::text[]) AS asked (fact_id)
    JOIN inbox ON inbox.source = %(source)s AND inbox.fact_id = asked.fact_id
    UNION
    SELECT asked.fact_id
    FROM unnest(%(fact_ids)b::text[]) AS asked (fact_id)
    JOIN parked_facts AS parked ON parked.source = %(source)s AND parked.fact_id = asked.fact_id
"""


async def missing(database: Database, fact_ids: Sequence[str]) -> list[str]:
    """Those of Stripe's facts that we never had, in the order in which they were asked for."""
    asked = {"fact_ids": Texts(fact_ids), "source": Source.STRIPE.value}
    async with database.connection() as connection:
        known = {row["fact_id"] for row in await (await connection.execute(KNOWN, asked)).fetchall()}
    return [fact_id for fact_id in fact_ids if fact_id not in known]
