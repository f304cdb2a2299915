"""From Faust's stream into the intake: take what is there, commit it, acknowledge it last.

Two tasks with a batch's worth of room between them.  One reads the stream and does nothing else; the other takes
whatever has gathered while it was committing: a lone fact waits for nobody, and load fills batches (`streams.gathering`
says when they are given a moment for it).  (One task that both reads and commits can be caught by a rebalance holding
half a batch: Faust empties its buffer, the next event never comes, and the rebalance waits for acknowledgements that
only the next event would bring.)

An exception that leaves a Faust agent acknowledges what it was working on.  So none ever does: the process ends.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Protocol, cast

from faust import Stream, StreamT
from prometheus_client import Counter, Histogram

from models.base import FACT_ID_HEADER
from runtime.failpoints import Failpoints
from runtime.failures import Stop
from runtime.logs import get_logger
from runtime.metrics import LATENCY_SECONDS_BUCKETS
from store.records import Record
from store.traces import Batches
from streams.ending import End
from streams.gathering import ENOUGH_RECORDS, Gathering
from streams.parcels import Piece, pieces, unpack
from streams.progress import Progress

RECORDS: Final = Counter("books_records", "Records taken from the topics, duplicates included")
BATCH_RECORDS: Final = Histogram(
    "books_batch_records", "Records in one batch", buckets=(1, 2, 5, 10, 50, 100, 200, 500)
)
COMMIT_SECONDS: Final = Histogram(
    "books_commit_seconds", "One batch, from its last record to its commit", buckets=LATENCY_SECONDS_BUCKETS
)

log = get_logger(__name__)


class Takes(Protocol):
    """As much of the intake as an agent needs."""

    async def take(self, records: Sequence[Record]) -> None:
        """Return when all records are committed or parked; raise Stop when the process must end."""

    def read_ahead(self, record: Record) -> None:
        """Read a record whose turn will come; whatever is wrong with it is said when it does."""


class BooksAgent:
    """The one agent of the books.  `concurrency` stays 1: more would commit offsets past events in flight."""

    def __init__(  # noqa: PLR0917  # Its parts.
        self,
        intake: Takes,
        progress: Progress,
        failpoints: Failpoints,
        room: Gathering,
        end: End,
        traced: Batches | None = None,
    ) -> None:
        self._intake = intake
        self._progress = progress
        self._failpoints = failpoints
        self._end = end
        self._traced = traced
        self._gathered = room

    async def run(self, stream: StreamT[bytes]) -> None:
        """Bring the stream's events into the books for ever; ends with the process, or when it is cancelled."""
        unacknowledged = cast("Stream[bytes]", stream).noack()
        committing = asyncio.create_task(self._commit(unacknowledged), name="books-commit")
        try:
            async for event in unacknowledged.events():
                if self._traced is not None:
                    self._traced.note(unpack(event.message))
                for piece in pieces(event, self._gathered.records_max):
                    await self._gathered.put(piece)
        except Exception as failure:  # noqa: BLE001  # Whatever it is, it must not reach Faust.
            self._end(f"the stream failed: {type(failure).__name__}: {failure}")
        finally:
            committing.cancel()

    async def _commit(self, stream: StreamT[bytes]) -> None:
        try:
            while True:
                await self._commit_one(stream, await self._gathered.take())
        except Stop as stop:
            self._end(stop.reason)
        except Exception as failure:  # The intake promises none; were there one, nothing may be acknowledged after it.
            log.exception("the intake broke its promise")
            self._end(f"the intake failed: {type(failure).__name__}")

    async def _commit_one(self, stream: StreamT[bytes], batch: Sequence[Piece]) -> None:
        records = [record for piece in batch for record in piece.records]
        self._failpoints.reach("after_consume", _fact_ids(records))
        with COMMIT_SECONDS.time(), self._tracing(records), self._reading_ahead(len(records)):
            await self._intake.take(records)
        self._progress.committed(records)
        for piece in batch:
            if piece.event is not None:
                await stream.ack(piece.event)
        self._failpoints.rest()
        RECORDS.inc(len(records))
        BATCH_RECORDS.observe(len(records))

    @contextmanager
    def _reading_ahead(self, records: int) -> Iterator[None]:
        """While the database works, read what comes next; where few come at once, there is nothing to be won."""
        if records < ENOUGH_RECORDS:
            yield
            return
        reading = asyncio.create_task(self._gathered.read_ahead(self._intake.read_ahead), name="books-read-ahead")
        try:
            yield
        finally:
            reading.cancel()

    def _tracing(self, records: Sequence[Record]) -> AbstractContextManager[None]:
        return nullcontext() if self._traced is None else self._traced.batch(records)


def _fact_ids(records: Sequence[Record]) -> Iterator[str]:
    return (record.headers.get(FACT_ID_HEADER, b"").decode(errors="replace") for record in records)
