"""What does tracing cost: off, on for one event in a hundred, and on for every event."""

from collections.abc import Sequence
from typing import Final

from bench.experiments.experiment import Case, Experiment, burst, ungated

OFF: Final = "tracing off"
ONE_IN_A_HUNDRED: Final = "tracing 1 %"
ALL: Final = "tracing 100 %"


def cases(quick: bool) -> Sequence[Case]:
    """The same burst with each."""
    load = burst(15_000, quick=quick)
    return (
        Case(OFF, "ours", load),
        Case(ONE_IN_A_HUNDRED, "ours", load, settings={"TRACE_SAMPLE_RATIO": "0.01"}, collects_traces=True),
        Case(ALL, "ours", load, settings={"TRACE_SAMPLE_RATIO": "1"}, collects_traces=True),
    )


EXPERIMENT: Final = Experiment(
    name="trace",
    question="What does tracing cost?",
    rounds=5,
    cases=cases,
    judge=ungated,
    minutes=5,
)
