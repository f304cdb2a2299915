"""Silence: fewer webhooks than the same hours of the days before lets expect.

How many come in a window of time is held against the quietest of the same hours of the week before.  Were half of its
rate the rate, and webhooks came independently of each other, so few would come with a probability of at most
exp(-surprise) (Chernoff's bound for a Poisson variable).  They do not come independently: renewals come in crowds, and
the one Sunday of the week before may have had one.  So half of the quietest day is the measure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import log
from typing import Final

DAYS: Final = 7
DAYS_MIN: Final = DAYS
"""Whoever has not run for a whole week does not know how quiet a Sunday is."""

WINDOWS: Final = (timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))
"""The shortest tells soonest, the longest hears of those who have few webhooks."""

MANY: Final = 200
"""So many in the quietest of a window's days: a longer window would tell nothing that this one does not."""

USUAL_SHARE: Final = 0.5
"""What is still usual, of the quietest day: half of it may have been a crowd."""

RAISED_AT: Final = 14.0
"""Less than once in a million windows."""

CLEARED_AT: Final = 3.0


@dataclass(frozen=True, slots=True)
class Window:
    """How many webhooks came in a window until now, and in the same hours of the days before, as far as we ran."""

    length: timedelta
    now: int
    before: tuple[int, ...]

    @property
    def quietest(self) -> int:
        """What came on the quietest of those days; nothing, when there are too few to say."""
        return min(self.before) if len(self.before) >= DAYS_MIN else 0

    @property
    def surprise(self) -> float:
        """How unlikely so few are, as the negative natural logarithm of a bound of the probability."""
        expected = self.quietest * USUAL_SHARE
        if self.now >= expected:
            return 0.0
        few = self.now * log(self.now / expected) if self.now else 0.0
        return expected - self.now + few


def silent(windows: Sequence[Window], *, was: bool) -> Window | None:
    """The window that is too quiet, if one is; once it *was*, it takes more to be loud again."""
    limit = CLEARED_AT if was else RAISED_AT
    return max((one for one in windows if one.surprise >= limit), key=lambda one: one.surprise, default=None)


def enough(window: Window) -> bool:
    """Whether this window tells all that a longer one would."""
    return window.quietest >= MANY
