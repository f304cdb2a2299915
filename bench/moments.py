"""The database's moments on the stopwatch that everything else of a trial is timed by: both run on this machine."""

from datetime import datetime
from typing import Final

from runtime import clock

READINGS: Final = 20
MOVED_SECONDS_MAX: Final = 0.001
"""By so much the two may have moved against each other meanwhile; more, and somebody has set the wall clock."""


class Moments:
    """What the wall clock says, told as what the stopwatch says then."""

    def __init__(self) -> None:
        self._ahead = _ahead()

    def on_stopwatch(self, moment: datetime) -> float:
        """The stopwatch at *moment*."""
        return moment.timestamp() - self._ahead

    def problems(self) -> list[str]:
        """Whether what was told is wrong, because the wall clock was set since."""
        moved = abs(_ahead() - self._ahead)
        return [f"the wall clock was set by {moved * 1e3:.1f} ms meanwhile"] if moved > MOVED_SECONDS_MAX else []


def _ahead() -> float:
    """By how much the wall clock is ahead, from the reading that took least."""
    return min((_reading() for _ in range(READINGS)), key=lambda reading: reading[0])[1]


def _reading() -> tuple[float, float]:
    began = clock.monotonic()
    wall = clock.now().timestamp()
    ended = clock.monotonic()
    return ended - began, wall - (began + ended) / 2
