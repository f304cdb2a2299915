"""One trace from Stripe's request to the event that we emit: off unless there is an endpoint, and then for a sample.

The die falls once, at the door.  A request that it passes over leaves no header, so nobody after it has anything to do;
whoever finds a sampled `traceparent` goes on with that trace.  Spans hold ids, counts and names, never a body's words:
of an exception its type alone.  They leave by a thread of their own, and are dropped where that cannot keep up.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import random
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bound_contextvars

from runtime.settings import TraceSettings

if TYPE_CHECKING:  # Its import takes a fifth of a second and some megabytes: for those who trace.
    from opentelemetry.sdk.trace import TracerProvider

__all__ = [
    "HEADER",
    "Attributes",
    "Span",
    "SpanKind",
    "Tracer",
    "closing",
    "configure",
    "context_of",
    "lasting",
    "named",
    "now_ns",
    "place",
    "sending",
    "span_context",
]

HEADER: Final = "traceparent"
LINKS_MAX: Final = 5_000
"""As many as a batch can have facts: OpenTelemetry would stop at 128."""

CLOSE_SECONDS_MAX: Final = 2.0
"""How long the end of a process waits for its last spans to leave."""

Attributes = dict[str, str | int | float | bool | Sequence[str]]

_W3C: Final = TraceContextTextMapPropagator()


class Span:
    """A stretch of time in a trace."""

    __slots__ = ("_tracer", "otel")

    def __init__(self, tracer: "Tracer", otel: OtelSpan) -> None:
        self._tracer = tracer
        self.otel = otel

    @property
    def context(self) -> SpanContext:
        """What others link to."""
        return self.otel.get_span_context()

    @property
    def trace_id(self) -> str:
        """As logs and tools show it."""
        return f"{self.context.trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """What makes others go on with this trace, below this span."""
        return f"00-{self.trace_id}-{self.context.span_id:016x}-01"

    @property
    def header(self) -> tuple[str, bytes]:
        """The same, as Kafka carries it."""
        return (HEADER, self.traceparent.encode())

    def child(self, name: str, kind: SpanKind = SpanKind.INTERNAL, attributes: Attributes | None = None) -> "Span":
        """A stretch of it, from now on; whoever begins it ends it."""
        return self._tracer.begin(name, kind, parent=set_span_in_context(self.otel, Context()), attributes=attributes)

    def tell(self, attributes: Attributes) -> None:
        """Say more about it."""
        self.otel.set_attributes(attributes)

    def fail(self, error: str) -> None:
        """Say what kind of failure it was."""
        self.otel.set_status(Status(StatusCode.ERROR))
        self.otel.set_attribute("error.type", error)

    def end(self, error: BaseException | None = None, at_ns: int | None = None) -> None:
        """It is over, by *error* if there was one."""
        if error is not None:
            self.fail(type(error).__name__)
        self.otel.end(at_ns)


class Tracer:
    """Where the spans of one process begin."""

    def __init__(self, provider: "TracerProvider", sample_ratio: float) -> None:
        self._provider = provider
        self._otel = provider.get_tracer("billstream")
        self._sample_ratio = sample_ratio

    def samples(self) -> bool:
        """Whether this one shall have a trace."""
        return random() < self._sample_ratio  # noqa: S311  # Nothing is kept secret by it.

    def begin(  # noqa: PLR0917  # As many as a span has sides.
        self,
        name: str,
        kind: SpanKind,
        parent: Context | None = None,
        links: Sequence[SpanContext] = (),
        attributes: Attributes | None = None,
        at_ns: int | None = None,
    ) -> Span:
        """A span from now on, or from *at_ns*: of the *parent*'s trace, else of a new one."""
        otel = self._otel.start_span(
            name,
            context=parent or Context(),
            kind=kind,
            attributes=attributes,
            links=[Link(context) for context in links],
            start_time=at_ns,
        )
        return Span(self, otel)

    def close(self) -> None:
        """Send what is still to be sent, for as long as a process that ends may wait."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS_MAX)


def configure(process: str, settings: TraceSettings) -> Tracer | None:
    """The tracer of this process; None, with nothing loaded and nothing to pay, where no endpoint is set."""
    if settings.otel_exporter_otlp_endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # What is not sampled is never begun.

    provider = TracerProvider(
        sampler=ALWAYS_ON,
        resource=Resource.create({SERVICE_NAME: f"billstream-{process}"}),
        span_limits=SpanLimits(max_links=LINKS_MAX),
        shutdown_on_exit=False,
    )
    endpoint = f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return Tracer(provider, settings.trace_sample_ratio)


def context_of(traceparent: str | bytes | None) -> Context | None:
    """Where a trace goes on; None where nothing was sampled, or what stands there is no `traceparent`."""
    if not traceparent:
        return None
    text = traceparent.decode(errors="replace") if isinstance(traceparent, bytes) else traceparent
    context = _W3C.extract({HEADER: text}, Context())
    return context if span_context(context).trace_flags.sampled else None


def span_context(context: Context) -> SpanContext:
    """The span that a context names."""
    return get_current_span(context).get_span_context()


def sending(topic: str) -> Attributes:
    """What a span says of a message that is sent to Kafka (OpenTelemetry's conventions for messaging)."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": topic,
    }


def place(landed: Any) -> Attributes:
    """Where a message is in its topic, as the broker said when it had it."""
    return {"messaging.destination.partition.id": str(landed.partition), "messaging.kafka.offset": landed.offset}


@contextmanager
def closing(tracer: Tracer | None) -> Iterator[None]:
    """Send the last spans when the block ends, where there are any."""
    try:
        yield
    finally:
        if tracer is not None:
            tracer.close()


@contextmanager
def lasting(span: Span) -> Iterator[Span]:
    """Let *span* last as long as the block."""
    try:
        yield span
    except BaseException as error:
        span.end(error)
        raise
    span.end()


@contextmanager
def named(span: Span) -> Iterator[None]:
    """Name the trace in every line that is logged in the block, and does not name another."""
    with bound_contextvars(trace_id=span.trace_id):
        yield


def now_ns() -> int:
    """Wall time, as spans keep it."""
    return time_ns()
