"""Faults on demand: a rule strikes the requests that it fits, so many of them or a share, by the dice.

What a fault leaves behind is told by its name: `error`, `hang` and `reset` strike before anything was done, `..._after`
when all was done and only the answer is lost.
"""

import fnmatch
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

from simulator.dice import Dice
from simulator.happenings import Json

HANG_SECONDS: Final = 600.0
SLOW_SECONDS: Final = 2.0


class FaultKind(StrEnum):
    """What goes wrong."""

    SLOW = "slow"  # Answered, but late.
    RATE_LIMIT = "rate_limit"  # 429, though nobody was too fast.
    ERROR = "error"  # 500, and nothing was done.
    ERROR_AFTER = "error_after"  # 500, and yet it was done.
    HANG = "hang"  # No answer, and nothing was done.
    HANG_AFTER = "hang_after"  # No answer, and yet it was done.
    RESET = "reset"  # The connection breaks, and nothing was done.
    RESET_AFTER = "reset_after"  # The connection breaks, and yet it was done.


AFTER: Final = frozenset({FaultKind.ERROR_AFTER, FaultKind.HANG_AFTER, FaultKind.RESET_AFTER})


@dataclass(slots=True)
class Fault:
    """One rule: which requests, how many of them, and what becomes of those."""

    kind: FaultKind
    method: str = "*"
    path: str = "*"  # As a shell would write it: /v1/checkout/*.
    count: int | None = None  # How many it still strikes; None has no end.
    share: float = 1.0
    seconds: float | None = None
    struck: int = 0

    @property
    def pause_seconds(self) -> float:
        """How long it keeps one waiting."""
        if self.seconds is not None:
            return self.seconds
        return SLOW_SECONDS if self.kind is FaultKind.SLOW else HANG_SECONDS

    def fits(self, method: str, path: str) -> bool:
        """Whether it may strike a request."""
        mine = fnmatch.fnmatchcase(method, self.method.upper()) and fnmatch.fnmatchcase(path, self.path)
        return mine and self.count != 0

    def strike(self) -> None:
        """Count one request that it struck."""
        self.struck += 1
        if self.count is not None:
            self.count -= 1

    def spare(self) -> None:
        """Take it back: the request was one that had its answer already."""
        self.struck -= 1
        if self.count is not None:
            self.count += 1


@dataclass(slots=True)
class Faults:
    """The rules, in the order in which they were given: the first that strikes, strikes alone."""

    dice: Dice
    rules: list[Fault] = field(default_factory=list)

    def add(self, rule: Json) -> Fault:
        """Take a rule as it was written; ValueError where it makes no sense."""
        fault = _read(rule)
        self.rules.append(fault)
        return fault

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self.rules.clear()

    def draw(self, method: str, path: str) -> Fault | None:
        """What becomes of this request, if anything does."""
        for rule in self.rules:
            if rule.fits(method, path) and self.dice.happens(rule.share):
                rule.strike()
                return rule
        return None

    def shown(self) -> list[Json]:
        """The rules as one reads them."""
        return [asdict(rule) for rule in self.rules]


def _read(rule: Json) -> Fault:
    unknown = rule.keys() - {"kind", "method", "path", "count", "share", "seconds"}
    if unknown:
        raise ValueError(f"A fault has no {min(unknown)!r}.")
    if "kind" not in rule or rule["kind"] not in set(FaultKind):
        raise ValueError(f"A fault needs a kind: one of {', '.join(FaultKind)}.")
    share = float(_of((int, float), rule, "share", 1.0))
    if not 0 <= share <= 1:
        raise ValueError(f"A fault's share is between 0 and 1, and not {share}.")
    return Fault(
        kind=FaultKind(rule["kind"]),
        method=_of(str, rule, "method", "*"),
        path=_of(str, rule, "path", "*"),
        count=_of(int, rule, "count", None),
        share=share,
        seconds=_of((int, float), rule, "seconds", None),
    )


def _of(kind: type | tuple[type, ...], rule: Json, name: str, otherwise: Any) -> Any:
    value = rule.get(name, otherwise)
    if value is not otherwise and (not isinstance(value, kind) or isinstance(value, bool)):
        raise ValueError(f"A fault's {name} cannot be {value!r}.")
    return value
