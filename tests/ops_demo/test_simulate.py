"""`billing simulate` as a person types it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from ops.simulate import days, share
from tests.support_ops_commands import billing


@pytest.mark.e2e
def test_a_scenario_of_ones_own_with_everything_that_may_go_wrong_agrees_in_the_end(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        """
        about: Somebody pays, and somebody wants it back.
        subscribers: 12
        arrive: 0d..10d
        days: 30
        lives:
          pays:
            steps:
              - checkout: {buy: mid_monthly}
          wants_it_back:
            steps:
              - checkout: {buy: credits_500}
              - wait: 1d..5d
              - refund: {part: 0.5}
        """
    )
    home = tmp_path / "home"
    wrong = ["--shuffle", "--duplicate", "20%", "--drop", "10%", "--advance", "2mo", "--seed", "5"]
    ended = subprocess.run(
        [sys.executable, "-m", "ops.cli", "simulate", str(mine), *wrong, "--home", str(home), "--json"],
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        timeout=200,
        check=False,
    )

    told = json.loads(ended.stdout)
    assert told["problems"] == []
    assert ended.returncode == 0
    assert told["dropped"] > 0
    assert told["repaired"] > 0
    assert told["duplicates_dropped"] > 0
    assert told["done"]["checkouts"] == 12
    assert told["done"]["refunds"] >= 3
    assert told["done"]["renewals"] >= 3, "two months, not the scenario's one"
    assert not home.exists()


async def test_without_a_name_it_lists_what_there_is() -> None:
    answer = await billing("simulate")

    assert answer.exit_code == 0
    for name in ("year", "dunning", "disputes"):
        assert name in answer.output


async def test_an_unknown_name_is_told_with_those_that_there_are() -> None:
    answer = await billing("simulate", "decade")

    assert answer.exit_code == 1
    assert "There is no scenario decade" in answer.output
    assert "year" in answer.output


@pytest.mark.parametrize(("written", "right"), [("5%", 0.05), ("2", 0.02), ("0%", 0.0), ("12.5%", 0.125), ("100%", 1)])
def test_a_share_is_in_per_cent(written: str, right: float) -> None:
    assert share("--drop", written) == right


@pytest.mark.parametrize("written", ["", "half", "-5%", "101%", "5%%"])
def test_what_is_no_share_is_told(written: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no share: 5% is"):
        share("--drop", written)


@pytest.mark.parametrize(("written", "right"), [("90d", 90), ("14mo", 426), ("1y", 365), ("2y", 730)])
def test_a_length_is_in_days_months_or_years(written: str, right: int) -> None:
    assert days("--advance", written) == right


@pytest.mark.parametrize("written", ["", "0d", "14", "14m", "mo"])
def test_what_is_no_length_is_told(written: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no length of time: 90d, 14mo and 2y are"):
        days("--advance", written)
