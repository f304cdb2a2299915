"""How far behind the groups and the relay are, as far as PostgreSQL knows: what is taken, and what is still to be said.

The other half, how far the topics go, is Kafka's.
"""

from dataclasses import dataclass
from typing import Final, LiteralString

from store.positions import TopicPartition
from store.postgres import Database

TAKEN: Final[LiteralString] = """
    SELECT consumer_group, topic, partition, next_offset FROM consumer_positions
"""

UNSENT: Final[LiteralString] = """
    SELECT count(*) AS events,
           coalesce(extract(epoch FROM clock_timestamp() - min(written_at)), 0)::float8 AS age_seconds
    FROM (
        SELECT written_at FROM unsent_events
        UNION ALL
        SELECT written_at FROM outbox WHERE sent_at IS NULL
    ) AS unsent
"""


@dataclass(frozen=True, slots=True)
class Unsent:
    """What the outbox still holds, and how long the oldest of it has waited."""

    events: int
    age_seconds: float


async def taken(database: Database) -> dict[str, dict[TopicPartition, int]]:
    """By group, the offset that comes next in each partition it ever had."""
    async with database.connection() as connection:
        rows = await (await connection.execute(TAKEN)).fetchall()
    groups: dict[str, dict[TopicPartition, int]] = {}
    for row in rows:
        groups.setdefault(row["consumer_group"], {})[row["topic"], row["partition"]] = row["next_offset"]
    return groups


async def unsent(database: Database) -> Unsent:
    """What is still to be said."""
    async with database.connection() as connection:
        found = await (await connection.execute(UNSENT)).fetchone()
    assert found is not None, "an aggregate has one row"
    return Unsent(found["events"], max(0.0, found["age_seconds"]))
