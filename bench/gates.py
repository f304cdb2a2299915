"""The gates of the bench: what must hold, as rules over summaries, and whether it did.

A gate is judged by the median of the rounds, and where two sides are compared by the median of the rounds' ratios; the
spread stands beside it.  What was not measured is neither met nor missed.  A trial with problems (something lost, a
process ended) counts in no figure, and while there is one, what the others show meets no gate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.statistics import Summary


class Bound(StrEnum):
    """Which side of a limit is the good one."""

    AT_LEAST = ">="
    AT_MOST = "<="


class Outcome(StrEnum):
    """What became of a gate."""

    MET = "met"
    MISSED = "MISSED"
    BROKEN = "BROKEN"
    NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Gate:
    """One rule that the pipeline promises to keep."""

    name: str
    bound: Bound
    limit: float
    unit: str = ""

    def admits(self, value: float) -> bool:
        """Whether *value* keeps the rule; a value on the limit does."""
        return value >= self.limit if self.bound is Bound.AT_LEAST else value <= self.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate and what was measured of it."""

    gate: Gate
    measured: Summary | None
    broken: bool = False  # Whether a trial of the experiment had problems: then it may miss its gates, but meets none.

    @property
    def outcome(self) -> Outcome:
        """Whether the median kept the rule."""
        if self.measured is None:
            return Outcome.NOT_MEASURED
        if not self.gate.admits(self.measured.median):
            return Outcome.MISSED
        return Outcome.BROKEN if self.broken else Outcome.MET


def at_least(name: str, limit: float, measured: Summary | None, unit: str = "") -> Verdict:
    """The verdict on a rule that wants much."""
    return Verdict(Gate(name, Bound.AT_LEAST, limit, unit), measured)


def at_most(name: str, limit: float, measured: Summary | None, unit: str = "") -> Verdict:
    """The verdict on a rule that wants little."""
    return Verdict(Gate(name, Bound.AT_MOST, limit, unit), measured)


def all_met(verdicts: Sequence[Verdict]) -> bool:
    """Whether every gate was measured and met; of no gates, that is not so."""
    return bool(verdicts) and all(verdict.outcome is Outcome.MET for verdict in verdicts)
