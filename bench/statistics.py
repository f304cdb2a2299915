"""Median and spread of a few rounds, and whether a long series is flat.

Rounds are few and the machine is shared, so nothing here assumes a shape: the middle, the quartiles and the extremes.
What two sides did is compared round by round: whatever slowed a whole round slowed both, and cancels out.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

FIFTHS: Final = 5
POINTS_MIN: Final = 2 * FIFTHS  # With fewer, a fifth of a series would be one look.


@dataclass(frozen=True, slots=True)
class Summary:
    """What some rounds measured: how many, their middle, and how far they lie apart."""

    n: int
    median: float
    low: float  # The smallest.
    quartile_low: float
    quartile_high: float
    high: float  # The largest.


def summary(values: Iterable[float]) -> Summary:
    """Median, quartiles (inclusive: the extremes are part of what was seen) and extremes of at least one value."""
    seen = sorted(values)
    if not seen:
        raise ValueError("Nothing was measured, so nothing can be said of it.")
    first, _, third = statistics.quantiles(seen, n=4, method="inclusive") if len(seen) > 1 else seen * 3
    return Summary(len(seen), statistics.median(seen), seen[0], first, third, seen[-1])


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Summary:
    """*ours* to *theirs*, round by round; both hold one value a round, in the same order."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} rounds cannot be paired with {len(theirs)}.")
    return summary(mine / other for mine, other in zip(ours, theirs, strict=True))


def warm_and_end(series: Sequence[float]) -> tuple[float, float]:
    """The medians of the second and of the last fifth of a series.

    The first fifth is left out: there a process loads its code, fills its caches and meets its first full batch.
    """
    if len(series) < POINTS_MIN:
        raise ValueError(f"{len(series)} looks are too few to tell a flat series from a rising one.")
    fifth = len(series) // FIFTHS
    return statistics.median(series[fifth : 2 * fifth]), statistics.median(series[-fifth:])


def growth(series: Sequence[float]) -> float:
    """How many times of what was held when warm is held at the end.

    Of a steady leak it sees six tenths: above 1.1 when all of the run leaks more than 18 % of what the process began
    with, which is 18 bytes an event at 100 MB and a million events.
    """
    warm, end = warm_and_end(series)
    return end / warm
