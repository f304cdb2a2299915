"""An exception as text that may be kept: its kind and where it came from, never what was in somebody's data.

An exception's words quote what it stumbled over: PostgreSQL's a whole row, pydantic's the input, a KeyError the key.
So only the type and the frames are told, and of two kinds what is known to be free of contents.
"""

import traceback
from types import TracebackType
from typing import Final

from pydantic import ValidationError

CHAIN_MAX: Final = 16  # A loop that retries may chain without end; what lies deeper explains nothing more.
_CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def render(exc_info: ExcInfo) -> str:
    """The traceback as Python prints it, without local variables and without the exceptions' own words."""
    return _chain(exc_info[1], CHAIN_MAX)


def _chain(error: BaseException, left: int) -> str:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is None or left == 0:
        return _one(error, left)
    return _chain(before, left - 1) + (_CAUSE if error.__cause__ else _CONTEXT) + _one(error, left)


def _one(error: BaseException, left: int) -> str:
    frames = "".join(traceback.format_tb(error.__traceback__))
    head = f"Traceback (most recent call last):\n{frames}" if frames else ""
    words = ": ".join(filter(None, (_name(error), _harmless(error))))
    return f"{head}{words}\n{_members(error, left)}"


def _members(error: BaseException, left: int) -> str:
    if not isinstance(error, BaseExceptionGroup) or left == 0:
        return ""
    return "".join(f"\nOne of the group:\n\n{_chain(one, left - 1)}" for one in error.exceptions)


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _harmless(error: BaseException) -> str:
    """What an error says of itself without quoting: PostgreSQL's state and first line, pydantic's places and kinds."""
    if isinstance(error, ValidationError):
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        return ", ".join(f"{'.'.join(map(str, one['loc']))} {one['type']}".strip() for one in problems)
    # By their looks, because only `store` knows psycopg.
    state, diagnosis = getattr(error, "sqlstate", None), getattr(error, "diag", None)
    return " ".join(filter(None, (state, getattr(diagnosis, "message_primary", None))))
