"""The months ahead: journal and outbox are partitioned by month of commit, and a month must be there in time."""

from datetime import date
from typing import Final, LiteralString

from store.postgres import Database

MONTHS_AHEAD: Final = 2

MAKE: Final[LiteralString] = "SELECT make_months(%(months_ahead)s::integer)"


class Months:
    """Keeps the partitions of the coming months made; asks the database at most once a day."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made_on: date | None = None

    async def keep_ahead(self, today: date) -> None:
        """Make this month's and the next months' partitions, where they are not there yet."""
        if self._made_on == today:
            return
        async with self._database.connection() as connection:
            await connection.execute(MAKE, {"months_ahead": MONTHS_AHEAD})
        self._made_on = today
