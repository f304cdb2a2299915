"""When so much goes wrong that we are the bug, the group stops, and stays stopped over restarts until it is cleared."""

from typing import Final, LiteralString

from store.postgres import Database

STOP: Final[LiteralString] = """
    INSERT INTO intake_stops (consumer_group, stopped_at, reason)
    VALUES (%(group)s, clock_timestamp(), %(reason)s)
    ON CONFLICT (consumer_group) WHERE cleared_at IS NULL DO NOTHING
"""

OPEN: Final[LiteralString] = """
    SELECT reason FROM intake_stops WHERE consumer_group = %(group)s AND cleared_at IS NULL
"""

CLEAR: Final[LiteralString] = """
    UPDATE intake_stops SET cleared_at = clock_timestamp(), cleared_because = %(because)s
    WHERE consumer_group = %(group)s AND cleared_at IS NULL
    RETURNING reason
"""

RECENT: Final[LiteralString] = """
    WITH since AS MATERIALIZED (
        SELECT coalesce(max(cleared_at), '-infinity') AS at FROM intake_stops WHERE consumer_group = %(group)s
    ), recent AS (
        (SELECT committed_at AS at, false AS root FROM journal
         WHERE committed_at > (SELECT at FROM since) ORDER BY committed_at DESC LIMIT %(window)s)
        UNION ALL
        (SELECT parked_at, root FROM parked_facts
         WHERE consumer_group = %(group)s AND parked_at > (SELECT at FROM since)
         ORDER BY parked_at DESC LIMIT %(window)s)
    )
    SELECT root FROM recent ORDER BY at DESC LIMIT %(window)s
"""


async def stop(database: Database, group: str, reason: str) -> None:
    """Remember that the group has stopped, and why; the first reason stays."""
    async with database.connection() as connection:
        await connection.execute(STOP, {"group": group, "reason": reason})


async def why_stopped(database: Database, group: str) -> str | None:
    """Why the group is stopped; None when it may work."""
    async with database.connection() as connection:
        found = await (await connection.execute(OPEN, {"group": group})).fetchone()
    return found["reason"] if found else None


def how_to_resume(group: str, reason: str) -> str:
    """What to say of a stopped group, and to do about it."""
    return f"{group} is stopped: {reason}.  When it is mended: billing parked resume --because WHY"


async def clear(database: Database, group: str, because: str) -> str | None:
    """Let the group work again; the reason that it was stopped for, None when it was not."""
    async with database.connection() as connection:
        found = await (await connection.execute(CLEAR, {"group": group, "because": because})).fetchone()
    return found["reason"] if found else None


async def recent_roots(database: Database, group: str, window: int) -> list[bool]:
    """Of the newest facts since the last clearing, oldest first, which ones were parked as roots."""
    async with database.connection() as connection:
        found = await connection.execute(RECENT, {"group": group, "window": window})
        return [row["root"] for row in await found.fetchall()][::-1]
