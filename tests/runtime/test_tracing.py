"""Nothing without an endpoint; with one, ids and counts only, and never a wait that an operator would notice."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime import tracing
from runtime.settings import TraceSettings
from runtime.tracing import SpanKind, Tracer

TRACE_ID, SPAN_ID = "1" * 32, "2" * 16
THREADS_SECONDS_MAX = 30
SAMPLED = f"00-{TRACE_ID}-{SPAN_ID}-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Tracer(provider, 1.0)


def test_without_an_endpoint_there_is_no_tracer_and_nothing_of_it_is_loaded() -> None:
    program = """
import sys
from runtime import tracing
from runtime.settings import TraceSettings
assert tracing.configure("books", TraceSettings()) is None
assert not {"opentelemetry.sdk", "opentelemetry.exporter", "requests"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, env={})


@pytest.mark.parametrize("parent", [SAMPLED, SAMPLED.encode(), SAMPLED.replace("00-", "fe-", 1)])
def test_whoever_finds_a_sampled_traceparent_goes_on_with_its_trace(
    tracer: Tracer, exporter: InMemorySpanExporter, parent: str | bytes
) -> None:
    span = tracer.begin("commit", SpanKind.CONSUMER, tracing.context_of(parent))
    span.child("ask").end()
    span.end()

    ask, commit = exporter.get_finished_spans()
    assert commit.parent is not None
    assert f"{commit.parent.span_id:016x}" == SPAN_ID
    assert span.traceparent == f"00-{TRACE_ID}-{commit.context.span_id:016x}-01"
    assert ask.parent == commit.context


@pytest.mark.parametrize(
    "parent",
    [
        None,
        "",
        b"",
        f"00-{TRACE_ID}-{SPAN_ID}-00",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}",
        b"\xff\xfe",
        "no traceparent at all",
        "00-" + "1" * 100_000,
    ],
)
def test_what_is_not_sampled_or_no_traceparent_has_no_trace(parent: str | bytes | None) -> None:
    assert tracing.context_of(parent) is None


def test_a_span_without_a_parent_has_a_trace_of_its_own_whatever_is_under_way(tracer: Tracer) -> None:
    first, second = (tracer.begin("POST", SpanKind.SERVER) for _ in range(2))

    assert first.trace_id != second.trace_id


@pytest.mark.parametrize(("ratio", "sampled"), [(0.0, 0), (1.0, 1_000)])
def test_the_ratio_is_the_share_that_is_sampled(ratio: float, sampled: int) -> None:
    tracer = Tracer(TracerProvider(shutdown_on_exit=False), ratio)

    assert sum(tracer.samples() for _ in range(1_000)) == sampled


def test_of_an_error_its_type_is_told_and_none_of_its_words(tracer: Tracer, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="Rosen"), tracing.lasting(tracer.begin("verify", SpanKind.INTERNAL)):
        raise ValueError("Jenny Rosen")

    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok
    assert span.attributes is not None
    assert span.attributes["error.type"] == "ValueError"
    assert "Jenny" not in span.to_json()


@pytest.fixture
def no_thread_stays() -> Iterator[None]:
    """An exporter outlives a stop that does not wait for it: its backoff draws from `random` under the next test."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(THREADS_SECONDS_MAX)
        assert not thread.is_alive(), thread


@pytest.mark.usefixtures("no_thread_stays")
def test_a_batch_may_be_linked_with_more_facts_than_opentelemetry_would_keep(
    exporter: InMemorySpanExporter,
) -> None:
    tracer = tracing.configure("books", TraceSettings(otel_exporter_otlp_endpoint="http://127.0.0.1:9"))
    with tracing.closing(tracer):
        assert tracer is not None
        contexts = [tracer.begin("send", SpanKind.PRODUCER).context for _ in range(500)]

        span = tracer.begin("process", SpanKind.CONSUMER, links=contexts)

        assert len(span.otel.links) == 500


@pytest.mark.usefixtures("no_thread_stays")
def test_a_collector_that_never_answers_holds_up_no_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", str(2 * tracing.CLOSE_SECONDS_MAX))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        tracer = tracing.configure("relay", TraceSettings(otel_exporter_otlp_endpoint=endpoint))
        began = time.monotonic()
        with tracing.closing(tracer):
            assert tracer is not None
            tracer.begin("send", SpanKind.PRODUCER).end()

        assert time.monotonic() - began < tracing.CLOSE_SECONDS_MAX + 1
