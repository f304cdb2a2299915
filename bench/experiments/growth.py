"""What an event costs when a million subscribers are known, beside a thousand.

Two stacks stand side by side, equal but for the rows that are in them before.  The events are about subscribers who are
known already, drawn evenly: nobody is left to be served from a cache because he is a favourite.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bench.experiments.experiment import Case, Experiment, burst
from bench.figures import committed_per_second, cpu_us
from bench.gates import Verdict, at_most
from bench.results import Part

FEW: Final = 1_000
MANY: Final = 1_000_000
MANY_QUICK: Final = 5_000
KNOW_FEW: Final = "few known"
KNOW_MANY: Final = "many known"
RATIO_MAX: Final = 1.2

books_and_postgres_us: Final = cpu_us("books", "postgres")


def cases(quick: bool) -> Sequence[Case]:
    """The same burst among few and among many."""
    return [_case(KNOW_FEW, FEW, quick=quick), _case(KNOW_MANY, MANY_QUICK if quick else MANY, quick=quick)]


def judge(part: Part) -> Sequence[Verdict]:
    """Neither CPU nor time an event grows with what is known."""
    cpu = part.ratios(KNOW_MANY, KNOW_FEW, books_and_postgres_us)
    time = part.ratios(KNOW_FEW, KNOW_MANY, committed_per_second)
    return (
        at_most("1,000,000 known to 1,000: CPU an event", RATIO_MAX, cpu),
        at_most("1,000,000 known to 1,000: time an event", RATIO_MAX, time),
    )


def _case(variant: str, known: int, *, quick: bool) -> Case:
    load = replace(burst(60_000, quick=quick), known_subscribers=known)
    return Case(variant, "ours", load, stack=variant, known_subscribers=known)


EXPERIMENT: Final = Experiment(
    name="growth",
    question="What does an event cost at 1,000,000 known subscribers, beside 1,000?",
    rounds=5,
    cases=cases,
    judge=judge,
    minutes=10,
)
