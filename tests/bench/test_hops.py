"""The hops of an event are read off its spans: together they are the whole way, and a missing span invents none."""

from pathlib import Path

import pytest

from bench import hops
from bench.collector import Seen
from bench.hops import HOPS, Measured, Traces

FACT, BATCH = "f" * 32, "b" * 32
SAYS = "send billing.subscriptions"


def span(name: str, begun_ms: float, ended_ms: float, trace: str = FACT, parent: str = "") -> Seen:
    return Seen(
        service="billstream-test",
        name=name,
        kind="INTERNAL",
        trace_id=trace,
        span_id=name,
        parent_id=parent,
        begun_ns=int(begun_ms * 1e6),
        ended_ns=int(ended_ms * 1e6),
        links=((BATCH, "process stripe.events"),) if name == "commit stripe.events" else (),
        attributes={},
        failed=False,
    )


WAY = [
    span("POST /webhooks/stripe", 100, 104),
    span("send stripe.events", 101, 103),
    span("commit stripe.events", 107, 140),
    span("process stripe.events", 115, 140, BATCH),
    span("ask", 131, 133, BATCH, "process stripe.events"),
    span("decide", 133, 134, BATCH, "process stripe.events"),
    span("save", 134, 139, BATCH, "process stripe.events"),
    span(SAYS, 149, 152),
]


def without(*names: str) -> list[Seen]:
    return [one for one in WAY if one.name not in names]


def test_the_hops_of_an_event_are_its_whole_way() -> None:
    (event,) = Traces(WAY).events(since_ns=0)

    assert [event[hop] for hop in HOPS] == [1, 2, 4, 8, 16, 2, 1, 5, 39, 10, 3, 52]
    to_commit = HOPS[: HOPS.index("from the request to the commit")]
    assert sum(event[hop] for hop in to_commit) == event["from the request to the commit"]


def test_an_event_that_nobody_is_told_of_ends_with_its_commit() -> None:
    (event,) = Traces(without(SAYS)).events(since_ns=0)

    assert list(event) == list(HOPS[:9])


@pytest.mark.parametrize(
    "dropped", ["POST /webhooks/stripe", "send stripe.events", "commit stripe.events", "process stripe.events"]
)
def test_an_event_whose_spans_are_not_all_there_is_left_out(dropped: str) -> None:
    assert list(Traces(without(dropped)).events(since_ns=0)) == []


def test_what_came_before_the_measurement_is_no_part_of_it() -> None:
    assert list(Traces(WAY).events(since_ns=101 * 10**6)) == []


def test_too_few_events_have_no_99th_percentile() -> None:
    (event,) = Traces(WAY).events(since_ns=0)

    assert Measured(50, 1.0, [event] * 99).quantiles(HOPS[0]) is None
    assert Measured(50, 1.0, [event] * 100).quantiles(HOPS[0]) == (1, 1)


def test_writing_again_replaces_what_was_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{hops.BEGIN}\n{hops.END}\nafter\n")

    hops.write(page, "first")
    hops.write(page, "second")

    assert page.read_text() == f"before\n{hops.BEGIN}\n\nsecond\n\n{hops.END}\nafter\n"
