"""Who runs when: every case once a round, and every other round backwards.

What the machine does meanwhile (heat, caches, a neighbour) then falls on all cases alike, and none always follows the
same other one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.experiments.experiment import Case


@dataclass(frozen=True, slots=True)
class Turn:
    """One trial to be run, and where in its experiment it stands."""

    round: int  # From 1.
    place: int  # From 1, within the round.
    case: Case


def turns(cases: Sequence[Case], rounds: int) -> Iterator[Turn]:
    """The trials of an experiment, in order."""
    for number in range(1, rounds + 1):
        ordered = cases if number % 2 else cases[::-1]
        for place, case in enumerate(ordered, start=1):
            yield Turn(number, place, case)
