"""The virtual clock: whole seconds that pass only when the world says so, and a calendar in UTC.

Period n of a subscription ends n months after its anchor, clamped to the month's end; it is never reckoned from the
period before, else a subscription of the 31st would become one of the 28th for ever.
"""

import calendar
from datetime import UTC, datetime
from typing import Final

DAY_SECONDS: Final = 24 * 60 * 60
HOUR_SECONDS: Final = 60 * 60


def epoch(moment: datetime) -> int:
    """The whole seconds since 1970 of an aware *moment*."""
    return int(moment.timestamp())


def months_after(anchor_seconds: int, months: int) -> int:
    """The same day of the month and time of day as the anchor, *months* later, clamped to the month's last day."""
    anchor = datetime.fromtimestamp(anchor_seconds, UTC)
    year, month = divmod(anchor.year * 12 + anchor.month - 1 + months, 12)
    last_day = calendar.monthrange(year, month + 1)[1]
    return epoch(anchor.replace(year=year, month=month + 1, day=min(anchor.day, last_day)))


class VirtualClock:
    """A clock that stands still until it is moved, and never goes back."""

    def __init__(self, start_seconds: int) -> None:
        self.now = start_seconds

    def move_to(self, moment_seconds: int) -> None:
        """Let time pass until *moment_seconds*."""
        assert moment_seconds >= self.now, "time does not go back"
        self.now = moment_seconds
