"""What the books hold of a trial, read from PostgreSQL as it is: the judge shares no code with who wrote it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

import psycopg

READ_AT_ONCE: Final = 10_000

MARK: LiteralString = "SELECT clock_timestamp(), coalesce((SELECT max(outbox_id) FROM outbox), 0)"
KEPT: LiteralString = """
    SELECT fact_id, partition, topic_offset, waits,
           CASE WHEN current_setting('track_commit_timestamp')::boolean THEN pg_xact_commit_timestamp(inbox.xmin) END
    FROM (
        SELECT source, fact_id, partition, topic_offset, false AS waits FROM journal
        WHERE committed_at >= %(since)s AND topic = %(topic)s
        UNION ALL
        SELECT source, fact_id, partition, topic_offset, true FROM waiting_facts
        WHERE waiting_since >= %(since)s AND topic = %(topic)s
    ) AS kept JOIN inbox USING (source, fact_id)
"""
PARKED: LiteralString = "SELECT count(*) FROM parked_facts WHERE parked_at >= %(since)s"
SAYING: LiteralString = "SELECT count(*) FROM outbox WHERE outbox_id > %(outbox_id)s"


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment of the database's: what came after it is the trial's."""

    since: datetime
    outbox_id: int


class Kept(NamedTuple):
    """A fact that was written down."""

    fact_id: str
    partition: int
    offset: int
    waits: bool  # Its owner is not known yet.
    committed_at: datetime | None  # As the server stamped it; None where it was not told to.


class Rows:
    """One side's rows."""

    def __init__(self, url: str) -> None:
        self._url = url

    def mark(self) -> Mark:
        """Now."""
        return Mark(*self._one(MARK, {}))

    def kept(self, mark: Mark, topic: str) -> Iterator[Kept]:
        """Every fact that was written down since; among them may be some of before that waited until now.

        It is committed when its place in the inbox is: the journal has one that waited only when it has been heard.
        """
        with psycopg.connect(self._url) as connection, connection.cursor("kept", binary=True) as cursor:
            cursor.itersize = READ_AT_ONCE
            cursor.execute(KEPT, {"since": mark.since, "topic": topic})
            yield from map(Kept._make, cursor)

    def parked(self, mark: Mark) -> int:
        """How many facts were parked since."""
        return int(self._one(PARKED, {"since": mark.since})[0])

    def to_say(self, mark: Mark) -> int:
        """How many events were decided on since, sent or not."""
        return int(self._one(SAYING, {"outbox_id": mark.outbox_id})[0])

    def _one(self, query: LiteralString, about: dict[str, object]) -> tuple[Any, ...]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            row = connection.execute(query, about).fetchone()
        assert row is not None, "an aggregate has one row"
        return row
