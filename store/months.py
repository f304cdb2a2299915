"""The months ahead: journal and outbox are partitioned by month of commit, and a month must be there in time."""

from datetime import datetime, timedelta
from typing import Final, LiteralString

from runtime.logs import get_logger
from store.postgres import Database, is_transient

log = get_logger(__name__)

MONTHS_AHEAD: Final = 2
MADE_FOR: Final = timedelta(days=1)
AGAIN_AFTER: Final = timedelta(minutes=10)

MAKE: Final[LiteralString] = "SELECT make_months(%(months_ahead)s::integer)"


class Months:
    """Keeps the partitions of the coming months made; asks the database once a day."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._next_at: datetime | None = None

    async def keep_ahead(self, now: datetime) -> None:
        """Make this month's and the next months' partitions, where they are not there yet.

        That they cannot be made now is no reason to stop: there are months left to try again.
        """
        if self._next_at is not None and now < self._next_at:
            return
        try:
            async with self._database.connection() as connection:
                await connection.execute(MAKE, {"months_ahead": MONTHS_AHEAD})
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("the months ahead are not made yet", error=type(error).__name__)
            self._next_at = now + AGAIN_AFTER
        else:
            self._next_at = now + MADE_FOR
