from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.statistics import growth, ratios, summary

measured = st.lists(st.floats(min_value=0.001, max_value=1e9), min_size=1, max_size=40)


def test_a_summary_holds_the_middle_the_quartiles_and_the_extremes() -> None:
    seen = summary([5, 1, 4, 2, 3])

    assert (seen.n, seen.low, seen.quartile_low, seen.median, seen.quartile_high, seen.high) == (5, 1, 2, 3, 4, 5)


def test_one_round_is_its_own_spread() -> None:
    seen = summary([7.5])

    assert (seen.n, seen.low, seen.quartile_low, seen.median, seen.quartile_high, seen.high) == (1, *[7.5] * 5)


def test_of_nothing_nothing_is_said() -> None:
    with pytest.raises(ValueError, match="Nothing was measured"):
        summary([])


@given(measured)
def test_a_summary_never_leaves_its_own_order(values: list[float]) -> None:
    seen = summary(values)

    assert seen.low <= seen.quartile_low <= seen.median <= seen.quartile_high <= seen.high


@given(measured, st.randoms())
def test_the_order_of_rounds_does_not_matter_to_a_summary(values: list[float], random: Random) -> None:
    shuffled = values[:]
    random.shuffle(shuffled)

    assert summary(shuffled) == summary(values)


def test_a_round_that_was_slow_for_both_sides_does_not_change_their_ratio() -> None:
    ours, bare = [800.0, 400.0, 80.0], [1000.0, 500.0, 100.0]

    assert ratios(ours, bare).low == ratios(ours, bare).high == pytest.approx(0.8)


def test_rounds_without_a_partner_are_no_ratio() -> None:
    with pytest.raises(ValueError, match="2 rounds cannot be paired with 1"):
        ratios([1.0, 2.0], [1.0])


def test_memory_that_rises_while_starting_is_flat() -> None:
    assert growth([10, 60, *[100] * 18]) == pytest.approx(1.0)


def test_memory_that_rises_to_the_end_is_not_flat() -> None:
    assert growth([100 + 5 * step for step in range(20)]) == pytest.approx(187.5 / 127.5)


def test_a_single_peak_is_no_growth() -> None:
    assert growth([*[100] * 19, 900]) == pytest.approx(1.0)


def test_a_few_looks_say_nothing_of_growth() -> None:
    with pytest.raises(ValueError, match="too few"):
        growth([100.0] * 9)
