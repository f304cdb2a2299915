"""Stripe's objects: the pieces of causes and the payments that they make, and each object's line."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, LiteralString, NamedTuple

from msgspec.json import Decoder

from models.base import as_json
from models.books import Books
from models.causes import ObjectLine, Piece, Present
from models.lines import Second, Version
from models.objects import State
from models.payments import Payment
from store.arrays import Bigints, Booleans, Column, Moments, Texts
from store.postgres import Connection, Cursor

STATE: Final[Decoder[State]] = Decoder(State)
PAYMENT: Final = Decoder(Payment)
STATES_KEPT: Final = 4_096
"""An object's present is its last version, too, and its cause is loaded again soon.  Each takes 2 KB or so."""

LOCK: Final[LiteralString] = """
    WITH new AS (
        INSERT INTO stripe_objects (object_id)
        SELECT unnest(%(object_ids)b::text[])
        ON CONFLICT DO NOTHING
    )
    SELECT object_id FROM stripe_objects WHERE object_id = ANY(%(object_ids)b::text[]) ORDER BY object_id FOR UPDATE
"""

LOAD: Final[LiteralString] = """
    WITH named AS (
        SELECT object_id, cause_id FROM stripe_objects WHERE object_id = ANY(%(object_ids)b::text[])
    ), wanted AS (
        SELECT object_id FROM named
        UNION
        SELECT object_id FROM stripe_objects WHERE cause_id = ANY(ARRAY(SELECT cause_id FROM named))
    )
    SELECT o.object_id, o.cause_id, o.customer_id, o.account_id, o.ownerless, o.fact_id, o.occurred_at, o.state,
           to_jsonb(p)::text AS payment
    FROM wanted
    JOIN stripe_objects AS o USING (object_id)
    LEFT JOIN payments AS p ON p.payment_id = o.object_id
    ORDER BY o.object_id
"""

OF_CUSTOMERS: Final[LiteralString] = """
    SELECT object_id FROM stripe_objects
    WHERE customer_id = ANY(%(customer_ids)b::text[]) AND cause_id IS NOT NULL
    ORDER BY object_id
"""

LOAD_LINES: Final[LiteralString] = """
    SELECT version.object_id, version.fact_id, version.occurred_at, version.ordinal, version.rank, version.before,
           version.state
    FROM unnest(%(object_ids)b::text[], %(ended)b::boolean[], %(occurred_ats)b::timestamptz[])
        AS floor (object_id, ended, occurred_at)
    CROSS JOIN LATERAL (
        SELECT * FROM stripe_object_versions AS v
        WHERE v.object_id = floor.object_id
          AND (v.ended, v.occurred_at) >= (floor.ended, floor.occurred_at)
        UNION ALL
        (SELECT * FROM stripe_object_versions AS v
         WHERE v.object_id = floor.object_id
           AND (v.ended, v.occurred_at) < (floor.ended, floor.occurred_at)
         ORDER BY v.ended DESC, v.occurred_at DESC, v.ordinal DESC
         LIMIT 1)
    ) AS version
    ORDER BY version.object_id, version.ended, version.occurred_at, version.ordinal
"""

SAVE: Final[LiteralString] = """
    WITH versions AS (
        INSERT INTO stripe_object_versions (object_id, fact_id, ended, occurred_at, ordinal, rank, before, state)
        SELECT * FROM unnest(
            %(version_object_ids)b::text[], %(version_fact_ids)b::text[], %(version_ended)b::boolean[],
            %(version_occurred_ats)b::timestamptz[], %(version_ordinals)b::bigint[], %(version_ranks)b::bigint[],
            %(version_befores)b::text[], %(version_states)b::text[])
        ON CONFLICT (object_id, fact_id) DO UPDATE SET ordinal = excluded.ordinal
    )
    INSERT INTO stripe_objects (
        object_id, kind, cause_id, customer_id, account_id, ownerless, fact_id, occurred_at, state)
    SELECT * FROM unnest(
        %(object_ids)b::text[], %(kinds)b::text[], %(cause_ids)b::text[], %(customer_ids)b::text[],
        %(account_ids)b::text[], %(ownerless)b::boolean[], %(fact_ids)b::text[], %(occurred_ats)b::timestamptz[],
        %(states)b::text[])
    ON CONFLICT (object_id) DO UPDATE SET
        kind = excluded.kind, cause_id = excluded.cause_id, customer_id = excluded.customer_id,
        account_id = excluded.account_id, ownerless = excluded.ownerless, fact_id = excluded.fact_id,
        occurred_at = excluded.occurred_at, state = excluded.state
"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The pieces of the causes that were asked for, all of them, and the payments that they make."""

    pieces: dict[str, Piece]
    payments: dict[str, Payment]


async def load(connection: Connection, object_ids: Collection[str]) -> Cursor:
    """Take the turn on these objects, in one order for everybody, and ask for all pieces of their causes."""
    ids = Texts(sorted(object_ids))
    await connection.execute(LOCK, {"object_ids": ids})
    return await connection.execute(LOAD, {"object_ids": ids})


async def read(loaded: Cursor) -> Loaded:
    """What was asked for."""
    found = Loaded({}, {})
    for row in await loaded.fetchall():
        payment = row.pop("payment")
        found.pieces[row["object_id"]] = _piece(row)
        if payment is not None:
            found.payments[row["object_id"]] = PAYMENT.decode(payment)
    return found


async def of_customers(connection: Connection, customer_ids: Sequence[str]) -> list[str]:
    """The pieces of what these customers paid, or are to pay."""
    found = await connection.execute(OF_CUSTOMERS, {"customer_ids": Texts(customer_ids)})
    return [row["object_id"] for row in await found.fetchall()]


async def load_lines(connection: Connection, floors: Mapping[str, Second]) -> Cursor:
    """Ask for each object's line from its floor on, and for the one version before it."""
    return await connection.execute(
        LOAD_LINES,
        {
            "object_ids": Texts(floors),
            "ended": Booleans(ended for ended, _ in floors.values()),
            "occurred_ats": Moments(occurred_at for _, occurred_at in floors.values()),
        },
    )


async def read_lines(loaded: Cursor) -> dict[str, ObjectLine]:
    """The lines that were asked for, by object; one that is new has none."""
    lines: dict[str, list[Version[State]]] = {}
    for row in await loaded.fetchall():
        lines.setdefault(row["object_id"], []).append(_version(row))
    return {object_id: tuple(versions) for object_id, versions in lines.items()}


class _Row(NamedTuple):
    object_id: str
    version: Version[State]


async def save(connection: Connection, before: Books, after: Books) -> None:
    """Write the pieces that are new or have changed, and of their lines the versions that are new or have moved."""
    changed = [piece for object_id, piece in sorted(after.pieces.items()) if before.pieces.get(object_id) != piece]
    rows = [
        row
        for object_id, line in after.object_lines.items()
        for row in _moved(object_id, before.object_lines.get(object_id, ()), line)
    ]
    if changed or rows:
        await connection.execute(SAVE, _of_pieces(changed) | _of_versions(rows))


def _of_pieces(changed: Sequence[Piece]) -> dict[str, Column]:
    shown = [piece.present for piece in changed]
    return {
        "object_ids": Texts.of(changed, "object_id"),
        "kinds": Texts(one.state.kind.value if one else None for one in shown),
        "cause_ids": Texts.of(changed, "cause_id"),
        "customer_ids": Texts.of(changed, "customer_id"),
        "account_ids": Texts.of(changed, "account_id"),
        "ownerless": Booleans.of(changed, "ownerless"),
        "fact_ids": Texts(one.fact_id if one else None for one in shown),
        "occurred_ats": Moments(one.occurred_at if one else None for one in shown),
        "states": Texts(as_json(one.state) if one else None for one in shown),
    }


def _of_versions(rows: Sequence[_Row]) -> dict[str, Column]:
    versions = [row.version for row in rows]
    return {
        "version_object_ids": Texts.of(rows, "object_id"),
        "version_fact_ids": Texts.of(versions, "fact_id"),
        "version_ended": Booleans.of(versions, "ended"),
        "version_occurred_ats": Moments.of(versions, "occurred_at"),
        "version_ordinals": Bigints.of(versions, "ordinal"),
        "version_ranks": Bigints.of(versions, "rank"),
        "version_befores": Texts(_json(version.before) for version in versions),
        "version_states": Texts(_json(version.state) for version in versions),
    }


def _moved(object_id: str, before: ObjectLine, after: ObjectLine) -> Iterator[_Row]:
    known = {version.fact_id: version.ordinal for version in before}
    return (_Row(object_id, version) for version in after if known.get(version.fact_id) != version.ordinal)


def _piece(row: Mapping[str, Any]) -> Piece:
    return Piece(
        object_id=row["object_id"],
        cause_id=row["cause_id"],
        customer_id=row["customer_id"],
        account_id=row["account_id"],
        ownerless=row["ownerless"],
        present=Present(_state(row["state"]), row["fact_id"], row["occurred_at"]) if row["state"] else None,
    )


def _version(row: Mapping[str, Any]) -> Version[State]:
    return Version(
        fact_id=row["fact_id"],
        occurred_at=row["occurred_at"],
        rank=row["rank"],
        state=_state(row["state"]),
        before=_state(row["before"]) if row["before"] else None,
        ordinal=row["ordinal"],
    )


@lru_cache(maxsize=STATES_KEPT)
def _state(stored: str) -> State:
    """A state as some release of ours has stored it, which may know more fields than this one."""
    return STATE.decode(stored)


def _json(state: State | None) -> str | None:
    return as_json(state) if state else None
