"""The door's way to PostgreSQL: so many connections at once, and who comes next waits for a turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from store.postgres import Connection, Database


class Tables:
    """A database with turns."""

    def __init__(self, database: Database, connections_max: int) -> None:
        self._database = database
        self._turns = asyncio.Semaphore(connections_max)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for as long as the block runs."""
        async with self._turns, self._database.connection() as connection:
            yield connection

    async def ping(self) -> None:
        """Ask the server something; raises what asking raises when it is not there."""
        async with self._turns:
            await self._database.ping()
