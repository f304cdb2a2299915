"""Bookmarks: where a long look through a list of Stripe's goes on, if it was broken off."""

from typing import Final, LiteralString

from store.postgres import Database

READ: Final[LiteralString] = """
    SELECT place FROM bookmarks WHERE name = %(name)s
"""

MOVE: Final[LiteralString] = """
    INSERT INTO bookmarks (name, place, moved_at) VALUES (%(name)s, %(place)s, clock_timestamp())
    ON CONFLICT (name) DO UPDATE SET place = excluded.place, moved_at = excluded.moved_at
"""

TAKE_OUT: Final[LiteralString] = """
    DELETE FROM bookmarks WHERE name = %(name)s
"""


async def read(database: Database, name: str) -> str | None:
    """The place that was left last; None where nothing was broken off."""
    async with database.connection() as connection:
        row = await (await connection.execute(READ, {"name": name})).fetchone()
    return str(row["place"]) if row else None


async def move(database: Database, name: str, place: str) -> None:
    """Go on from *place* next time: everything before it is done."""
    async with database.connection() as connection:
        await connection.execute(MOVE, {"name": name, "place": place})


async def take_out(database: Database, name: str) -> None:
    """All of it is done: the next look begins anew."""
    async with database.connection() as connection:
        await connection.execute(TAKE_OUT, {"name": name})
