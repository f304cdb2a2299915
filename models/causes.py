"""Causes: which of Stripe's objects are about one and the same payment, and whose they are.

A payment is told in pieces: an intent, its charges, refunds and disputes, the invoice or session that it pays.  Each
piece names some of the others, none names all, and some name nobody who owns them.  Pieces that name each other are of
one *cause*; the cause's id is the smallest of its pieces' ids, so it does not depend on which came first.  What one
piece knows of the owner all of them know.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, Self, TypeAlias

from msgspec.structs import replace

from models.base import Envelope, Value
from models.customers import account_of_platform
from models.lines import Line, Version
from models.objects import OF_PAYMENTS, Kind, ObjectSeen, State
from models.stripe_answers import is_answer

ObjectLine: TypeAlias = Line[State]


class Present(Value, frozen=True):
    """An object as it is now, and which fact showed it like that."""

    state: State
    fact_id: str
    occurred_at: datetime


class Piece(Value, frozen=True):
    """One of Stripe's objects that we have seen, or have seen named."""

    object_id: str
    cause_id: str | None = None  # None: it is about no payment.
    customer_id: str | None = None
    account_id: str | None = None  # Of a guest, whom the platform named and Stripe has no customer for.
    ownerless: bool = False  # Stripe was asked: where nobody is named now, nobody knows of an owner.
    present: Present | None = None  # None: it was named and not shown yet.

    @property
    def owned(self) -> bool:
        """Whether it is known whose it is, or that it is nobody's."""
        return self.customer_id is not None or self.account_id is not None or self.ownerless


class Pieces(dict[str, Piece]):
    """Pieces by id, and beside them which are of one cause.  Nothing is ever taken out."""

    def __init__(self, pieces: Mapping[str, Piece] | None = None) -> None:
        super().__init__()
        self._of_cause: dict[str, set[str]] = {}
        self.update(pieces or {})

    def __setitem__(self, object_id: str, piece: Piece) -> None:
        before = self.get(object_id)
        if before is not None and before.cause_id is not None:
            self._of_cause[before.cause_id].discard(object_id)
        if piece.cause_id is not None:
            self._of_cause.setdefault(piece.cause_id, set()).add(object_id)
        super().__setitem__(object_id, piece)

    def update(self, pieces: Mapping[str, Piece]) -> None:  # type: ignore[override]  # Its own forgets the causes.
        """Write all of these."""
        for object_id, piece in pieces.items():
            self[object_id] = piece

    def __ior__(self, pieces: Mapping[str, Piece]) -> Self:  # type: ignore[override, misc]  # The same.
        self.update(pieces)
        return self

    def copy(self) -> "Pieces":
        """Pieces of its own."""
        copied = Pieces()
        dict.update(copied, self)
        copied._of_cause = {cause_id: set(ids) for cause_id, ids in self._of_cause.items()}
        return copied

    def cause_of(self, object_ids: Iterable[str]) -> tuple[Piece, ...]:
        """All known pieces of the causes that these objects are of, by id."""
        found = {one for one in object_ids if one in self}
        causes = {self[one].cause_id for one in found}
        return tuple(self[one] for one in sorted(found.union(*(self._of_cause[one] for one in causes if one))))


class Owner(Value, frozen=True):
    """Whom a cause belongs to."""

    customer_id: str | None
    account_id: str | None  # Where there is no customer.


def owner_of(pieces: Iterable[Piece]) -> Owner:
    """Whom these pieces of one cause belong to.  Stripe's customer counts before what the platform says."""
    listed = list(pieces)
    customer_id = _least(one.customer_id for one in listed)
    return Owner(customer_id, None if customer_id else _least(one.account_id for one in listed))


def version_of(heard: Envelope, seen: ObjectSeen) -> Version[State]:
    """What one fact makes of the object that it shows."""
    return Version(
        fact_id=heard.id,
        occurred_at=heard.occurred_at,
        rank=seen.rank(heard.type),
        state=seen.after,
        before=seen.before,
    )


def to_be_asked(seen: ObjectSeen) -> tuple[Kind, str]:
    """The object that Stripe is asked for when nobody tells whose a fact is: the one most likely to name somebody."""
    state = seen.after
    for name, kind in _TELLING.items():
        if (named := getattr(state, name, None)) is not None:
            return kind, named
    return state.kind, seen.object_id


_TELLING: Final = {
    "payment_intent_id": Kind.PAYMENT_INTENT,
    "charge_id": Kind.CHARGE,
    "invoice_id": Kind.INVOICE,
}


def is_owned(pieces: Pieces, heard: Envelope, seen: ObjectSeen) -> bool:
    """Whether it is known whose the fact is: it says so itself, or a piece of its cause does."""
    if seen.after.kind not in OF_PAYMENTS or heard.customer or heard.account:
        return True
    return any(one.owned for one in pieces.cause_of(seen.touched))


def joined(pieces: Pieces, heard: Envelope, seen: ObjectSeen, line: ObjectLine) -> dict[str, Piece]:
    """The pieces that a fact changes: the one it shows, and all of the causes that it joins to one."""
    shown = pieces.get(seen.object_id) or Piece(seen.object_id)
    shown = replace(
        shown,
        customer_id=heard.customer or shown.customer_id,
        account_id=_guest(heard) or shown.account_id,
        ownerless=shown.ownerless or is_answer(heard.type),
        present=_present(line),
    )
    if seen.after.kind not in OF_PAYMENTS:
        return {seen.object_id: shown}
    ids = seen.touched
    known = pieces.cause_of(ids)
    members = {one.object_id: one for one in known}
    if _tells_nothing_of_its_cause(members, ids, shown):
        members[seen.object_id] = shown
        return members
    members = {one: Piece(one) for one in ids} | members
    members[seen.object_id] = shown
    cause_id = min(members)
    customer_id = _least(piece.customer_id for piece in members.values())
    account_id = _least(piece.account_id for piece in members.values())
    ownerless = any(piece.ownerless for piece in members.values())
    told = (cause_id, customer_id, account_id, ownerless)
    return {one: _told(piece, *told) for one, piece in sorted(members.items())}


def _tells_nothing_of_its_cause(members: Mapping[str, Piece], ids: Iterable[str], shown: Piece) -> bool:
    """Whether all that an object names was of its cause before, and the owner is the same: so it is for most facts."""
    was = members.get(shown.object_id)
    if was is None or was.cause_id is None:
        return False
    known = (was.cause_id, shown.customer_id, shown.account_id, shown.ownerless)
    return known == (shown.cause_id, was.customer_id, was.account_id, was.ownerless) and all(
        one in members and members[one].cause_id == was.cause_id for one in ids
    )


def _told(piece: Piece, cause_id: str, customer_id: str | None, account_id: str | None, ownerless: bool) -> Piece:
    """The piece with what its cause knows: itself, where that is nothing new, as it is for most."""
    if (piece.cause_id, piece.customer_id, piece.account_id, piece.ownerless) == (
        cause_id,
        customer_id,
        account_id,
        ownerless,
    ):
        return piece
    return replace(piece, cause_id=cause_id, customer_id=customer_id, account_id=account_id, ownerless=ownerless)


def _least(ids: Iterable[str | None]) -> str | None:
    """The smallest: whoever came first, it is the same one in the end."""
    return min((one for one in ids if one), default=None)


def _guest(heard: Envelope) -> str | None:
    return account_of_platform(heard.account) if heard.account and not heard.customer else None


def _present(line: ObjectLine) -> Present:
    last = line[-1]
    return Present(last.state, last.fact_id, last.occurred_at)
