"""Connections to PostgreSQL, the one transaction shape, and which of its errors mean that the world is away.

Connections are autocommit and BEGIN and COMMIT are statements, so that a whole transaction rides in one pipeline with
two waits on the server (docs/decisions).  A broken connection is thrown away and the next use makes a new one at once:
a pool that backs off would sleep through the return of the database.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self, TypeAlias

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import DictRow, dict_row

from runtime.failures import Transient
from store import arrays
from store.pipeline import GatheringConnection

Connection: TypeAlias = AsyncConnection[DictRow]
Cursor: TypeAlias = AsyncCursor[DictRow]

CONNECT_SECONDS_MAX: Final = 3
STATEMENT_SECONDS_MAX: Final = 5
"""Waiting for a lock ends at two fifths of it, and a whole transaction at eight fifths (see `_session`).

The transaction's end is what frees the locks of a process that was frozen or has vanished in the middle of one, before
its peer, to whom its partitions go after the session timeout, has given up.
"""

TRANSACTION_TIMEOUT_SINCE: Final = 170_000
"""PostgreSQL knows `transaction_timeout` since 17; before, TCP keepalives find the vanished, and nothing the frozen."""

TRANSIENT_CLASSES: Final = ("08", "25P", "40", "53", "55", "57", "58")
"""SQLSTATE classes that say "again, later": connection, session limits, rollback, resources, object state, operator
intervention, the server's own system."""

STALE_PLANS: Final = ("0A000", "26000")
"""A migration changed what a prepared statement is about: the next connection plans anew."""

NOT_OUR_SCHEMA: Final = ("3F000", "42501", "42703", "42883", "42P01")
"""A table, column, function or privilege is missing: no fact's fault, and no fact is to be parked for it."""

READ_ONLY: Final = "25006"
"""We write and the server only reads: it became a standby, and another one is, or will be, the primary."""

CANCELED_STATEMENT: Final = "57014"
"""A statement that ran too long: transient for a batch, poison for a fact that is alone."""


BY_KEY: Final = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",  # What cannot be done otherwise is done all the same, at a cost that would call for a compiler.
}
"""All that we ask has a key and an index.  A generic plan is made once, and on a table that nobody has analyzed yet it
would be a scan of all of it: of an empty one that costs nothing, and then it fills (docs/decisions/0021)."""


def is_transient(error: BaseException) -> bool:
    """Whether the same statements may well succeed later, with nothing changed by us."""
    if isinstance(error, (Transient, TimeoutError, ConnectionError)):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:  # The connection broke, or never came to be.
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return error.sqlstate.startswith((*TRANSIENT_CLASSES, *STALE_PLANS, READ_ONLY))


def needs_another_schema(error: BaseException) -> bool:
    """Whether the database is not the one that this release was written for."""
    return isinstance(error, psycopg.Error) and error.sqlstate in NOT_OUR_SCHEMA


def was_canceled(error: BaseException) -> bool:
    """Whether the server gave up on a statement because of its time limit."""
    return isinstance(error, psycopg.Error) and error.sqlstate == CANCELED_STATEMENT


class Database:
    """A database, and the idle connections to it that are still good."""

    def __init__(
        self,
        url: str,
        *,
        application_name: str,
        statement_seconds_max: int = STATEMENT_SECONDS_MAX,
        whole_tables: bool = False,
    ) -> None:
        """*whole_tables*: for whoever reads reports; everybody else looks rows up, and is given no other plan."""
        self._url = url
        self._application_name = application_name
        self._seconds_max = statement_seconds_max
        self._session = _session(statement_seconds_max) | ({} if whole_tables else BY_KEY)
        self._idle: list[Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        while self._idle:
            await self._idle.pop().close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection for one use at a time; kept when it is idle afterwards, thrown away when anything went wrong."""
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            yield connection
        except BaseException:
            await connection.close()
            raise
        self._idle.append(connection)

    async def ping(self) -> None:
        """Ask the server something; raises what asking raises when it is not there."""
        async with self.connection() as connection:
            await connection.execute("SELECT 1")

    async def _connect(self) -> Connection:
        connection = await GatheringConnection.connect(
            self._url,
            autocommit=True,
            prepare_threshold=0,
            row_factory=dict_row,
            application_name=self._application_name,
            connect_timeout=CONNECT_SECONDS_MAX,
            options=" ".join(f"-c {name}={value}" for name, value in self._session.items()),
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )
        try:
            arrays.register(connection)
            if connection.info.server_version >= TRANSACTION_TIMEOUT_SINCE:
                limit = f"{self._seconds_max * 1_600}ms"
                await connection.execute("SELECT set_config('transaction_timeout', %(limit)s, false)", {"limit": limit})
        except BaseException:  # Whoever gave up waiting for it would leave it open.
            await connection.close()
            raise
        return connection


def _session(statement_seconds_max: int) -> dict[str, str]:
    """Waiting for a lock ends before the statement does: else somebody's lock would look like a fact's poison."""
    return {
        "TimeZone": "UTC",
        "plan_cache_mode": "force_generic_plan",  # Our statements take arrays: no plan is better for being made anew.
        "statement_timeout": f"{statement_seconds_max * 1_000}ms",
        "lock_timeout": f"{statement_seconds_max * 400}ms",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "2",
        "tcp_keepalives_count": "3",
    }


class CommitRefused(Transient):
    """The server answered COMMIT with something else: nothing of the transaction is in."""


@asynccontextmanager
async def one_transaction(database: Database) -> AsyncIterator[Connection]:
    """BEGIN ... COMMIT on a connection in pipeline mode; any exception leaves nothing behind.

    An aborted transaction answers COMMIT with ROLLBACK, and no error: whoever swallowed the first error would lose
    facts, so only the server's own word counts.  Raises CommitRefused when it says anything else.
    """
    async with database.connection() as connection:
        async with connection.pipeline():
            await connection.execute("BEGIN")
            yield connection
            ended = await connection.execute("COMMIT")
        if ended.statusmessage != "COMMIT":
            raise CommitRefused(f"COMMIT was answered with {ended.statusmessage}")
