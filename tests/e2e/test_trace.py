"""One trace from Stripe's request to the message that we emit; and without an endpoint, nothing of it anywhere."""

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from bench.collector import Collector, Seen
from models.topics import TOPICS
from tests.support_pipeline import Body, Pipeline, running, subscription_event, until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

NAMES = ("ingress", "books-0", "relay")
SPANS_SECONDS_MAX = 20
PRICE_OF_JENNY = {"id": "price_1", "lookup_key": "Jenny", "recurring": {"interval": "mon\0th"}}
"""Every check of ours passes it, and no text column takes it."""

STRANGERS = "00-11111111111111111111111111111111-2222222222222222-01"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as collector:
        yield collector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pipeline]:
    told = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "TRACE_SAMPLE_RATIO": "1",
    }
    async with running(tmp_path_factory.mktemp("traced") / "home", names=NAMES, settings=told) as pipeline:
        yield pipeline


def of_subscription(number: int, **others: Any) -> Body:
    event = {"created": 1_767_225_600 + number, "subscription": f"sub_{number}", "customer": f"cus_{number}", **others}
    return subscription_event(f"evt_{number}", **event)


async def records(pipeline: Pipeline, topic: str) -> list[ConsumerRecord]:
    """All that a topic holds."""
    servers = pipeline.stack.kafka.bootstrap_servers
    async with AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, fetch_max_wait_ms=10) as consumer:
        parts = [
            TopicPartition(one.name, number) for one in TOPICS if one.name == topic for number in range(one.partitions)
        ]
        consumer.assign(parts)
        found: list[ConsumerRecord] = []
        for part, end in (await consumer.end_offsets(parts)).items():
            consumer.seek(part, 0)
            while await consumer.position(part) < end:
                found.extend((await consumer.getmany(part, timeout_ms=1_000)).get(part, []))
        return found


async def header(pipeline: Pipeline, topic: str, name: str, wanted: str) -> bytes | None:
    """The `traceparent` of the one record that has this header."""
    (found,) = [
        dict(one.headers) for one in await records(pipeline, topic) if wanted in dict(one.headers)[name].decode()
    ]
    return found.get("traceparent")


async def spans(collector: Collector, trace_id: str, *names: str) -> list[Seen]:
    """The spans of a trace, once those of these *names* are all there."""

    async def found() -> list[Seen]:
        seen = [span for span in collector.spans if span.trace_id == trace_id]
        return seen if set(names) <= {span.name for span in seen} else []

    return await until(found, SPANS_SECONDS_MAX, f"{names} of {trace_id}: {collector.spans}")


def one(seen: Sequence[Seen], name: str) -> Seen:
    (found,) = [span for span in seen if span.name == name]
    return found


def lines(pipeline: Pipeline, name: str) -> list[dict[str, Any]]:
    """What a process has logged."""
    log = Path(pipeline.stack.home.folder) / "logs" / f"{name}.log"
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


async def test_one_trace_leads_from_the_request_to_the_emitted_message(traced: Pipeline, collector: Collector) -> None:
    await traced.deliver(of_subscription(1, kind="created"))
    await traced.drained()

    arrived = await header(traced, "stripe.events", "fact_id", "evt_1")
    emitted = await header(traced, "billing.subscriptions", "ce_id", "evt_1")
    assert arrived
    assert emitted
    trace_id = emitted.decode().split("-")[1]
    assert arrived.decode().split("-")[1] == trace_id
    seen = await spans(
        collector, trace_id, "POST /webhooks/stripe", "commit stripe.events", "send billing.subscriptions"
    )
    way = ["POST /webhooks/stripe", "send stripe.events", "commit stripe.events", "send billing.subscriptions"]
    parents = ["", *(one(seen, name).span_id for name in way[:-1])]
    assert [one(seen, name).parent_id for name in way] == parents
    assert [one(seen, name).kind for name in way] == ["SERVER", "PRODUCER", "CONSUMER", "PRODUCER"]
    services = ["billstream-ingress", "billstream-ingress", "billstream-books", "billstream-relay"]
    assert [one(seen, name).service for name in way] == services
    assert emitted.decode() == f"00-{trace_id}-{one(seen, way[-1]).span_id}-01"
    assert {span.name for span in seen} == {*way, "verify", "seal"}
    begun = [one(seen, name).begun_ns for name in way]
    assert begun == sorted(begun)


async def test_the_batch_is_linked_with_its_facts_and_shows_both_waits(traced: Pipeline, collector: Collector) -> None:
    await traced.deliver(of_subscription(2, kind="created"))
    await traced.drained()
    arrived = await header(traced, "stripe.events", "fact_id", "evt_2")
    assert arrived
    _, trace_id, sent_id, _ = arrived.decode().split("-")
    fact = one(await spans(collector, trace_id, "commit stripe.events"), "commit stripe.events")

    (batch_trace, batch_id), *others = fact.links
    assert others == []
    seen = await spans(collector, batch_trace, "process stripe.events", "ask", "decide", "save")
    batch = one(seen, "process stripe.events")
    assert (batch.span_id, batch.kind, batch.parent_id) == (batch_id, "CONSUMER", "")
    assert (trace_id, sent_id) in batch.links
    assert batch.attributes["messaging.batch.message_count"] == len(batch.links)
    assert {one(seen, name).parent_id for name in ("ask", "decide", "save")} == {batch_id}
    assert one(seen, "ask").ended_ns <= one(seen, "decide").begun_ns <= one(seen, "save").begun_ns
    assert [one(seen, name).kind for name in ("ask", "save")] == ["CLIENT", "CLIENT"]
    assert one(seen, "save").ended_ns <= fact.ended_ns == batch.ended_ns


@pytest.mark.parametrize(
    ("number", "broken", "events"),
    [
        (3, {"status": ["Jenny Rosen"]}, {"fact parked"}),
        (4, {"items": {"data": [{"price": PRICE_OF_JENNY, "quantity": 1}]}}, {"fact cannot be applied", "fact parked"}),
    ],
    ids=["unreadable", "refused by postgresql"],
)
async def test_what_is_logged_about_a_fact_names_its_trace_and_its_place(
    traced: Pipeline, collector: Collector, number: int, broken: dict[str, Any], events: set[str]
) -> None:
    body = json.loads(json.dumps(of_subscription(number)))
    body["data"]["object"].update(broken)
    await traced.deliver(body)
    await traced.drained()

    name = f"evt_{number}"
    (record,) = [one for one in await records(traced, "stripe.events") if dict(one.headers)["fact_id"] == name.encode()]
    trace_id = dict(record.headers)["traceparent"].decode().split("-")[1]
    where = {"topic": "stripe.events", "partition": record.partition, "offset": record.offset}
    told = [line for line in lines(traced, "books-0") if line.get("fact_id") == name]
    assert {line["event"] for line in told} == events
    assert all({"trace_id": trace_id, "process": "books", **where}.items() <= line.items() for line in told)
    seen = await spans(collector, trace_id, "POST /webhooks/stripe", "send billing.parked")
    assert "Jenny" not in f"{seen}{told}"


async def test_a_stranger_cannot_choose_our_trace(traced: Pipeline, collector: Collector) -> None:
    headers = {"traceparent": STRANGERS, "Stripe-Signature": "t=1,v1=0"}
    async with traced.http.post(traced.stack.webhook_url, data=b"{}", headers=headers) as answer:
        assert answer.status == 400

    async def refused() -> list[Seen]:
        return [span for span in collector.spans if span.attributes.get("http.response.status_code") == 400]

    (span,) = await until(refused, SPANS_SECONDS_MAX, "the refusal is traced")
    assert (span.parent_id, span.links) == ("", ())
    assert span.trace_id not in STRANGERS


async def test_without_an_endpoint_no_message_and_no_row_knows_of_traces(tmp_path: Path) -> None:
    async with running(tmp_path / "home", names=NAMES, settings={"TRACE_SAMPLE_RATIO": "1"}) as pipeline:
        await pipeline.deliver(of_subscription(1, kind="created"))
        await pipeline.drained()

        for topic in ("stripe.events", "billing.subscriptions"):
            (found,) = await records(pipeline, topic)
            assert "traceparent" not in dict(found.headers)
        assert await pipeline.rows("SELECT traceparent FROM outbox") == [{"traceparent": None}]
