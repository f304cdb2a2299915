"""What was measured, as a file: every trial of every round, with the machine it ran on.

Trials are kept, not their medians: whoever doubts a median can take another.  An experiment's part of the file is
replaced as a whole when it runs again, so that a broken run costs its own part and no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from pydantic import TypeAdapter

from bench.figures import Pick
from bench.machine import Machine
from bench.statistics import Summary, ratios, summary
from bench.trial import Trial
from ops.local import folders

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Run:
    """One trial, and where in its experiment it stood."""

    variant: str  # The side, and what else was different about it.
    round: int  # From 1.
    place: int  # Its turn within the round, from 1: order alternates.
    trial: Trial


@dataclass(slots=True)
class Part:
    """What one experiment measured so far."""

    experiment: str
    machine: Machine
    quick: bool  # Tiny sizes, to see that everything works: no gate is judged by it.
    rounds: int  # How many were asked for.
    runs: list[Run] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)  # Trials that ended in an error, and with which.

    @property
    def variants(self) -> list[str]:
        """Every variant that has a trial, in the order of the first round."""
        return list(dict.fromkeys(run.variant for run in sorted(self.runs, key=lambda run: (run.round, run.place))))

    def trials(self, variant: str) -> list[Trial]:
        """The trials of *variant* that are worth something, round by round: those without problems."""
        return [run.trial for run in self._in_order(variant)]

    def summary(self, variant: str, pick: Pick) -> Summary | None:
        """What *pick* saw in the trials of *variant*; None when there were none."""
        trials = self.trials(variant)
        return summary(map(pick, trials)) if trials else None

    def ratios(self, ours: str, theirs: str, pick: Pick) -> Summary | None:
        """What *pick* saw of *ours* to what it saw of *theirs*, in the rounds that have both; None when none has."""
        mine = {run.round: pick(run.trial) for run in self._in_order(ours)}
        others = {run.round: pick(run.trial) for run in self._in_order(theirs)}
        both = sorted(mine.keys() & others.keys())
        return ratios([mine[one] for one in both], [others[one] for one in both]) if both else None

    def problems(self) -> list[str]:
        """Everything that should not have been, by trial."""
        seen = [f"{run.variant}, round {run.round}: {problem}" for run in self.runs for problem in run.trial.problems]
        return seen + self.broken

    def _in_order(self, variant: str) -> Sequence[Run]:
        worth = (run for run in self.runs if run.variant == variant and not run.trial.problems)
        return sorted(worth, key=lambda run: run.round)


@dataclass(slots=True)
class Results:
    """One file of results."""

    version: int = VERSION
    parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The results in *path*; none yet when there is no such file."""
        if not path.exists():
            return cls()
        found = TypeAdapter(cls).validate_json(path.read_bytes())
        if found.version != VERSION:
            raise ValueError(f"{path.name} is of version {found.version}; this bench reads version {VERSION}.")
        return found

    def write(self, path: Path) -> None:
        """These results in *path*, whole or not at all."""
        text = TypeAdapter(type(self)).dump_json(self, indent=1).decode()
        folders.write_privately(path, f"{text}\n").chmod(0o644)  # Results are for everybody to read.

    @property
    def quick(self) -> bool:
        """Whether any part of it is too small to be judged."""
        return any(part.quick for part in self.parts.values())
