"""How quick is the whole: from the first request of a burst to the last commit, ours beside bare."""

from collections.abc import Sequence
from typing import Final

from bench.experiments.experiment import Case, Experiment, burst
from bench.figures import committed_per_second
from bench.gates import Verdict, at_least
from bench.results import Part

OURS: Final = "ours"
BARE: Final = "bare"
GOAL: Final = 0.85  # Beyond the gate: what the pipeline would like to reach.


def cases(quick: bool) -> Sequence[Case]:
    """The same burst on both."""
    load = burst(20_000, quick=quick)
    return Case(BARE, BARE, load), Case(OURS, OURS, load)


def judge(part: Part) -> Sequence[Verdict]:
    """Models, encryption, order and a relay of its own cost at most a third."""
    return (at_least("whole, ours to bare: committed/s", 0.65, part.ratios(OURS, BARE, committed_per_second)),)


EXPERIMENT: Final = Experiment(
    name="throughput",
    question="How many events a second end up in the books, and what does each cost?",
    rounds=5,
    cases=cases,
    judge=judge,
    minutes=3,
)
