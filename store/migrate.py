"""Bring a database to the version that this code needs, one migration at a time, each in its own transaction.

Run as `billing_owner`.  Processes of the version before go on working while it runs (expand/contract), and a migration
that cannot get its lock gives up after its `lock_timeout` instead of queueing everybody behind it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import NullPool

MIGRATIONS: Final = Path(__file__).parent / "migrations"
CONNECT_SECONDS_MAX: Final = 5
ROLES: Final = ("billing_app", "billing_reader")
SINGLE_RUN_LOCK: Final = 0x62696C6C  # "bill": of two runs at once, the second waits for the first.


class RolesMissing(Exception):
    """The server lacks a role that the schema grants to; the message says how to make it."""


class BadUrl(Exception):
    """What was given as the database's URL is none; the message says what would be right."""


def apply(owner_url: str) -> list[str]:
    """Run every migration that is not in yet; their revisions, oldest first, empty when there was nothing to do.

    Raises RolesMissing, or sqlalchemy's OperationalError when the server cannot be reached or a lock is not to be had.
    """
    with _connected(owner_url) as connection:
        _require_roles(connection)
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": SINGLE_RUN_LOCK})
        connection.commit()
        todo = _todo(connection)
        connection.commit()
        if todo:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        return todo


def status(owner_url: str) -> tuple[str | None, list[str]]:
    """The database's revision, and the revisions that `apply` would run."""
    with _connected(owner_url) as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        return current, _todo(connection)


@contextmanager
def _connected(owner_url: str) -> Iterator[Connection]:
    """A session of its own, closed at the end and its advisory lock with it."""
    scheme, _, rest = owner_url.partition("://")
    if scheme not in {"postgresql", "postgres"}:
        raise BadUrl("the database's URL must begin with postgresql://")
    engine = create_engine(
        f"postgresql+psycopg://{rest}", poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS_MAX}
    )
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _todo(connection: Connection) -> list[str]:
    current = MigrationContext.configure(connection).get_current_revision()
    script = ScriptDirectory.from_config(_config())
    newest_first = script.iterate_revisions("head", current or "base")
    return [migration.revision for migration in newest_first][::-1]


def _require_roles(connection: Connection) -> None:
    query = text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:wanted)")
    there = set(connection.execute(query, {"wanted": list(ROLES)}).scalars())
    missing = [role for role in ROLES if role not in there]
    if missing:
        make = "; ".join(f"CREATE ROLE {role} LOGIN PASSWORD '...'" for role in missing)
        raise RolesMissing(f"the server lacks {', '.join(missing)}: as a superuser, {make}")
