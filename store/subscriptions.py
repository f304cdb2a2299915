"""Subscriptions: the newest part of each line in, the changed versions and the present out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, LiteralString, NamedTuple

from msgspec import convert
from msgspec.json import Decoder

from models.base import as_json
from models.lines import Second, Version
from models.subscriptions import Line, State
from store.arrays import Bigints, Booleans, Column, Moments, Texts
from store.postgres import Connection, Cursor

_STATE: Final[Mapping[str, type[Column]]] = {
    **dict.fromkeys(("customer_id", "status", "plan", "price_lookup_key", "billing_interval"), Texts),
    "quantity": Bigints,
    **dict.fromkeys(("current_period_start", "current_period_end", "trial_end", "cancel_at", "canceled_at"), Moments),
    **dict.fromkeys(("cancel_at_period_end", "collection_paused", "livemode"), Booleans),
}
assert set(_STATE) == set(State.__struct_fields__), "every field of a state has its column"
_STATES: Final = Decoder(State)

THE_LAST_ONE_ONLY: Final[Second] = (True, datetime(9999, 12, 31, tzinfo=UTC))
"""A floor above every version: the line is then loaded as its present alone."""

LOAD: Final[LiteralString] = """
    SELECT version.subscription_id, version.fact_id, version.occurred_at, version.ordinal, version.rank, version.before,
           version.customer_id, version.status, version.plan, version.price_lookup_key, version.billing_interval,
           version.quantity, version.current_period_start, version.current_period_end, version.trial_end,
           version.cancel_at, version.cancel_at_period_end, version.canceled_at, version.collection_paused,
           version.livemode
    FROM unnest(%(subscription_ids)b::text[], %(ended)b::boolean[], %(occurred_ats)b::timestamptz[])
        AS floor (subscription_id, ended, occurred_at)
    CROSS JOIN LATERAL (
        SELECT * FROM subscription_versions AS v
        WHERE v.subscription_id = floor.subscription_id
          AND (v.ended, v.occurred_at) >= (floor.ended, floor.occurred_at)
        UNION ALL
        (SELECT * FROM subscription_versions AS v
         WHERE v.subscription_id = floor.subscription_id
           AND (v.ended, v.occurred_at) < (floor.ended, floor.occurred_at)
         ORDER BY v.ended DESC, v.occurred_at DESC, v.ordinal DESC
         LIMIT 1)
    ) AS version
    ORDER BY version.subscription_id, version.ended, version.occurred_at, version.ordinal
"""

OF_CUSTOMERS: Final[LiteralString] = """
    SELECT subscription_id FROM subscriptions WHERE customer_id = ANY(%(customer_ids)b::text[]) ORDER BY 1
"""

SAVE: Final[LiteralString] = """
    WITH saved AS (
        SELECT * FROM unnest(
            %(subscription_ids)b::text[], %(fact_ids)b::text[], %(ended)b::boolean[], %(occurred_ats)b::timestamptz[],
            %(ordinals)b::bigint[], %(ranks)b::bigint[], %(befores)b::text[], %(customer_id)b::text[],
            %(status)b::text[], %(plan)b::text[], %(price_lookup_key)b::text[], %(billing_interval)b::text[],
            %(quantity)b::bigint[], %(current_period_start)b::timestamptz[], %(current_period_end)b::timestamptz[],
            %(trial_end)b::timestamptz[], %(cancel_at)b::timestamptz[], %(cancel_at_period_end)b::boolean[],
            %(canceled_at)b::timestamptz[], %(collection_paused)b::boolean[], %(livemode)b::boolean[],
            %(present)b::boolean[])
            AS saved (
            subscription_id, fact_id, ended, occurred_at, ordinal, rank, before, customer_id, status, plan,
            price_lookup_key, billing_interval, quantity, current_period_start, current_period_end, trial_end,
            cancel_at, cancel_at_period_end, canceled_at, collection_paused, livemode, present)
    ), versions AS (
        INSERT INTO subscription_versions (
            subscription_id, fact_id, ended, occurred_at, ordinal, rank, before, customer_id, status, plan,
            price_lookup_key, billing_interval, quantity, current_period_start, current_period_end, trial_end,
            cancel_at, cancel_at_period_end, canceled_at, collection_paused, livemode)
        SELECT
            subscription_id, fact_id, ended, occurred_at, ordinal, rank, before, customer_id, status, plan,
            price_lookup_key, billing_interval, quantity, current_period_start, current_period_end, trial_end,
            cancel_at, cancel_at_period_end, canceled_at, collection_paused, livemode
        FROM saved
        ON CONFLICT (subscription_id, fact_id) DO UPDATE SET ordinal = excluded.ordinal
    )
    INSERT INTO subscriptions (
        subscription_id, fact_id, occurred_at, customer_id, status, plan, price_lookup_key, billing_interval, quantity,
        current_period_start, current_period_end, trial_end, cancel_at, cancel_at_period_end, canceled_at,
        collection_paused, livemode)
    SELECT
        subscription_id, fact_id, occurred_at, customer_id, status, plan, price_lookup_key, billing_interval, quantity,
        current_period_start, current_period_end, trial_end, cancel_at, cancel_at_period_end, canceled_at,
        collection_paused, livemode
    FROM saved
    WHERE present
    ON CONFLICT (subscription_id) DO UPDATE SET
        fact_id = excluded.fact_id, occurred_at = excluded.occurred_at, customer_id = excluded.customer_id,
        status = excluded.status, plan = excluded.plan, price_lookup_key = excluded.price_lookup_key,
        billing_interval = excluded.billing_interval, quantity = excluded.quantity,
        current_period_start = excluded.current_period_start, current_period_end = excluded.current_period_end,
        trial_end = excluded.trial_end, cancel_at = excluded.cancel_at,
        cancel_at_period_end = excluded.cancel_at_period_end, canceled_at = excluded.canceled_at,
        collection_paused = excluded.collection_paused, livemode = excluded.livemode
"""


async def load(connection: Connection, floors: Mapping[str, Second]) -> Cursor:
    """Ask for each line from its floor on, and for the one version before it."""
    return await connection.execute(
        LOAD,
        {
            "subscription_ids": Texts(floors),
            "ended": Booleans(ended for ended, _ in floors.values()),
            "occurred_ats": Moments(occurred_at for _, occurred_at in floors.values()),
        },
    )


async def read(loaded: Cursor) -> dict[str, Line]:
    """The lines that were asked for, by subscription; one that is new has none."""
    lines: dict[str, list[Version[State]]] = {}
    for row in await loaded.fetchall():
        lines.setdefault(row["subscription_id"], []).append(_version(row))
    return {subscription_id: tuple(versions) for subscription_id, versions in lines.items()}


async def of_customers(connection: Connection, customer_ids: Sequence[str]) -> list[str]:
    """The subscriptions of these customers."""
    found = await connection.execute(OF_CUSTOMERS, {"customer_ids": Texts(customer_ids)})
    return [row["subscription_id"] for row in await found.fetchall()]


async def save(connection: Connection, before: Mapping[str, Line], after: Mapping[str, Line]) -> None:
    """Write the versions that are new, have moved or have become the present, and each present that changed."""
    rows = [row for line_id, line in after.items() for row in _changed(before.get(line_id, ()), line_id, line)]
    if rows:
        await connection.execute(SAVE, _columns(rows))


class _Row(NamedTuple):
    subscription_id: str
    version: Version[State]
    present: bool


def _changed(before: Line, line_id: str, line: Line) -> Iterator[_Row]:
    known = {version.fact_id: version.ordinal for version in before}
    was_last = before[-1].fact_id if before else None
    for version in line:
        present = version is line[-1] and version.fact_id != was_last
        if present or known.get(version.fact_id) != version.ordinal:
            yield _Row(line_id, version, present)


def _version(row: Mapping[str, Any]) -> Version[State]:
    return Version(
        fact_id=row["fact_id"],
        occurred_at=row["occurred_at"],
        rank=row["rank"],
        state=convert({name: row[name] for name in State.__struct_fields__}, State),
        before=_STATES.decode(row["before"]) if row["before"] else None,
        ordinal=row["ordinal"],
    )


def _columns(rows: Sequence[_Row]) -> dict[str, Any]:
    versions = [row.version for row in rows]
    return {
        **{name: kind.of(versions, f"state.{name}") for name, kind in _STATE.items()},
        "status": Texts.of(versions, "state.status.value"),
        "subscription_ids": Texts.of(rows, "subscription_id"),
        "fact_ids": Texts.of(versions, "fact_id"),
        "occurred_ats": Moments.of(versions, "occurred_at"),
        "ended": Booleans.of(versions, "ended"),
        "ordinals": Bigints.of(versions, "ordinal"),
        "ranks": Bigints.of(versions, "rank"),
        "befores": Texts(_befores(versions)),
        "present": Booleans.of(rows, "present"),
    }


def _befores(versions: Iterable[Version[State]]) -> list[str | None]:
    return [as_json(version.before) if version.before else None for version in versions]
