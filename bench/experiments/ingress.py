"""How quick is the door: ours beside the least that a door can do, and beside Stripe's own check in its place."""

from collections.abc import Sequence
from typing import Final

from bench.experiments.experiment import Case, Experiment, burst
from bench.figures import ACCEPTED, ANSWER_P50, ANSWER_P99, accepted_per_second
from bench.gates import Verdict, at_least
from bench.results import Part

OURS: Final = "ours-ingress"
BARE: Final = "bare-ingress"
CONSTRUCT_EVENT: Final = "construct-event"


def cases(quick: bool) -> Sequence[Case]:
    """Bursts on each of the three doors; Stripe's own is slow enough to be seen with fewer."""
    whole, fewer = burst(15_000, quick=quick), burst(5_000, quick=quick)
    return Case(BARE, BARE, whole), Case(OURS, OURS, whole), Case(CONSTRUCT_EVENT, CONSTRUCT_EVENT, fewer)


def judge(part: Part) -> Sequence[Verdict]:
    """Close to bare, and far from Stripe's own check."""
    return (
        at_least("door, ours to bare: accepted/s", 0.80, part.ratios(OURS, BARE, accepted_per_second)),
        at_least(
            "door, ours to construct_event: accepted/s", 4, part.ratios(OURS, CONSTRUCT_EVENT, accepted_per_second)
        ),
    )


EXPERIMENT: Final = Experiment(
    name="ingress",
    question="How many webhooks a second does the door take?",
    rounds=5,
    cases=cases,
    judge=judge,
    minutes=3,
    columns=(ACCEPTED, ANSWER_P50, ANSWER_P99),
)
