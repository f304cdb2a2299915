"""From Faust's stream into the intake: take what is there, commit it, acknowledge it last.

Two tasks with a short queue between them.  One reads the stream and does nothing else; the other takes whatever has
gathered while it was committing, so batches need no timer, a lone fact waits for nobody, and load fills them.  (One
task that both reads and commits can be caught by a rebalance holding half a batch: Faust empties its buffer, the next
event never comes, and the rebalance waits for acknowledgements that only the next event would bring.)

An exception that leaves a Faust agent acknowledges what it was working on.  So none ever does: the process ends.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Protocol, cast

from faust import EventT, Stream, StreamT
from prometheus_client import Counter, Histogram

from runtime.failpoints import Failpoints
from runtime.failures import Stop
from runtime.logs import get_logger
from runtime.metrics import LATENCY_SECONDS_BUCKETS
from store.records import Record
from store.traces import Batches
from streams.ending import End
from streams.progress import Progress

FACT_ID_HEADER: Final = "fact_id"

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


class BooksAgent:
    """The one agent of the books.  `concurrency` stays 1: more would commit offsets past events in flight."""

    def __init__(  # noqa: PLR0917  # Its parts.
        self,
        intake: Takes,
        progress: Progress,
        failpoints: Failpoints,
        records_max: int,
        end: End,
        traced: Batches | None = None,
    ) -> None:
        self._intake = intake
        self._progress = progress
        self._failpoints = failpoints
        self._records_max = records_max
        self._end = end
        self._traced = traced
        self._gathered: asyncio.Queue[EventT[Any]] = asyncio.Queue(maxsize=records_max)

    async def run(self, stream: StreamT[bytes]) -> None:
        """Bring the stream's events into the books for ever; ends with the process, or when it is cancelled."""
        unacknowledged = cast("Stream[bytes]", stream).noack()
        committing = asyncio.create_task(self._commit(unacknowledged), name="books-commit")
        gather = self._gathered.put if self._traced is None else self._note_and_gather
        try:
            async for event in unacknowledged.events():
                await gather(event)
        except Exception as failure:  # noqa: BLE001  # Whatever it is, it must not reach Faust.
            self._end(f"the stream failed: {type(failure).__name__}: {failure}")
        finally:
            committing.cancel()

    async def _note_and_gather(self, event: EventT[Any]) -> None:
        assert self._traced is not None, "nobody else notes when a record was read"
        self._traced.note(event.message)
        await self._gathered.put(event)

    async def _commit(self, stream: StreamT[bytes]) -> None:
        try:
            while True:
                await self._commit_one(stream, await gathered(self._gathered, self._records_max))
        except Stop as stop:
            self._end(stop.reason)
        except Exception as failure:  # The intake promises none; were there one, nothing may be acknowledged after it.
            log.exception("the intake broke its promise")
            self._end(f"the intake failed: {type(failure).__name__}")

    async def _commit_one(self, stream: StreamT[bytes], batch: Sequence[EventT[Any]]) -> None:
        records = [as_record(event.message) for event in batch]
        self._failpoints.reach("after_consume", _fact_ids(records))
        with COMMIT_SECONDS.time(), self._tracing(records):
            await self._intake.take(records)
        self._progress.committed(records)
        for event in batch:
            await stream.ack(event)
        self._failpoints.rest()
        RECORDS.inc(len(batch))
        BATCH_RECORDS.observe(len(batch))

    def _tracing(self, records: Sequence[Record]) -> AbstractContextManager[None]:
        return nullcontext() if self._traced is None else self._traced.batch(records)


async def gathered(queue: asyncio.Queue[EventT[Any]], records_max: int) -> list[EventT[Any]]:
    """What is there, at least one event and at most *records_max*, in order."""
    batch = [await queue.get()]
    while len(batch) < records_max and not queue.empty():
        batch.append(queue.get_nowait())
    return batch


def as_record(message: Any) -> Record:
    """A Faust message as the intake knows it.  A record without a value is an empty one: unreadable, never skipped."""
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=round((message.timestamp or 0) * 1000),
        key=message.key,
        value=message.value or b"",
        headers=dict(message.headers or ()),
    )


def _fact_ids(records: Sequence[Record]) -> Iterator[str]:
    return (record.headers.get(FACT_ID_HEADER, b"").decode(errors="replace") for record in records)
