"""When we went live.  Set once: what was history to some facts is not to be news to others."""

from datetime import datetime
from typing import Final, LiteralString

from store.postgres import Database

SET: Final[LiteralString] = """
    INSERT INTO go_live (livemode, went_at, set_at) VALUES (%(livemode)s, %(went_at)s, clock_timestamp())
    ON CONFLICT (livemode) DO NOTHING
"""

READ: Final[LiteralString] = """
    SELECT went_at FROM go_live WHERE livemode = %(livemode)s
"""


async def read(database: Database, *, livemode: bool) -> datetime | None:
    """When we went live; None when nobody has said yet."""
    async with database.connection() as connection:
        row = await (await connection.execute(READ, {"livemode": livemode})).fetchone()
    return row["went_at"] if row else None


async def settle(database: Database, went_at: datetime, *, livemode: bool) -> datetime:
    """Say so, unless somebody did; when it is now."""
    async with database.connection() as connection:
        await connection.execute(SET, {"livemode": livemode, "went_at": went_at})
    settled = await read(database, livemode=livemode)
    assert settled is not None, "it was set, by us or before us"
    return settled
