"""Sees commits: asks again and again how far the books are, on a connection and a thread of its own.

What a transaction did is visible when it is committed and flushed, so a fact is in the books at the latest when its
partition's position is seen beyond its offset.  The same for every side, whoever wrote the position.  When exactly it
was committed the server knows (`bench.rows`): a look comes late, and more looks would slow down what they look at.
"""

import threading
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, LiteralString

import psycopg

from bench.sides import Books
from runtime import clock

POLL_SECONDS: Final = 0.02
"""Between two looks: they take the cores from those that are looked at."""
POSITIONS: LiteralString = """
    SELECT array_agg(partition ORDER BY partition), array_agg(next_offset ORDER BY partition)
    FROM consumer_positions WHERE consumer_group = %(group)s AND topic = %(topic)s
"""


class Watch:
    """The positions of one group in one topic, and when each was first seen."""

    def __init__(self, connection: psycopg.Connection, group: str, topic: str) -> None:
        self.backend_pid = connection.info.backend_pid
        self._connection = connection
        self._about = {"group": group, "topic": topic}
        self._seen: dict[int, list[tuple[int, float]]] = {}  # By partition: position, moment; both rising.
        self._ending = threading.Event()

    def positions(self) -> dict[int, int]:
        """How far each partition was when it was last looked at."""
        return {partition: seen[-1][0] for partition, seen in self._seen.items()}

    def seen_at(self, partition: int, offset: int) -> float | None:
        """The first look at which a fact was in the books; None when it never was."""
        seen = self._seen.get(partition, [])
        place = bisect_right(seen, offset, key=lambda one: one[0])
        return seen[place][1] if place < len(seen) else None

    def look_until_ended(self) -> None:
        """Look again and again, until `end`."""
        while not self._ending.wait(POLL_SECONDS):
            self.look()

    def look(self) -> None:
        """Look once."""
        row = self._connection.execute(POSITIONS, self._about, binary=True).fetchone()
        now = clock.monotonic()  # After the answer: then it was certainly visible.
        partitions, offsets = row if row and row[0] else ((), ())
        for partition, offset in zip(partitions, offsets, strict=True):
            seen = self._seen.setdefault(partition, [])
            if not seen or seen[-1][0] != offset:
                seen.append((offset, now))

    def end(self) -> None:
        """Look no more."""
        self._ending.set()


@contextmanager
def watching(books: Books, topic: str) -> Iterator[Watch]:
    """A watch that looks until the block ends."""
    with psycopg.connect(books.database_url, autocommit=True, prepare_threshold=0) as connection:
        watch = Watch(connection, books.group, topic)
        watch.look()
        thread = threading.Thread(target=watch.look_until_ended, daemon=True)
        thread.start()
        try:
            yield watch
        finally:
            watch.end()
            thread.join()
