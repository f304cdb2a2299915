"""What PostgreSQL's errors mean to the person who runs a command: one sentence, and what to do about it."""

from collections.abc import Mapping
from typing import Final

import psycopg

_MEANT: Final[Mapping[str, str]] = {
    "42P01": "The schema is not there, or older than this program: run `billing migrate apply`.",
    "42703": "The schema is older than this program: run `billing migrate apply`.",
    "55P03": "Somebody works on what has to be locked, and did not give it up in time.  Nothing was done; try again.",
}


def explain(error: BaseException) -> str | None:
    """A sentence about an error of PostgreSQL's, Alembic's wrapping or not; None for one that is not PostgreSQL's."""
    cause = getattr(error, "orig", None) or error  # SQLAlchemy keeps the driver's own error there.
    if not isinstance(cause, psycopg.Error):
        return None
    if cause.sqlstate is None:
        return f"PostgreSQL cannot be reached: {_first_line(str(cause))}"
    said = cause.diag.message_primary or type(cause).__name__
    return _MEANT.get(cause.sqlstate, f"PostgreSQL refused: {_first_line(said)} (SQLSTATE {cause.sqlstate}).")


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
