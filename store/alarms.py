"""Alarms about the way to us: raised once, cleared once, and said through the outbox in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from models.base import Source
from models.books import Said
from models.events import AlertCleared, AlertRaised, Rule
from models.silence import DAYS, Window
from store import outbox
from store.postgres import Database, one_transaction

RAISE: Final[LiteralString] = """
    INSERT INTO alarms AS a (rule, subject, times, raised_at)
    VALUES (%(rule)s, %(subject)s, 1, clock_timestamp())
    ON CONFLICT (rule, subject) DO UPDATE
    SET times = a.times + 1, raised_at = excluded.raised_at, cleared_at = NULL
    WHERE a.cleared_at IS NOT NULL
    RETURNING a.times, a.raised_at AS changed_at
"""

CLEAR: Final[LiteralString] = """
    UPDATE alarms SET cleared_at = clock_timestamp()
    WHERE rule = %(rule)s AND subject = %(subject)s AND cleared_at IS NULL
    RETURNING times, cleared_at AS changed_at
"""

ON: Final[LiteralString] = """
    SELECT subject FROM alarms WHERE rule = %(rule)s AND cleared_at IS NULL ORDER BY subject
"""

WEBHOOKS: Final[LiteralString] = """
    SELECT days.ago, count(journal.fact_id) AS webhooks
    FROM generate_series(0, %(days)s::bigint) AS days (ago)
    LEFT JOIN journal
      ON journal.committed_at > %(now)s::timestamptz - make_interval(days => days.ago::int) - %(length)s::interval
     AND journal.committed_at <= %(now)s::timestamptz - make_interval(days => days.ago::int)
     AND journal.source = 'stripe'
     AND journal.received_at < journal.occurred_at + %(late)s::interval
    GROUP BY days.ago
    HAVING (SELECT min(committed_at) FROM journal)
        <= %(now)s::timestamptz - make_interval(days => days.ago::int) - %(length)s::interval
    ORDER BY days.ago
"""


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is wrong with what."""

    rule: Rule
    subject: str
    detail: str


async def raise_(database: Database, alarm: Alarm) -> bool:
    """Raise it and say so; False when it is on already."""
    return await _change(database, alarm, RAISE, AlertRaised)


async def clear(database: Database, alarm: Alarm) -> bool:
    """Clear it and say so; False when it is not on."""
    return await _change(database, alarm, CLEAR, AlertCleared)


async def on(database: Database, rule: Rule) -> list[str]:
    """What the alarm is on for."""
    async with database.connection() as connection:
        rows = await (await connection.execute(ON, {"rule": rule.value})).fetchall()
    return [row["subject"] for row in rows]


async def webhooks(database: Database, length: timedelta, now: datetime, late: timedelta) -> Window:
    """How many facts came by webhooks in the window until *now*, and in the same hours of the days before.

    What came later than *late* after it happened was brought by a sweep, or is an answer, and does not count.
    """
    asked: dict[str, Any] = {"days": DAYS, "now": now, "length": length, "late": late}
    async with database.connection() as connection:
        rows = await (await connection.execute(WEBHOOKS, asked)).fetchall()
    counts = {row["ago"]: row["webhooks"] for row in rows}
    return Window(length, counts.get(0, 0), tuple(counts[ago] for ago in sorted(counts) if ago))


async def _change(
    database: Database, alarm: Alarm, statement: LiteralString, event: type[AlertRaised] | type[AlertCleared]
) -> bool:
    async with one_transaction(database) as connection:
        changed = await connection.execute(statement, {"rule": alarm.rule.value, "subject": alarm.subject})
        rows: Sequence[dict[str, Any]] = await changed.fetchall()
        if rows:
            said = event(
                rule=alarm.rule,
                subject=alarm.subject,
                account_id=None,
                as_of=rows[0]["changed_at"],
                detail=alarm.detail,
            )
            cause = f"{alarm.rule.value}-{rows[0]['times']}"
            event_id = f"{Source.TIMER.value}/{cause}/{said.type}/{alarm.subject}"
            await outbox.write(connection, [Said(event_id, said, None, None)])
    return bool(rows)
