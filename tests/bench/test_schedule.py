from collections import Counter

import pytest

from bench.experiments import ALL
from bench.schedule import turns


@pytest.mark.parametrize("name", ALL)
def test_every_case_runs_once_a_round(name: str) -> None:
    cases = ALL[name].cases(False)
    seen = Counter((turn.round, turn.case.variant) for turn in turns(cases, 5))

    assert seen == Counter({(number, case.variant): 1 for number in range(1, 6) for case in cases})


@pytest.mark.parametrize("name", ALL)
def test_every_other_round_goes_backwards(name: str) -> None:
    cases = ALL[name].cases(False)
    first, second, third = ([one.case for one in turns(cases, 3) if one.round == number] for number in (1, 2, 3))

    assert first == third == list(cases)
    assert second == list(cases)[::-1]


@pytest.mark.parametrize("name", ALL)
def test_cases_are_told_apart_by_their_variants(name: str) -> None:
    variants = [case.variant for case in ALL[name].cases(False)]

    assert len(variants) == len(set(variants))


@pytest.mark.parametrize("name", ALL)
def test_a_quick_run_has_less_to_do_in_cases_of_the_whole_run(name: str) -> None:
    whole = {case.variant: case for case in ALL[name].cases(False)}

    for case in ALL[name].cases(True):
        assert case.load.events < whole[case.variant].load.events
        assert (case.side, case.books, case.ingresses) == (
            whole[case.variant].side,
            whole[case.variant].books,
            whole[case.variant].ingresses,
        )


def test_a_rate_counts_requests_and_copies_are_requests() -> None:
    (case,) = [case for case in ALL["latency"].cases(False) if case.variant == "ours at 500/s"]

    assert case.load.events * (1 + case.load.duplicate_share) == pytest.approx(500 * 15, abs=1)
