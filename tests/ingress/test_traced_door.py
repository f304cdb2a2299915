"""What the door tells of a request that is sampled, also when it has to refuse it."""

import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from bench.collector import Collector, Seen
from tests.ingress.support import Door, event, post

SPANS_SECONDS_MAX = 20


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with Collector() as collector:
        yield collector


@pytest.fixture
def traced_door(
    own_door: Callable[..., Door], collector: Collector, free_port: Callable[[], int]
) -> Callable[[str], Door]:
    """A door without a Kafka, that draws this share of the requests."""
    return lambda ratio: own_door(
        bootstrap_servers=f"127.0.0.1:{free_port()}",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        OTEL_BSP_SCHEDULE_DELAY="100",
        TRACE_SAMPLE_RATIO=ratio,
    )


async def spans_of(collector: Collector, client: aiohttp.ClientSession, door: Door, name: str) -> dict[str, Seen]:
    """The spans of the one trace that has a span of this name, once it is there."""
    deadline = time.monotonic() + SPANS_SECONDS_MAX
    while not (found := [span for span in collector.spans if span.name == name]):
        assert time.monotonic() < deadline, collector.spans
        async with client.get(f"http://127.0.0.1:{door.port}/livez") as answer:  # Spans come while we wait for it.
            assert answer.status == 200
    (first,) = found
    return {span.name: span for span in collector.spans if span.trace_id == first.trace_id}


async def test_a_request_that_kafka_did_not_take_is_a_failure_in_its_trace(
    traced_door: Callable[[str], Door], collector: Collector, client: aiohttp.ClientSession
) -> None:
    door = traced_door("1")

    assert await post(client, door, event("evt_1")) == 503

    spans = await spans_of(collector, client, door, "POST /webhooks/stripe")
    request, send = spans["POST /webhooks/stripe"], spans["send stripe.events"]
    assert (request.failed, request.attributes["http.response.status_code"]) == (True, 503)
    assert (send.failed, send.attributes["error.type"]) == (True, "Unacknowledged")
    assert send.attributes["messaging.message.id"] == "evt_1"
    assert [spans[name].failed for name in ("verify", "seal")] == [False, False]


async def test_a_door_that_draws_nobody_has_no_trace_and_answers_as_ever(
    traced_door: Callable[[str], Door], collector: Collector, client: aiohttp.ClientSession
) -> None:
    door = traced_door("0")

    assert await post(client, door, event("evt_1")) == 503

    assert door.close() == [0]  # Whatever was drawn is sent by now.
    assert collector.spans == []
