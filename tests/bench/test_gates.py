import pytest

from bench.experiments import ALL, burst, growth, ingress, latency, memory, throughput
from bench.gates import Outcome, Verdict, all_met, at_least, at_most
from bench.results import Part
from bench.statistics import summary
from tests.support_bench import a_part, all_parts


def outcomes(experiment: str, seconds_of: dict[str, float]) -> list[Outcome]:
    return [verdict.outcome for verdict in ALL[experiment].judge(a_part(experiment, seconds_of))]


def latencies(p99_ms_of: dict[str, float]) -> list[Outcome]:
    return outcomes("latency", {variant: p99_ms / 4 for variant, p99_ms in p99_ms_of.items()})


def test_a_gate_is_met_on_its_limit() -> None:
    assert at_least("fast", 0.8, summary([0.8])).outcome is Outcome.MET
    assert at_most("slow", 1.2, summary([1.2])).outcome is Outcome.MET


def test_a_gate_is_missed_beyond_its_limit() -> None:
    assert at_least("fast", 0.8, summary([0.79])).outcome is Outcome.MISSED
    assert at_most("slow", 1.2, summary([1.21])).outcome is Outcome.MISSED


def test_a_gate_is_judged_by_the_median_and_not_by_the_best_round() -> None:
    assert at_least("fast", 0.8, summary([0.7, 0.75, 0.99])).outcome is Outcome.MISSED


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert at_least("fast", 0.8, None).outcome is Outcome.NOT_MEASURED


def test_gates_are_all_met_only_when_each_was_measured_and_met() -> None:
    met, missed, unknown = (at_least("fast", 1, measured) for measured in (summary([1]), summary([0]), None))

    assert all_met([met, met])
    assert not all_met([met, missed])
    assert not all_met([met, unknown])
    assert not all_met([])


@pytest.mark.parametrize(("ours_seconds", "outcome"), [(4.9, Outcome.MET), (5.1, Outcome.MISSED)])
def test_our_door_takes_four_fifths_of_what_a_bare_one_takes(ours_seconds: float, outcome: Outcome) -> None:
    seen = {ingress.BARE: 4.0, ingress.OURS: ours_seconds, ingress.CONSTRUCT_EVENT: 40.0}

    assert outcomes("ingress", seen) == [outcome, Outcome.MET]


@pytest.mark.parametrize(("stripes_seconds", "outcome"), [(16.1, Outcome.MET), (15.9, Outcome.MISSED)])
def test_our_door_takes_four_times_what_stripes_own_check_takes(stripes_seconds: float, outcome: Outcome) -> None:
    seen = {ingress.BARE: 4.0, ingress.OURS: 4.0, ingress.CONSTRUCT_EVENT: stripes_seconds}

    assert outcomes("ingress", seen) == [Outcome.MET, outcome]


@pytest.mark.parametrize(("ours_seconds", "outcome"), [(6.1, Outcome.MET), (6.2, Outcome.MISSED)])
def test_the_whole_commits_two_thirds_of_what_bare_parts_commit(ours_seconds: float, outcome: Outcome) -> None:
    assert outcomes("throughput", {throughput.BARE: 4.0, throughput.OURS: ours_seconds}) == [outcome]


def test_at_500_a_second_a_commit_is_near_bare_and_quick() -> None:
    slow_for_bare = {"bare at 500/s": 10.0, "ours at 500/s": 21.0, "ours at 2000/s": 100.0}
    slow_for_all = {"bare at 500/s": 30.0, "ours at 500/s": 41.0, "ours at 2000/s": 100.0}

    assert latencies(slow_for_bare)[:2] == [Outcome.MISSED, Outcome.MET]
    assert latencies(slow_for_all)[:2] == [Outcome.MET, Outcome.MISSED]


def test_at_2_000_a_second_a_commit_may_take_a_quarter_of_a_second() -> None:
    calm = {"bare at 500/s": 10.0, "ours at 500/s": 20.0, "ours at 2000/s": 12.0}

    assert latencies(calm) == [Outcome.MET] * 4
    assert latencies(calm | {"ours at 2000/s": 251.0})[2] is Outcome.MISSED


def test_nothing_piles_up_at_2_000_a_second() -> None:
    behind_by_a_fifth = latency.variant(latency.OURS, 2_000)

    assert outcomes("latency", {behind_by_a_fifth: 4.5})[3] is Outcome.MET
    assert outcomes("latency", {behind_by_a_fifth: 5.5})[3] is Outcome.MISSED


def test_a_storm_is_over_in_45_seconds_or_in_half_as_much_again_as_bare_takes() -> None:
    assert outcomes("burst", {burst.BARE: 10.0, burst.OURS: 43.0}) == [Outcome.MET]
    assert outcomes("burst", {burst.BARE: 10.0, burst.OURS: 47.0}) == [Outcome.MISSED]
    assert outcomes("burst", {burst.BARE: 40.0, burst.OURS: 59.0}) == [Outcome.MET]
    assert outcomes("burst", {burst.BARE: 40.0, burst.OURS: 61.0}) == [Outcome.MISSED]


def test_an_event_costs_no_more_among_many_than_among_few() -> None:
    assert outcomes("growth", {growth.KNOW_FEW: 5.0, growth.KNOW_MANY: 5.9}) == [Outcome.MET, Outcome.MET]
    assert outcomes("growth", {growth.KNOW_FEW: 5.0, growth.KNOW_MANY: 6.1}) == [Outcome.MET, Outcome.MISSED]


def test_memory_that_grows_to_the_end_is_missed_by_the_process_that_grows() -> None:
    part = all_parts().parts["memory"]
    part.runs[0].trial.rss_series_mb["books"] = [(second, 100.0 + second) for second in range(60)]
    part.runs = part.runs[:1]

    judged = {verdict.gate.name: verdict.outcome for verdict in memory.judge(part)}
    missed = "memory of books: end to warm"
    assert judged.pop(missed) == Outcome.MISSED
    assert set(judged.values()) == {Outcome.MET}


@pytest.mark.parametrize("name", ALL)
def test_an_experiment_that_was_not_run_meets_no_gate(name: str) -> None:
    part = Part(name, all_parts().parts[name].machine, quick=False, rounds=5)

    assert {verdict.outcome for verdict in ALL[name].judge(part)} <= {Outcome.NOT_MEASURED}


def test_rounds_that_have_one_side_only_are_left_out_of_a_ratio() -> None:
    part = a_part("throughput", {throughput.BARE: 4.0, throughput.OURS: 5.0})
    part.runs = [run for run in part.runs if (run.variant, run.round) != (throughput.BARE, 2)]

    (verdict,) = ALL["throughput"].judge(part)

    assert isinstance(verdict, Verdict)
    assert verdict.measured is not None
    assert verdict.measured.n == 2
