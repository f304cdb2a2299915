"""What a batch leaves in traces: a span of its own, linked to each of its sampled facts, and one in each fact's trace.

The batch's has its own trace, because many facts share it: its children are the two waits of the write transaction and
the deciding between them.  Each fact's goes on from its request, lasts from its being read to its commit, and is what
the events that it caused go on from.  A batch without a sampled fact leaves nothing, and nobody asks twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from enum import StrEnum
from typing import Final

from opentelemetry.context import Context

from models.base import FACT_ID_HEADER, Envelope
from models.books import Said
from runtime import tracing
from runtime.tracing import Attributes, Span, SpanKind, Tracer
from store.records import Record

Place = tuple[str, int, int]
"""Topic, partition, offset."""

_here: Final[ContextVar["BatchTrace | None"]] = ContextVar("batch_trace", default=None)


class Step(StrEnum):
    """A part of the write transaction.  The two that wait for the server are its clients."""

    ASK = "ask"  # From BEGIN until all answers are here.
    DECIDE = "decide"  # Nothing is waited for.
    SAVE = "save"  # From the first row until COMMIT is answered.


class BatchTrace:
    """One batch with sampled facts."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.facts: dict[Place, Span] = {}
        self._traceparents: dict[str, str] = {}
        self._step: Span | None = None

    def add(self, record: Record, fact: Span) -> None:
        """One of its facts is sampled; of two copies the first one is heard."""
        self.facts[_place(record)] = fact
        with suppress(ValueError):  # Without an envelope it has no name that anything could be said under.
            identity = "/".join(Envelope.from_headers(record.headers).identity)
            self._traceparents.setdefault(identity, fact.traceparent)

    def begin(self, step: Step) -> None:
        """End the step before, and begin this one."""
        self.rest()
        kind = SpanKind.INTERNAL if step is Step.DECIDE else SpanKind.CLIENT
        about: Attributes | None = (
            None if step is Step.DECIDE else {"db.system.name": "postgresql", "db.operation.name": step.value}
        )
        self._step = self.span.child(step.value, kind, about)

    def rest(self, error: BaseException | None = None) -> None:
        """No step is in hand any more."""
        if self._step is not None:
            self._step.end(error)
            self._step = None

    def traceparent(self, said: Said) -> str | None:
        """The trace of the fact that made us say this.  An event's id begins with its cause (`models.books.say`)."""
        return self._traceparents.get(said.event_id.removesuffix(f"/{said.event.type}/{said.event.subject}"))

    def end(self, error: BaseException | None = None) -> None:
        """All of it is over, at one moment."""
        at_ns = tracing.now_ns()
        for fact in self.facts.values():
            fact.end(error, at_ns)
        self.span.end(error, at_ns)


class Batches:
    """Traces the batches of one consumer group."""

    def __init__(self, tracer: Tracer, group: str) -> None:
        self._tracer = tracer
        self._group = group
        self._read_at_ns: dict[Place, int] = {}  # Of sampled records that are not committed yet.

    def note(self, records: Iterable[Record]) -> None:
        """These records are here; their batch may have to wait for the one before."""
        at_ns = tracing.now_ns()
        self._read_at_ns.update((_place(record), at_ns) for record in records if tracing.HEADER in record.headers)

    @contextmanager
    def batch(self, records: Sequence[Record]) -> Iterator[None]:
        """Trace what happens to *records* in the block, if any of them is sampled."""
        sampled = [(record, context) for record in records if (context := _context(record.headers)) is not None]
        if not sampled:
            yield
            return
        trace = self._begin(records, sampled)
        here = _here.set(trace)
        try:
            with tracing.named(trace.span):
                yield
        except BaseException as error:
            trace.end(error)
            raise
        finally:
            _here.reset(here)
        trace.end()

    def _begin(self, records: Sequence[Record], sampled: Sequence[tuple[Record, Context]]) -> BatchTrace:
        span = self._tracer.begin(
            f"process {records[0].topic}",
            SpanKind.CONSUMER,
            links=[tracing.span_context(context) for _, context in sampled],
            attributes={
                **self._about(records[0].topic, "process"),
                "messaging.batch.message_count": len(records),
                "billstream.partitions": sorted({f"{record.topic}/{record.partition}" for record in records}),
            },
        )
        trace = BatchTrace(span)
        for record, context in sampled:
            trace.add(record, self._begin_fact(record, context, span))
        return trace

    def _begin_fact(self, record: Record, parent: Context, batch: Span) -> Span:
        return self._tracer.begin(
            f"commit {record.topic}",
            SpanKind.CONSUMER,
            parent,
            links=[batch.context],
            attributes={
                **self._about(record.topic, "commit"),
                "messaging.destination.partition.id": str(record.partition),
                "messaging.kafka.offset": record.offset,
                "messaging.message.id": _fact_id(record),
            },
            at_ns=self._read_at_ns.pop(_place(record), None),
        )

    def _about(self, topic: str, operation: str) -> Attributes:
        return {
            "messaging.system": "kafka",
            "messaging.operation.name": operation,
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.consumer.group.name": self._group,
        }


@contextmanager
def of_transaction() -> Iterator[None]:
    """Let the last step of a write transaction end with the block, by the error that ends it if there is one."""
    trace = _here.get()
    if trace is None:
        yield
        return
    try:
        yield
    except BaseException as error:
        trace.rest(error)
        raise
    trace.rest()


def begin(step: Step) -> None:
    """The write transaction has come to *step*."""
    trace = _here.get()
    if trace is not None:
        trace.begin(step)


def traceparents(said: Sequence[Said]) -> list[str | None]:
    """Which trace each of these goes on with, where it does."""
    trace = _here.get()
    return [None] * len(said) if trace is None else [trace.traceparent(one) for one in said]


def told_of(fact_id: str, topic: str | None, partition: int | None, offset: int | None) -> dict[str, object]:
    """What every line that is logged about a fact says of it."""
    fields: dict[str, object] = {"fact_id": fact_id, "topic": topic, "partition": partition, "offset": offset}
    trace = _here.get()
    span = trace.facts.get((topic or "", partition or 0, offset or 0)) if trace else None
    return fields | {"trace_id": span.trace_id} if span else fields


def told_of_record(record: Record) -> dict[str, object]:
    """The same, of what came out of a topic and may not have been read yet."""
    return told_of(_fact_id(record), record.topic, record.partition, record.offset)


def _place(record: Record) -> Place:
    return (record.topic, record.partition, record.offset)


def _context(headers: Mapping[str, bytes]) -> Context | None:
    return tracing.context_of(headers.get(tracing.HEADER))


def _fact_id(record: Record) -> str:
    """What the record says of itself, for a log line or a span."""
    return (record.headers.get(FACT_ID_HEADER) or b"").decode(errors="replace")
