"""A silence is heard of soon, and ordinary days are no silence."""

import random
from datetime import timedelta
from math import exp, log
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import silence
from models.silence import CLEARED_AT, DAYS, DAYS_MIN, RAISED_AT, USUAL_SHARE, WINDOWS, Window

MINUTE = timedelta(minutes=1)
DAY_MINUTES = 24 * 60
SEEDS = range(12)


def poisson(dice: random.Random, mean: float) -> int:
    """Knuth's way, in pieces small enough for it."""
    count = 0
    while mean > 0:
        piece, limit, product = min(mean, 30.0), exp(-min(mean, 30.0)), dice.random()
        while product > limit:
            count, product = count + 1, product * dice.random()
        mean -= piece
    return count


def minutes_of(dice: random.Random, days: int, a_minute: float) -> list[int]:
    """Webhooks by the minute: quiet nights, weekends at half, and now and then a crowd of renewals."""
    counts = []
    for minute in range(days * DAY_MINUTES):
        hour, day = minute // 60 % 24, minute // DAY_MINUTES
        rate = a_minute * (0.3 if hour < 6 else 1.0) * (0.5 if day % 7 >= 5 else 1.0)
        crowd = 20 if dice.random() < 0.002 else 1
        counts.append(poisson(dice, rate * crowd))
    return counts


def windows_at(counts: list[int], minute: int) -> list[Window]:
    """What `store.alarms` would count at that minute."""
    found = []
    for length in WINDOWS:
        width = int(length / MINUTE)
        sums = [sum(counts[at - width : at]) for ago in range(DAYS + 1) if (at := minute - ago * DAY_MINUTES) >= width]
        found.append(Window(length, sums[0], tuple(sums[1:])))
        if silence.enough(found[-1]):
            break
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_three_weeks_as_usual_raise_nothing_whatever_the_rate(seed: int) -> None:
    dice = random.Random(seed)
    counts = minutes_of(dice, 21, dice.choice((0.01, 0.2, 2.0, 10.0)))

    raised = [
        minute
        for minute in range(6 * 60, len(counts), 7)
        if silence.silent(windows_at(counts, minute), was=False) is not None
    ]
    assert raised == []


@pytest.mark.parametrize("seed", SEEDS)
def test_when_webhooks_stop_at_a_lively_rate_it_is_heard_of_within_a_quarter_of_an_hour(seed: int) -> None:
    dice = random.Random(seed)
    counts = minutes_of(dice, 12, 30.0)
    stopped = dice.randrange(8 * DAY_MINUTES, 11 * DAY_MINUTES)
    counts[stopped:] = [0] * (len(counts) - stopped)

    heard = next(
        minute for minute in range(stopped, len(counts)) if silence.silent(windows_at(counts, minute), was=False)
    )
    assert heard - stopped <= 15


@pytest.mark.parametrize("seed", SEEDS)
def test_when_they_come_again_it_is_over_within_an_hour(seed: int) -> None:
    dice = random.Random(seed)
    counts = minutes_of(dice, 12, 30.0)
    stopped = dice.randrange(8 * DAY_MINUTES, 10 * DAY_MINUTES)
    counts[stopped : stopped + 90] = [0] * 90

    over = next(
        minute
        for minute in range(stopped + 90, len(counts))
        if silence.silent(windows_at(counts, minute), was=True) is None
    )
    assert over - (stopped + 90) <= 60


@given(st.lists(st.integers(0, 10_000), max_size=DAYS), st.integers(0, 10_000))
def test_who_is_young_or_as_loud_as_the_quietest_day_is_not_silent(before: list[int], now: int) -> None:
    window = Window(WINDOWS[0], now, tuple(before))

    if len(before) < DAYS_MIN or now >= min(before):
        assert window.surprise == 0
        assert silence.silent([window], was=True) is None


@given(st.integers(1, 2_000), st.integers(0, 2_000))
def test_the_surprise_never_claims_more_than_is_true(expected: int, now: int) -> None:
    """It bounds the probability of so few from above."""
    window = Window(WINDOWS[0], now, (round(expected / USUAL_SHARE),) * DAYS_MIN)
    if now >= expected:
        return
    logs, term = [], -float(expected)
    for count in range(now + 1):
        if count:
            term += log(expected) - log(count)
        logs.append(term)
    top = max(logs)
    true = top + log(sum(exp(one - top) for one in logs))

    assert true <= -window.surprise + 1e-6


def test_it_takes_more_to_be_loud_again_than_not_to_be_silent() -> None:
    between = next(
        Window(WINDOWS[0], now, (100,) * DAYS_MIN)
        for now in range(50)
        if CLEARED_AT < Window(WINDOWS[0], now, (100,) * DAYS_MIN).surprise < RAISED_AT
    )

    assert silence.silent([between], was=False) is None
    assert silence.silent([between], was=True) is between
    assert fmean(between.before) == 100
