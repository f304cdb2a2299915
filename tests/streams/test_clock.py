"""The clock looks after the facts that wait: it presents what was missed, and lets Stripe be asked once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from streams.clock import Clock
from tests.models import support_payments
from tests.models.support_facts import BASIL
from tests.store.test_waiting import told_as
from tests.support_store import Bench, bench_on


@pytest.fixture
async def bench(database: Any, tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(database.app_url, database.superuser_url, tmp_path) as made:
        yield made


def of_type(kind: str) -> Any:
    return next(told_as(event) for event in support_payments.refunded_and_disputed(BASIL) if event["type"] == kind)


async def test_what_two_writers_missed_at_the_same_moment_is_presented(bench: Bench) -> None:
    refund = of_type("refund.created")
    await (await bench.intake()).take(bench.records([refund]))
    [kept] = bench.sql("SELECT awaits FROM waiting_facts")
    bench.sql("UPDATE waiting_facts SET awaits = ARRAY['nothing']")
    await (await bench.intake()).take(bench.records([of_type("charge.succeeded")]))
    bench.sql("UPDATE waiting_facts SET awaits = %(awaits)s", kept)

    await Clock(bench.tools(), ask_after_seconds=30).tick()

    assert bench.table("waiting") == []
    [row] = bench.sql("SELECT outcome FROM reports.facts WHERE fact_id = %(id)s", {"id": refund.id})
    assert row["outcome"] == "applied"


async def test_stripe_is_asked_about_what_waits_too_long_and_only_once(bench: Bench) -> None:
    await (await bench.intake()).take(bench.records([of_type("refund.created")]))
    patient, impatient = Clock(bench.tools(), ask_after_seconds=30), Clock(bench.tools(), ask_after_seconds=0)

    await patient.tick()
    assert bench.table("outbox") == []
    await impatient.tick()
    await impatient.tick()

    assert [row["topic"] for row in bench.table("outbox")] == ["billing.stripe-requests"]
