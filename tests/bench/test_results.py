import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from bench.figures import accepted_per_second, committed_per_second
from bench.gates import Outcome
from bench.report import report, verdicts
from bench.results import Part, Results
from tests.support_bench import a_part, a_trial, all_parts

COLUMNS_MAX = 120


def test_results_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    results = all_parts()

    results.write(tmp_path / "results.json")

    assert Results.read(tmp_path / "results.json") == results


def test_results_are_for_everybody_to_read(tmp_path: Path) -> None:
    Results().write(tmp_path / "results.json")

    assert stat.S_IMODE((tmp_path / "results.json").stat().st_mode) == 0o644


def test_a_file_that_is_not_there_holds_no_results(tmp_path: Path) -> None:
    assert Results.read(tmp_path / "none.json") == Results()


def test_results_of_another_version_are_refused(tmp_path: Path) -> None:
    all_parts().write(tmp_path / "results.json")
    document = json.loads((tmp_path / "results.json").read_text())
    (tmp_path / "results.json").write_text(json.dumps(document | {"version": 2}))

    with pytest.raises(ValueError, match="version 2"):
        Results.read(tmp_path / "results.json")


def test_an_experiment_that_runs_again_replaces_its_own_part_only(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    all_parts().write(file)

    again = Results.read(file)
    again.parts["throughput"] = a_part("throughput", {"bare": 4.0, "ours": 8.0}, rounds=2)
    again.write(file)

    kept = Results.read(file)
    assert kept.parts["throughput"].rounds == 2
    assert kept.parts["latency"] == all_parts().parts["latency"]


def test_a_report_fits_into_120_columns() -> None:
    lines = report(all_parts()).splitlines()

    assert max(map(len, lines)) <= COLUMNS_MAX, max(lines, key=len)


def test_a_report_names_every_gate_its_rounds_and_its_outcome() -> None:
    results = all_parts()
    page = report(results)

    for verdict in verdicts(results):
        (row,) = [line for line in page.splitlines() if line.startswith(f"| {verdict.gate.name} ")]
        assert row.endswith(f"{verdict.outcome} |")


def test_a_report_shows_each_variant_with_its_number_of_rounds() -> None:
    page = report(Results(parts={"throughput": a_part("throughput", {"bare": 4.0, "ours": 5.0}, rounds=4)}))

    assert re.search(r"^\| bare +\| +4 \|", page, re.MULTILINE)
    assert re.search(r"^\| ours +\| +4 \|", page, re.MULTILINE)


def test_a_quick_run_is_marked_and_judged_by_no_gate() -> None:
    page = report(all_parts(quick=True))

    assert "A quick run" in page
    assert verdicts(all_parts(quick=True)) == []
    assert "## Gates" not in page


def test_a_report_hides_no_problem() -> None:
    part = a_part("throughput", {"bare": 4.0, "ours": 5.0})
    part.runs[1].trial.problems.append("2 events were accepted and never committed")
    part.broken.append("ours, round 3: TimeoutError")
    page = report(Results(parts={"throughput": part}))

    assert "ours, round 1: 2 events were accepted and never committed" in page
    assert "ours, round 3: TimeoutError" in page


def test_an_experiment_whose_trials_all_broke_is_reported_too() -> None:
    part = Part(
        "throughput", a_part("throughput", {}).machine, quick=False, rounds=5, broken=["bare, round 1: OSError"]
    )

    assert "bare, round 1: OSError" in report(Results(parts={"throughput": part}))


def test_of_nothing_there_is_a_report_without_gates() -> None:
    assert report(Results()).startswith("# What was measured")


def test_accepted_a_second_counts_copies_and_committed_a_second_does_not() -> None:
    trial = a_trial(seconds=10.0, events=10_000)

    assert accepted_per_second(trial) == pytest.approx(11_000 / 8)
    assert committed_per_second(trial) == pytest.approx(1_000)


def test_a_round_with_problems_counts_in_no_figure_and_lets_no_gate_be_met() -> None:
    part = a_part("burst", {"bare": 30.0, "ours": 50.0}, rounds=3)
    (lost,) = [run for run in part.runs if run.variant == "ours" and run.round == 2]
    part.runs[part.runs.index(lost)] = replace(lost, trial=replace(lost.trial, problems=["54,941 were not committed"]))
    (verdict,) = verdicts(Results(parts={"burst": part}))

    assert verdict.measured is not None
    assert verdict.measured.n == 2
    assert verdict.outcome is Outcome.MISSED

    part = a_part("burst", {"bare": 30.0, "ours": 40.0}, rounds=3)
    assert [one.outcome for one in verdicts(Results(parts={"burst": part}))] == [Outcome.MET]
    part.broken.append("bare, round 4: no Kafka")
    assert [one.outcome for one in verdicts(Results(parts={"burst": part}))] == [Outcome.BROKEN]
