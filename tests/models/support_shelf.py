"""A shelf of rows: how the store keeps lines and books, without a database.

`load` cuts exactly as `store.subscriptions.LOAD` does, and `save` writes exactly what `store.subscriptions.save`
writes, so that what the folds need from the store is said here once, and held against the whole line.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from msgspec import structs

from models import books
from models.books import Books, Heard, Identity
from models.causes import Piece, Pieces
from models.customers import Customer, account_of_platform
from models.payments import Payment
from models.stripe_events import Fact
from models.subscriptions import Line, Version
from tests.models.support_facts import CATALOG

Key = TypeVar("Key")
Row = TypeVar("Row")
Floor = tuple[bool, datetime]

THE_LAST_ONE_ONLY: Floor = (True, datetime(9999, 12, 31, tzinfo=UTC))


@dataclass(slots=True)
class LineShelf:
    """The table `subscription_versions`: rows by subscription and fact."""

    rows: dict[str, dict[str, Version]] = field(default_factory=dict)

    def load(self, floors: Mapping[str, Floor]) -> dict[str, Line]:
        """Each line from its floor on, and the one version before it."""
        found = {
            subscription_id: self._cut(self.whole(subscription_id), floor) for subscription_id, floor in floors.items()
        }
        return {subscription_id: line for subscription_id, line in found.items() if line}

    def save(self, before: Mapping[str, Line], after: Mapping[str, Line]) -> None:
        """Write the versions that are new; of those that have moved write the ordinal, which is all that may move."""
        for subscription_id, line in after.items():
            known = {version.fact_id: version.ordinal for version in before.get(subscription_id, ())}
            rows = self.rows.setdefault(subscription_id, {})
            for version in line:
                if known.get(version.fact_id) != version.ordinal:
                    row = rows.get(version.fact_id, version)
                    rows[version.fact_id] = structs.replace(row, ordinal=version.ordinal)

    def whole(self, subscription_id: str) -> Line:
        """The whole line, as its readers order it."""
        rows = self.rows.get(subscription_id, {}).values()
        return tuple(sorted(rows, key=lambda row: (*row.second, row.ordinal)))

    def copy(self) -> "LineShelf":
        """A shelf of its own; rows are immutable."""
        return LineShelf({subscription_id: dict(rows) for subscription_id, rows in self.rows.items()})

    def _cut(self, line: Line, floor: Floor) -> Line:
        newer = tuple(version for version in line if version.second >= floor)
        older = tuple(version for version in line if version.second < floor)
        return (*older[-1:], *newer)


@dataclass(slots=True)
class Shelf:
    """The tables of the books: customers, lines, objects, payments, facts that wait, sequences."""

    customers: dict[str, Customer] = field(default_factory=dict)
    lines: LineShelf = field(default_factory=LineShelf)
    object_lines: LineShelf = field(default_factory=LineShelf)
    pieces: Pieces = field(default_factory=Pieces)
    payments: dict[str, Payment] = field(default_factory=dict)
    waiting: dict[Identity, Fact] = field(default_factory=dict)
    account_seqs: dict[str, int] = field(default_factory=dict)
    topic_seqs: dict[tuple[str, str], int] = field(default_factory=dict)

    def take(self, facts: Iterable[Fact]) -> tuple[Heard, ...]:
        """Hear a batch of fresh facts, as `store.apply` does: load what they touch, fold, save."""
        batch = list(facts)
        before = self.load(batch)
        after, heard = books.fold(before, batch, CATALOG)
        self.save(before, after)
        return heard

    def load(self, facts: Iterable[Fact]) -> Books:
        """What `store.apply` loads for these facts, and no more."""
        batch = list(facts)
        touched = books.touched(batch)
        waiting = {of: fact for of, fact in self.waiting.items() if books.touched([fact]) & touched}
        pieces = self._causes(touched | books.touched(waiting.values()))
        met = {fact.envelope.customer for fact in batch if fact.envelope.customer}
        met |= {piece.customer_id for piece in pieces.values() if piece.customer_id}
        customers = {customer_id: self.customers[customer_id] for customer_id in met if customer_id in self.customers}
        accounts = {one.account_id for one in customers.values()} | {
            account_of_platform(fact.envelope.account) for fact in batch if fact.envelope.account
        }
        accounts |= {piece.account_id for piece in pieces.values() if piece.account_id}
        floors = books.floors(batch)
        moving = self._renamed(customers, batch)
        floors |= {of: THE_LAST_ONE_ONLY for of in self._of_customers(moving) if of not in floors}
        pieces |= self._causes({one.object_id for one in self.pieces.values() if one.customer_id in moving})
        return Books(
            customers=customers,
            lines=self.lines.load(floors),
            object_lines=self.object_lines.load(books.object_floors([*batch, *waiting.values()])),
            pieces=Pieces(pieces),
            payments={of: payment for of, payment in self.payments.items() if of in pieces},
            waiting=books.Waiting(waiting),
            account_seqs={one: seq for one, seq in self.account_seqs.items() if one in accounts},
            topic_seqs={at: seq for at, seq in self.topic_seqs.items() if at[1] in accounts},
        )

    def save(self, before: Books, after: Books) -> None:
        """What `store.apply` writes."""
        self.customers |= after.customers
        self.lines.save(before.lines, after.lines)
        self.object_lines.save(before.object_lines, after.object_lines)
        self.pieces |= after.pieces
        self.payments = _replaced(self.payments, before.payments, after.payments)
        self.waiting = _replaced(self.waiting, before.waiting, after.waiting)
        self.account_seqs |= after.account_seqs
        self.topic_seqs |= after.topic_seqs

    def copy(self) -> "Shelf":
        """A shelf of its own."""
        return Shelf(
            dict(self.customers),
            self.lines.copy(),
            self.object_lines.copy(),
            self.pieces.copy(),
            dict(self.payments),
            dict(self.waiting),
            dict(self.account_seqs),
            dict(self.topic_seqs),
        )

    def _causes(self, object_ids: Iterable[str]) -> dict[str, Piece]:
        return {one.object_id: one for one in self.pieces.cause_of(object_ids)}

    def _renamed(self, customers: Mapping[str, Customer], facts: Iterable[Fact]) -> set[str]:
        named = [fact.envelope for fact in facts if fact.envelope.account and fact.envelope.customer in customers]
        return {one.customer for one in named if one.customer and one.account != customers[one.customer].platform_id}

    def _of_customers(self, customer_ids: set[str]) -> list[str]:
        presents = {of: self.lines.whole(of)[-1] for of in self.lines.rows}
        return sorted(of for of, present in presents.items() if present.state.customer_id in customer_ids)


def _replaced(table: Mapping[Key, Row], before: Mapping[Key, Row], after: Mapping[Key, Row]) -> dict[Key, Row]:
    gone = before.keys() - after.keys()
    return {of: row for of, row in table.items() if of not in gone} | dict(after)
