"""`billing backfill` and `billing reconcile` say what is wrong with a wish before they ask Stripe anything."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from ops.backfill import moment
from tests.support_ops_commands import billing

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "back"),
    [
        ("30d", timedelta(days=30)),
        ("6h", timedelta(hours=6)),
        ("0h", timedelta(0)),
        ("2026-11-25T12:00:00", timedelta(days=1)),
        ("2026-11-25T13:00:00+01:00", timedelta(days=1)),
    ],
)
def test_since_is_days_hours_or_a_date(written: str, back: timedelta) -> None:
    assert moment(written, NOW) == NOW - back


@pytest.mark.parametrize("written", ["", "d", "thirty days", "-1d", "2026-13-01"])
def test_what_is_none_of_these_is_told(written: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"neither days \(30d\), hours \(6h\) nor a date"):
        moment(written, NOW)


@pytest.mark.parametrize("written", ["31d", "2026-10-01"])
def test_beyond_thirty_days_another_command_is_named(written: str) -> None:
    with pytest.raises(typer.BadParameter, match="`billing reconcile` finds what is older"):
        moment(written, NOW)


async def test_an_unknown_kind_is_told_with_those_that_there_are() -> None:
    answer = await billing("reconcile", "--kind", "coupon")

    assert answer.exit_code == 2
    assert "coupon" in answer.output
    assert "invoice" in answer.output


@pytest.mark.parametrize("command", ["backfill", "reconcile"])
async def test_without_a_key_it_says_which_setting_is_missing(shell: pytest.MonkeyPatch, command: str) -> None:
    shell.delenv("STRIPE_API_KEY", raising=False)
    shell.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    answer = await billing(command)

    assert answer.exit_code == 2
    assert "STRIPE_API_KEY" in answer.output


@pytest.mark.parametrize("command", ["backfill", "reconcile"])
async def test_when_stripe_is_not_there_it_says_so_in_a_sentence(shell: pytest.MonkeyPatch, command: str) -> None:
    shell.setenv("STRIPE_API_KEY", "sk_test_pretend")
    shell.setenv("STRIPE_API_BASE", "http://127.0.0.1:9")
    shell.setenv("STRIPE_REQUESTS_PER_SECOND", "100")
    shell.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    answer = await billing(command)

    assert answer.exit_code == 1
    assert "Stripe would not: " in answer.output
    assert "Traceback" not in answer.output
