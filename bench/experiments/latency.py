"""How long does one event take: from the moment its request was due to its commit, at three rates."""

from collections.abc import Sequence
from typing import Final

from bench.experiments.experiment import Case, Experiment, steady
from bench.figures import ANSWER_P99, BEHIND, COMMIT_P50, COMMIT_P99, LAG_SECONDS_MAX, commit_ms_p99, seconds_behind
from bench.gates import Verdict, at_most
from bench.results import Part

OURS: Final = "ours"
BARE: Final = "bare"
RATES: Final = (50, 500, 2_000)
SECONDS: Final = 15.0


def variant(side: str, rate_per_second: int) -> str:
    """What a side at a rate is called in the results."""
    return f"{side} at {rate_per_second}/s"


def cases(quick: bool) -> Sequence[Case]:
    """Both sides at each rate; the rates go up together, so that the two at one rate stand side by side."""
    return [
        Case(variant(side, rate), side, steady(rate, SECONDS, quick=quick)) for rate in RATES for side in (BARE, OURS)
    ]


def judge(part: Part) -> Sequence[Verdict]:
    """At 500/s near bare and quick for anybody; at 2,000/s still calm."""
    usual, busy = variant(OURS, 500), variant(OURS, 2_000)
    to_bare = part.ratios(usual, variant(BARE, 500), commit_ms_p99)
    return (
        at_most("500/s, ours to bare: commit p99", 2, to_bare),
        at_most("500/s: commit p99", 40, part.summary(usual, commit_ms_p99), "ms"),
        at_most("2,000/s: commit p99", 250, part.summary(busy, commit_ms_p99), "ms"),
        at_most("2,000/s: last commit after last answer", LAG_SECONDS_MAX, part.summary(busy, seconds_behind), "s"),
    )


EXPERIMENT: Final = Experiment(
    name="latency",
    question="How long after it was due is an event in the books?",
    rounds=5,
    cases=cases,
    judge=judge,
    minutes=13,
    columns=(COMMIT_P50, COMMIT_P99, ANSWER_P99, BEHIND),
)
