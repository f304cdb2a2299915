"""Alarms are raised once and cleared once, and each change is said once."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from models.events import Rule
from models.silence import DAYS
from store import alarms
from store.alarms import Alarm
from tests.support_store import Bench

SILENT = Alarm(Rule.WEBHOOKS_SILENT, "webhooks", "3 webhooks in 60 minutes")
HOUR = timedelta(hours=1)
LATE = timedelta(seconds=120)


def said(bench: Bench) -> list[tuple[str, str, str]]:
    rows = bench.sql("SELECT type, event_id, topic, data FROM outbox ORDER BY outbox_id")
    assert {row["topic"] for row in rows} <= {"billing.alerts"}
    assert len({row["event_id"] for row in rows}) == len(rows)
    return [(row["type"], json.loads(row["data"])["rule"], json.loads(row["data"])["subject"]) for row in rows]


RAISED = ("billing.alert.raised.v1", "webhooks_silent", "webhooks")
CLEARED = ("billing.alert.cleared.v1", "webhooks_silent", "webhooks")


async def test_it_is_said_once_each_time_it_begins_and_once_each_time_it_ends(bench: Bench) -> None:
    changed = [
        await alarms.clear(bench.database, SILENT),
        await alarms.raise_(bench.database, SILENT),
        await alarms.raise_(bench.database, SILENT),
        await alarms.clear(bench.database, SILENT),
        await alarms.clear(bench.database, SILENT),
        await alarms.raise_(bench.database, SILENT),
    ]

    assert changed == [False, True, False, True, False, True]
    assert said(bench) == [RAISED, CLEARED, RAISED]
    assert await alarms.on(bench.database, Rule.WEBHOOKS_SILENT) == ["webhooks"]
    assert await alarms.on(bench.database, Rule.ENDPOINT_DISABLED) == []


async def test_of_many_who_hear_it_at_once_one_says_it(bench: Bench) -> None:
    raised = await asyncio.gather(*(alarms.raise_(bench.database, SILENT) for _ in range(8)))

    assert sum(raised) == 1
    assert said(bench) == [RAISED]


def in_the_middle_of_this_month() -> datetime:
    """The journal has a partition for each month from this one on; a week lies between its first day and this one."""
    return datetime.now(UTC).replace(day=20, hour=12, minute=0, second=0, microsecond=0)


def webhook(bench: Bench, at: datetime, number: int, **other: Any) -> None:
    row = {
        "committed_at": at,
        "received_at": at,
        "occurred_at": at - timedelta(seconds=1),
        "source": "stripe",
        "fact_id": f"evt_{number}",
        **other,
    }
    bench.superuser.execute(
        """
        INSERT INTO journal (committed_at, received_at, occurred_at, source, fact_id, type, livemode, schema_version,
                             outcome, caused)
        VALUES (%(committed_at)s, %(received_at)s, %(occurred_at)s, %(source)s, %(fact_id)s, 'invoice.paid', false, 1,
                'applied', '{}')
        """,
        row,
    )


async def test_the_same_hours_of_the_days_before_are_counted_as_far_as_we_ran(bench: Bench) -> None:
    now, number = in_the_middle_of_this_month(), 0
    for ago, count in enumerate((2, 5, 3, 4)):
        for minute in range(count):
            number += 1
            webhook(bench, now - timedelta(days=ago, minutes=minute * 10), number)
    webhook(bench, now - timedelta(days=3, hours=2), 100)  # Outside the hour, and the first thing that we ever heard.

    window = await alarms.webhooks(bench.database, HOUR, now, LATE)

    assert (window.now, window.before) == (2, (5, 3, 4))
    assert len(window.before) < DAYS


async def test_what_a_sweep_brought_and_what_others_told_is_no_webhook(bench: Bench) -> None:
    now = in_the_middle_of_this_month()
    webhook(bench, now - timedelta(days=1, hours=2), 1)
    webhook(bench, now, 2)
    webhook(bench, now, 3, occurred_at=now - LATE)
    webhook(bench, now, 4, source="timer")
    webhook(bench, now + timedelta(seconds=1), 5)

    assert (await alarms.webhooks(bench.database, HOUR, now, LATE)).now == 1


async def test_who_has_heard_nothing_yet_has_no_habits(bench: Bench) -> None:
    window = await alarms.webhooks(bench.database, HOUR, in_the_middle_of_this_month(), LATE)

    assert (window.now, window.before) == (0, ())
