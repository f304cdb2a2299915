"""What a batch leaves in traces, whatever becomes of it, and that its rows know which trace they go on with."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from msgspec import structs
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.failures import Stop
from runtime.tracing import Tracer
from store import stops
from store.intake import Intake
from store.records import Record
from store.traces import Batches
from tests.support_store import GROUP, Bench, Told, changed

EXPORTER = InMemorySpanExporter()


@pytest.fixture
def batches() -> Batches:
    EXPORTER.clear()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
    return Batches(Tracer(provider, 1.0), GROUP)


def traceparent(number: int) -> str:
    return f"00-{number:032x}-{number:016x}-01"


def sampled(record: Record, number: int) -> Record:
    return structs.replace(record, headers={**record.headers, "traceparent": traceparent(number).encode()})


async def taken(
    bench: Bench, batches: Batches, records: Sequence[Record], intake: Intake | None = None
) -> list[ReadableSpan]:
    intake = intake or await bench.intake()
    for record in records:
        batches.note([record])
    with batches.batch(records):
        await intake.take(records)
    return list(EXPORTER.get_finished_spans())


def said_by(bench: Bench) -> dict[str, str]:
    """The trace that each message goes on with, by the fact that caused it."""
    rows = bench.table("outbox")
    return {row["event_id"].split("/")[1]: row["traceparent"] and row["traceparent"].split("-")[1] for row in rows}


def named(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


async def test_only_what_a_sampled_fact_says_goes_on_with_a_trace(bench: Bench, batches: Batches) -> None:
    told = [changed(f"evt_{n}", sid=f"sub_{n}", customer=f"cus_{n}") for n in range(3)]
    first, second, third = bench.records(told)

    spans = await taken(bench, batches, [first, sampled(second, 7), third])

    assert said_by(bench) == {"evt_0": None, "evt_1": f"{7:032x}", "evt_2": None}
    (fact,) = named(spans, "commit stripe.events")
    assert fact.attributes is not None
    assert fact.attributes["messaging.message.id"] == "evt_1"
    assert bench.table("outbox")[1]["traceparent"] == f"00-{7:032x}-{fact.context.span_id:016x}-01"


async def test_a_batch_without_a_sampled_fact_leaves_nothing(bench: Bench, batches: Batches) -> None:
    assert await taken(bench, batches, bench.records([changed("evt_1")])) == []


async def test_of_two_copies_the_first_ones_trace_goes_on(bench: Bench, batches: Batches) -> None:
    once, again = bench.records([changed("evt_1"), changed("evt_1")])

    spans = await taken(bench, batches, [sampled(once, 1), sampled(again, 2)])

    assert said_by(bench) == {"evt_1": f"{1:032x}"}
    assert {span.context.trace_id for span in named(spans, "commit stripe.events")} == {1, 2}


async def test_a_parked_fact_is_said_in_its_own_trace(bench: Bench, batches: Batches) -> None:
    (record,) = bench.records([broken("evt_1")])

    await taken(bench, batches, [sampled(record, 5)])

    (parked,) = [row for row in bench.table("outbox") if row["topic"] == "billing.parked"]
    assert parked["traceparent"].split("-")[1] == f"{5:032x}"


async def test_a_transaction_that_fails_ends_its_step_with_what_went_wrong(bench: Bench, batches: Batches) -> None:
    """Of a batch that is halved every try is seen, and the rest of them commits."""
    told = [changed("evt_1", sid="sub_1", customer="cus_1"), changed("evt_2", sid="sub_2", customer="cus_2")]
    records = [sampled(record, number) for number, record in enumerate(bench.records(told), 1)]
    bench.sql("ALTER TABLE subscriptions ADD CONSTRAINT not_2 CHECK (subscription_id <> 'sub_2')")
    try:
        spans = await taken(bench, batches, records)
    finally:
        bench.sql("ALTER TABLE subscriptions DROP CONSTRAINT not_2")

    saves = [(span.attributes or {}).get("error.type") for span in named(spans, "save")]
    assert saves == ["CheckViolation", None, "CheckViolation", None]  # Both; the first; the second; the second, parked.
    assert len(named(spans, "process stripe.events")) == 1
    assert [row["fact_id"] for row in bench.table("parked")] == ["evt_2"]


async def test_a_batch_that_ends_the_process_says_so(bench: Bench, batches: Batches) -> None:
    (record,) = bench.records([changed("evt_1")])
    intake = await bench.intake()
    await stops.stop(bench.database, GROUP, "somebody else found that we are the bug")

    with pytest.raises(Stop):
        await taken(bench, batches, [sampled(record, 1)], intake)

    ended = EXPORTER.get_finished_spans()
    assert {span.name for span in ended if not span.status.is_ok} >= {"process stripe.events", "commit stripe.events"}


def broken(event_id: str) -> Told:
    whole = changed(event_id)
    return replace(whole, body=b"{}")
