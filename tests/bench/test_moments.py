"""The server's moments and the stopwatch agree, and it is said when they do not."""

from datetime import timedelta

import pytest

from bench.moments import MOVED_SECONDS_MAX, Moments
from runtime import clock


def test_a_moment_lies_where_the_stopwatch_was() -> None:
    moments = Moments()

    began = clock.monotonic()
    moment = clock.now()
    ended = clock.monotonic()

    assert began - MOVED_SECONDS_MAX <= moments.on_stopwatch(moment) <= ended + MOVED_SECONDS_MAX
    assert moments.problems() == []


def test_a_clock_that_was_set_meanwhile_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    moments, now = Moments(), clock.now

    monkeypatch.setattr(clock, "now", lambda: now() + timedelta(milliseconds=40))

    (told,) = moments.problems()
    assert "wall clock was set by 40" in told or "wall clock was set by 39" in told
