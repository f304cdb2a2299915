"""Rows are looked up by key, also in a database that is new: nobody has analyzed its tables, and plans are kept."""

import random

from simulator import shapes
from simulator.story import tell
from store.outbox import Outbox
from tests.store.test_story import as_told
from tests.support_lives import shuffled
from tests.support_store import Bench

BATCH_FACTS = 50

SCANS = """
    SELECT c.relname AS name, pg_stat_get_numscans(c.oid) AS scans
    FROM pg_class AS c
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
    ORDER BY c.relname
"""
"""How often each table was read from one end to the other.  (https://www.postgresql.org/docs/current/monitoring-stats.html)"""


async def scans(bench: Bench) -> dict[str, int]:
    """What the server counts by table, once those who read have told it."""
    async with bench.database.connection() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
    async with bench.database.connection() as connection:  # It is told when the transaction has ended.
        await connection.execute("SELECT 1")
    return {row["name"]: row["scans"] for row in bench.sql(SCANS)}


async def test_while_an_empty_database_fills_no_table_is_read_from_one_end_to_the_other(bench: Bench) -> None:
    events = [shapes.render(one, shapes.BASIL) for one in tell(3, 20).happenings]
    arriving = shuffled([as_told(event) for event in events], random.Random(3))
    intake = await bench.intake()
    before = await scans(bench)

    for first in range(0, len(arriving), BATCH_FACTS):
        await intake.take(bench.records(arriving[first : first + BATCH_FACTS]))
        async with Outbox(bench.database).claim(BATCH_FACTS):
            pass

    after = await scans(bench)
    assert {name: count - before[name] for name, count in after.items() if count != before[name]} == {}
    assert len(bench.table("objects")) > 200
