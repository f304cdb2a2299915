from hypothesis import given
from hypothesis import strategies as st

from runtime.stripe_patience import Patience

PATIENCE = Patience(retries_max=5, pause_seconds_first=0.5, pause_seconds_max=4.0)
dice = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 5), dice)
def test_a_pause_is_drawn_evenly_below_a_ceiling_that_doubles_up_to_a_limit(tries: int, die: float) -> None:
    pause = PATIENCE.pause(tries, left_seconds=60, die=die)

    assert pause == die * min(4.0, 0.5 * 2 ** (tries - 1))


@given(st.integers(1, 5), dice, st.floats(0, 60))
def test_nobody_comes_back_earlier_than_stripe_asked_and_not_much_later(tries: int, die: float, asked: float) -> None:
    pause = PATIENCE.pause(tries, left_seconds=100, die=die, after_seconds=asked)

    assert pause is not None
    assert asked <= pause < asked + 0.5 + 1e-9


@given(st.integers(1, 20), dice, st.floats(0, 10), st.none() | st.floats(0, 10))
def test_a_pause_never_outlasts_what_the_caller_has_left(
    tries: int, die: float, left: float, asked: float | None
) -> None:
    pause = PATIENCE.pause(tries, left, die, asked)

    assert pause is None or pause < left


@given(dice)
def test_tries_come_to_an_end(die: float) -> None:
    assert PATIENCE.pause(6, left_seconds=1e9, die=die) is None
