"""How far each partition is in the books.

The position is read and moved in the transaction that holds the effects, so it is the truth, and Kafka's committed
offset an echo of it.  It fences a worker that lost its partition without noticing: what such a worker still brings lies
below the position and is in the inbox already.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, LiteralString

from psycopg.rows import DictRow

from runtime.failures import Stop
from store import stops
from store.arrays import Bigints, Texts
from store.postgres import Connection, Cursor, Database

TopicPartition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Bounds:
    """A partition's log as Kafka has it: the first offset that is there, and the one after the last."""

    beginning: int
    end: int


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets of a batch in one partition: its first, and the one after its last."""

    first: int
    next: int


ANEW: Final = (
    "Nothing was dropped.  Delete this group's rows of consumer_positions to read the new topic from its beginning"
)


class GapFound(Exception):
    """The first offset of a batch lies beyond the position: what lies between is lost, skipped, or nothing."""

    def __init__(self, where: TopicPartition, expected: int, first: int) -> None:
        super().__init__(f"{where[0]}/{where[1]}: expected offset {expected}, got {first}")
        self.where = where
        self.expected = expected
        self.first = first


TAKE: Final[LiteralString] = """
    WITH taken AS (
        SELECT * FROM unnest(%(topics)b::text[], %(partitions)b::bigint[], %(offsets)b::bigint[])
            AS taken (topic, partition, next_offset)
    ), before AS (
        SELECT topic, partition, next_offset
        FROM consumer_positions
        WHERE consumer_group = %(group)s AND (topic, partition) IN (SELECT topic, partition FROM taken)
        ORDER BY topic, partition
        FOR UPDATE
    ), moved AS (
        UPDATE consumer_positions AS position
        SET next_offset = taken.next_offset
        FROM before
        JOIN taken USING (topic, partition)
        WHERE position.consumer_group = %(group)s
          AND position.topic = before.topic
          AND position.partition = before.partition
          AND position.next_offset < taken.next_offset
    )
    SELECT topic, partition, next_offset,
           (SELECT reason FROM intake_stops WHERE consumer_group = %(group)s AND cleared_at IS NULL) AS stopped
    FROM before
"""

SEED: Final[LiteralString] = """
    INSERT INTO consumer_positions (consumer_group, topic, partition, next_offset)
    SELECT %(group)s, * FROM unnest(%(topics)b::text[], %(partitions)b::bigint[], %(offsets)b::bigint[])
    ON CONFLICT DO NOTHING
"""

READ: Final[LiteralString] = """
    SELECT topic, partition, next_offset
    FROM consumer_positions
    WHERE consumer_group = %(group)s
      AND (topic, partition) IN (SELECT * FROM unnest(%(topics)b::text[], %(partitions)b::bigint[]))
"""


async def assigned(
    database: Database, group: str, bounds: Mapping[TopicPartition, Bounds]
) -> dict[TopicPartition, int]:
    """Where to read on in each partition; one that is new to us starts at the beginning of its log.

    Raises Stop when a position lies outside its log.  Beyond the end, the topic was made anew under its old name, and
    its first facts would be taken for old ones and dropped; before the beginning, retention took facts that we never
    had.
    """
    async with database.connection() as connection:
        await connection.execute(SEED, _arrays(group, {where: bound.beginning for where, bound in bounds.items()}))
        found = await connection.execute(READ, _arrays(group, dict.fromkeys(bounds, 0)))
        positions = _by_partition(await found.fetchall())
    for where, position in positions.items():
        _require_same_log(where, position, bounds[where])
    return positions


def _require_same_log(where: TopicPartition, position: int, log: Bounds) -> None:
    topic, partition = where
    if position > log.end:
        raise Stop(
            f"{topic}/{partition} ends at offset {log.end}, and offset {position} comes next: the topic was recreated."
            f" {ANEW}"
        )
    if position < log.beginning:
        raise Stop(
            f"{topic}/{partition} begins at offset {log.beginning}, and offset {position} comes next: the facts between"
            f" are lost to us.  Backfill them from Stripe, then set next_offset in consumer_positions"
        )


async def take(connection: Connection, group: str, spans: Mapping[TopicPartition, Span]) -> Cursor:
    """Take the turn on the partitions of a batch, in one order for everybody, and move them behind it, never backwards.

    Whether they may be moved, `check` says: whoever is told no rolls back.
    """
    return await connection.execute(TAKE, _arrays(group, {where: span.next for where, span in spans.items()}))


async def check(
    taken: Cursor, group: str, spans: Mapping[TopicPartition, Span], holes: frozenset[TopicPartition]
) -> dict[TopicPartition, int]:
    """The positions as they were before; GapFound when a batch starts beyond one and nobody said that it is a hole.

    Raises Stop when the group is stopped: one worker's stop is everybody's.
    """
    rows = await taken.fetchall()
    if rows and rows[0]["stopped"] is not None:
        raise Stop(stops.how_to_resume(group, rows[0]["stopped"]))
    positions = _by_partition(rows)
    for where, span in spans.items():
        if where not in positions:
            raise Stop(f"{where[0]}/{where[1]} has no position: it was never assigned to this group's workers")
        if span.first > positions[where] and where not in holes:
            raise GapFound(where, positions[where], span.first)
    return positions


def _by_partition(rows: Iterable[DictRow]) -> dict[TopicPartition, int]:
    return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}


def _arrays(group: str, offsets: Mapping[TopicPartition, int]) -> dict[str, object]:
    return {
        "group": group,
        "topics": Texts(topic for topic, _ in offsets),
        "partitions": Bigints(partition for _, partition in offsets),
        "offsets": Bigints(offsets.values()),
    }
