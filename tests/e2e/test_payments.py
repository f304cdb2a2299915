"""A story's money comes in no order at all, twice, in three shapes, and part of it names nobody: in the end the reports
say to the cent what the pretend Stripe's own books say, which never saw an event.
"""

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from models.customers import account_of_customer, account_of_platform
from ops.local.stack import EVERYTHING
from ops.local.waiting import until
from simulator import shapes, story
from simulator.books import books_of
from simulator.server.desk import desk_for
from simulator.server.serving import serving
from tests.e2e.test_order import deliver
from tests.models.support_facts import Json
from tests.models.support_money import UNTOLD, Shown, shown_by_them
from tests.support_figures import Figure
from tests.support_pipeline import Pipeline, running

pytestmark = pytest.mark.e2e

SUBSCRIBERS = 30
BESIDE = (
    ("refunds", "refund_id", "account_id", "customer_id", "created_at", "as_of"),
    ("disputes", "dispute_id", "account_id", "customer_id", "created_at", "as_of", "fee_minor", "due_by"),
    ("invoices", "invoice_id", "account_id", "created_at", "as_of", "next_attempt_at", "paid_at"),
)
"""What the reports say beside what the books keep, by view and key."""

SETTLED_SECONDS_MAX = 60.0


async def test_the_reports_agree_with_stripes_own_books_to_the_cent(tmp_path: Path, figure: Figure) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    world, dice = story.tell(seed, SUBSCRIBERS), random.Random(seed)
    events = [shapes.render(one, dice.choice(shapes.API_VERSIONS)) for one in world.happenings]
    desk = desk_for(world, asyncio.get_running_loop().time, rate_per_second=0)
    async with serving(desk) as address:
        told = {"STRIPE_API_BASE": address, "ASK_AFTER_SECONDS": "1"}
        async with running(tmp_path / "home", names=(*EVERYTHING, "stripe-requests"), settings=told) as pipeline:
            await deliver(pipeline, events, seed)
            await pipeline.drained()
            waited = len(await pipeline.rows("SELECT 1 FROM waiting_facts"))
            await until(lambda: nobody_waits(pipeline), SETTLED_SECONDS_MAX)
            await pipeline.at_rest()  # Answers about the order of some facts may still be on their way.

            reported = await shown_by_reports(pipeline)
            await pipeline.check_all_but_state()
    books = shown_by_them(books_of(world).money)
    for name, rows in books.items():
        assert reported[name] == rows, name
    figure(f"{len(events)} events, seed {seed}: {len(books['payments'])} payments agree to the cent")
    figure(f"{waited} facts still waited when all was in; Stripe was asked {len(desk.journal.entries)} times")


async def nobody_waits(pipeline: Pipeline) -> bool:
    return not await pipeline.rows("SELECT 1 FROM waiting_facts LIMIT 1")


async def shown_by_reports(pipeline: Pipeline) -> Shown:
    """Everything that is not a subscription, as anybody may read it, in the words of Stripe's books."""
    return {
        "payments": await _rows(pipeline, "payments", "payment_id", _payment),
        **{view: await _rows(pipeline, view, key, _but(*beside)) for view, key, *beside in BESIDE},
        "customers": await _rows(pipeline, "customers", "customer_id", _customer),
    }


async def _rows(pipeline: Pipeline, view: str, key: str, shown: Any) -> dict[str, Json]:
    rows = await pipeline.rows(f"SELECT * FROM reports.{view}")
    return {row[key]: shown(row) for row in rows}


def _but(*names: str) -> Any:
    return lambda row: {name: value for name, value in row.items() if name not in {*names, "livemode"}}


def _payment(row: Json) -> Json:
    guest = row["account_id"] if row["customer_id"] is None else None
    beside = {"account_id", "occurred_at", "livemode", "purpose"} | (set() if row["status"] == "succeeded" else UNTOLD)
    shown = row | {"guest_account_id": guest}
    return {name: value for name, value in shown.items() if name not in beside}


def _customer(row: Json) -> Json:
    named = row["platform_id"]
    assert row["account_id"] == (account_of_platform(named) if named else account_of_customer(row["customer_id"]))
    return {
        "customer_id": row["customer_id"],
        "deleted": row["deleted"],
        "livemode": row["livemode"],
        "since": int(row["since"].timestamp()) if row["since"] else None,
    }
