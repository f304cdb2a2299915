"""Our histogram shows what the library's shows."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from runtime.metrics import LATENCY_SECONDS_BUCKETS, LoopHistogram

amounts = st.one_of(st.sampled_from((0.0, *LATENCY_SECONDS_BUCKETS, 1e9)), st.floats(0, 100))


@given(st.lists(amounts))
def test_a_loops_histogram_shows_what_the_librarys_shows(observed: list[float]) -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    for histogram in (
        Histogram("said", "How long", buckets=LATENCY_SECONDS_BUCKETS, registry=theirs),
        LoopHistogram("said", "How long", buckets=LATENCY_SECONDS_BUCKETS, registry=ours),
    ):
        for amount in observed:
            histogram.observe(amount)

    assert generate_latest(ours).splitlines() == [
        line for line in generate_latest(theirs).splitlines() if b"_created" not in line
    ]
