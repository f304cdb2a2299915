"""Parked facts going back into the books: lane by lane, each from its head, with the code of today.

Workers go on meanwhile.  What comes for a lane parks behind it until it is empty, under the same account's lock that a
redrive takes, so that no fact passes another; a lane is therefore read again before each step, never listed once.
"""

import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from models.base import Model
from runtime.failures import Poison, Transient
from store import apply, parked
from store.apply import NotFirst, Tools
from store.parked import ParkedFact
from store.postgres import Database, is_transient

ROOT: Final = Path(__file__).parents[1]
OURS: Final = ("models", "store", "runtime")


class UnknownName(Exception):
    """No lane and no fact of this name is parked."""


class Failed(Model):
    """A fact that still does not go in, and so holds up its lane."""

    lane: str
    fact_id: str
    why: str


class Redriven(Model):
    """What became of a redrive."""

    went_in: int
    failed: tuple[Failed, ...]
    still_parked: int  # In all lanes, those of nobody's asking too.
    lanes_left: bool = False  # Whether there were more lanes than one redrive tries.


class Redrive:
    """One going over parked facts; *stepped* is called after each one that went in."""

    def __init__(self, tools: Tools, stepped: Callable[[], None] = lambda: None) -> None:
        self._tools = tools
        self._stepped = stepped
        self._went_in = 0
        self._failed: list[Failed] = []

    async def lanes(self, names: Iterable[str]) -> Redriven:
        """Every fact of these lanes is in, or its lane stopped at the first one that still fails."""
        for name in names:
            await self._lane(name)
        return await self._so_far()

    async def fact(self, one: ParkedFact) -> Redriven:
        """This fact alone is in, or noted as failed; raises NotFirst when others of its lane stand before it."""
        head = await head_of(self._tools.database, one.lane)
        if head is None or head.parked_id != one.parked_id:
            raise NotFirst(one.envelope.id)
        await self._one(head)
        return await self._so_far()

    async def _lane(self, name: str) -> None:
        before: ParkedFact | None = None
        while (head := await head_of(self._tools.database, name)) is not None:
            assert before is None or head.parked_id > before.parked_id, "a step moves its lane or stops it"
            if not await self._one(head):
                return
            before = head

    async def _one(self, head: ParkedFact) -> bool:
        """Whether its lane may go on.  Raises what PostgreSQL raises when it is away: that is no fact's fault."""
        try:
            await apply.redrive(self._tools, head)
        except NotFirst:
            return True  # Somebody else took it in meanwhile; the lane's next head tells.
        except Transient as away:  # A commit that was refused, say: no attempt of the fact's.
            return self._fail(head, str(away))
        except Exception as error:
            if is_transient(error):
                raise
            why = why_it_failed(error, head)
            await parked.tried(self._tools.database, head.envelope, why)
            return self._fail(head, why)
        self._went_in += 1
        self._stepped()
        return True

    def _fail(self, head: ParkedFact, why: str) -> bool:
        self._failed.append(Failed(lane=head.lane, fact_id=head.envelope.id, why=why))
        return False

    async def _so_far(self) -> Redriven:
        left = await parked.count(self._tools.database)
        return Redriven(went_in=self._went_in, failed=tuple(self._failed), still_parked=left)


async def head_of(database: Database, lane: str) -> ParkedFact | None:
    """The fact that a lane waits for; None when nothing is parked in it."""
    return next(iter(await parked.listed(database, lane=lane, rows_max=1)), None)


async def find(database: Database, fact_id: str) -> ParkedFact:
    """The parked fact of this id; raises UnknownName."""
    found = await parked.listed(database, fact_id=fact_id, rows_max=1)
    if not found:
        raise UnknownName(fact_id)
    return found[0]


def why_it_failed(error: Exception, one: ParkedFact) -> str:
    """What is noted about a failed redrive: the same words as before, or the error's kind and the line it came from.

    Never the error's own words: an exception may quote the fact, and reasons are shown where bodies are not.
    """
    if isinstance(error, Poison) or str(error) == one.reason:
        return str(error)  # Words of our own, which quote nothing.
    return f"{type(error).__name__} at {_place(error)}"


def _place(error: Exception) -> str:
    """The last line of ours that an exception passed."""
    places = ((_relative(frame.filename), frame.lineno) for frame in traceback.extract_tb(error.__traceback__))
    ours = [f"{path}:{line}" for path, line in places if path is not None and path.parts[0] in OURS]
    return ours[-1] if ours else "an unknown place"


def _relative(filename: str) -> Path | None:
    path = Path(filename)
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else None
