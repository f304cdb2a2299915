"""The wall clock and the stopwatch.  Nobody else looks at either: time comes in as data."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """This moment, aware, in UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds since some moment in the past, never running backwards: for ages and limits, not for dates."""
    return time.monotonic()
