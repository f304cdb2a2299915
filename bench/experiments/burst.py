"""A storm: a hundred thousand webhooks as fast as the door takes them, and when the last of them is in the books."""

from collections.abc import Sequence
from typing import Final

from bench.experiments.experiment import Case, Experiment, burst
from bench.figures import BEHIND, BEHIND_MAX, COMMITTED, COMMITTED_SECONDS, committed_seconds
from bench.gates import Verdict, at_most
from bench.results import Part

OURS: Final = "ours"
BARE: Final = "bare"
EVENTS: Final = 100_000
SECONDS_MAX: Final = 45.0
TIMES_BARE_MAX: Final = 1.5


def cases(quick: bool) -> Sequence[Case]:
    """The same storm on both."""
    load = burst(EVENTS, quick=quick)
    return Case(BARE, BARE, load), Case(OURS, OURS, load)


def judge(part: Part) -> Sequence[Verdict]:
    """In 45 s; on a machine where bare itself is slow, in one and a half times what that takes."""
    bare = part.summary(BARE, committed_seconds)
    limit = max(SECONDS_MAX, TIMES_BARE_MAX * bare.median) if bare else SECONDS_MAX
    return (at_most("100,000 webhooks: all committed", limit, part.summary(OURS, committed_seconds), "s"),)


EXPERIMENT: Final = Experiment(
    name="burst",
    question="How long does a storm of 100,000 webhooks take?",
    rounds=3,
    cases=cases,
    judge=judge,
    minutes=5,
    columns=(COMMITTED, COMMITTED_SECONDS, BEHIND, BEHIND_MAX),
)
