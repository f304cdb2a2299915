"""A database in memory around the real fold: one transaction for a batch, with all the ways in which a commit ends.

It does what `store.apply` does, in the same order: check the position, claim, load, fold, save, journal, announce, move
the position.  A transaction is computed on what was loaded and saved in one piece, so a lost one leaves nothing behind.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from models.books import Heard, Said
from tests.models.support_shelf import Shelf
from tests.simulation.support_ranges import Ranges
from tests.simulation.support_stripe import Letter


class ConnectionLost(Exception):
    """The answer to COMMIT never came: it may have happened, or not."""


class GapFound(Exception):
    """A batch begins beyond the position: something would be skipped."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A letter, and where in the topic it stood."""

    partition: int
    offset: int
    letter: Letter


@dataclass(slots=True)
class Tables:
    """What is committed."""

    shelf: Shelf = field(default_factory=Shelf)
    inbox: set[tuple[str, str]] = field(default_factory=set)
    positions: dict[int, int] = field(default_factory=dict)
    journal: list[Heard] = field(default_factory=list)
    parked: list[Letter] = field(default_factory=list)
    outbox: list[Said] = field(default_factory=list)
    sent_count: int = 0  # Of the outbox, from its beginning.


class Database:
    """The books of one world."""

    def __init__(self, chance: random.Random, ranges: Ranges) -> None:
        self._chance = chance
        self._ranges = ranges
        self.fair = False
        self.tables = Tables()

    def apply(self, batch: Sequence[Taken]) -> None:
        """Take a batch into the books, all of it or nothing.

        Raises GapFound when it begins beyond a position, ConnectionLost when nobody can say whether it is in.
        """
        self.check(batch)
        fate = self._fate()
        if fate != "lost":
            self.commit(batch, self.claim(batch))
        if fate != "committed":
            raise ConnectionLost(fate)

    def check(self, batch: Sequence[Taken]) -> None:
        """A batch begins at or before the position of each of its partitions."""
        first = {taken.partition: taken.offset for taken in reversed(batch)}
        for partition, offset in first.items():
            if offset > self.tables.positions.get(partition, 0):
                raise GapFound(f"partition {partition}: offset {offset}")

    def claim(self, batch: Sequence[Taken]) -> list[Letter]:
        """The first copies of what is new."""
        first = {taken.letter.identity: taken.letter for taken in reversed(batch)}
        ordered = dict.fromkeys(taken.letter.identity for taken in batch)
        return [first[identity] for identity in ordered if identity not in self.tables.inbox]

    def commit(self, batch: Sequence[Taken], fresh: Sequence[Letter]) -> None:
        """Everything at once."""
        tables = self.tables
        heard = tables.shelf.take([letter.fact for letter in fresh if letter.fact is not None])
        tables.inbox.update(letter.identity for letter in fresh)
        tables.parked.extend(letter for letter in fresh if letter.fact is None)
        tables.journal.extend(heard)
        tables.outbox.extend(said for one in heard for said in one.said)
        for taken in batch:
            tables.positions[taken.partition] = max(tables.positions.get(taken.partition, 0), taken.offset + 1)

    def _fate(self) -> str:
        if self.fair:
            return "committed"
        throw = self._chance.random()
        if throw < self._ranges.commit_lost_rate:
            return "lost"
        if throw < self._ranges.commit_lost_rate + self._ranges.commit_unknown_rate:
            return self._chance.choice(("lost", "committed and not told"))
        return "committed"
