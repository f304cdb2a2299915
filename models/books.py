"""The books: every concept that must be right, heard fact by fact in one fixed order.

`fold` is the whole of the write path that is not I/O.  It takes what we believe of everything that a batch touches and
the batch's facts in order, and gives what we believe now, what is to be journaled and what is to be said.  Numbers that
readers rely on (an account's sequence, a topic's sequence per account) are given out here, so that the same facts in
the same order give the same numbers again.
"""

from collections import UserDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import Final, Self

from msgspec.structs import replace

from models import (
    causes,
    customers,
    fraud_warnings,
    lines,
    payments,
    prices,
    stripe_events,
    subscriptions,
    upcoming_invoices,
)
from models.base import Decision, Envelope, Note, Refusal, Value
from models.catalog import Catalog
from models.causes import ObjectLine, Owner, Piece, Pieces
from models.customers import Customer
from models.events import AlertRaised, Event, SubscriptionChanged, SubscriptionMoved
from models.lines import Second
from models.objects import Kind, ObjectSeen
from models.payments import About, Payment
from models.stripe_answers import AskedInVain, is_answer, is_history
from models.stripe_events import Fact, SubscriptionSeen
from models.stripe_requests import Retrieve, StripeRequested, Why
from models.subscriptions import Line, Version
from models.thin_events import ThinSeen
from models.upcoming_invoices import UpcomingSeen

Identity = tuple[str, str]

SUBSCRIPTION: Final = "subscription"
"""Stripe's word for it, which is no kind of `models.objects`."""


class Outcome(StrEnum):
    """What became of a fact.  `waiting` and `parked` facts have not been heard by the books yet."""

    APPLIED = "applied"
    STALE = "stale"  # It amended the history; the present is as it was.
    REFUSED = "refused"
    IGNORED = "ignored"  # Nobody listens to its type.
    WAITING = "waiting"  # Its owner is not known yet.
    PARKED = "parked"  # It, or one before it, needs an operator.


_OUTCOMES: Final[Mapping[Refusal | None, Outcome]] = {
    None: Outcome.APPLIED,
    Refusal.STALE: Outcome.STALE,
    Refusal.AFTER_END: Outcome.REFUSED,
    Refusal.DISCARDED: Outcome.REFUSED,
    Refusal.NOT_OURS: Outcome.IGNORED,
}
assert set(_OUTCOMES) == {None, *Refusal}, "every refusal has its outcome"


class Waiting(UserDict[Identity, Fact]):
    """Facts whose owner is not known yet, oldest first, and beside them who waits for news of which object."""

    def __init__(self, facts: Mapping[Identity, Fact] | None = None) -> None:
        self._by_object: dict[str, set[Identity]] = {}
        super().__init__(facts or {})

    def __setitem__(self, identity: Identity, fact: Fact) -> None:
        super().__setitem__(identity, fact)
        for object_id in touched([fact]):
            self._by_object.setdefault(object_id, set()).add(identity)

    def __delitem__(self, identity: Identity) -> None:
        for object_id in touched([self.data[identity]]):
            self._by_object[object_id].discard(identity)
        super().__delitem__(identity)

    def __ior__(self, facts: Mapping[Identity, Fact]) -> Self:  # type: ignore[override, misc]  # Its own tells no index.
        self.update(facts)
        return self

    def copy(self) -> "Waiting":
        """Facts of its own."""
        return Waiting(self.data)

    def of(self, object_ids: Iterable[str]) -> list[Identity]:
        """Those that wait for news of these objects, oldest first."""
        found: set[Identity] = set().union(*(self._by_object.get(one, ()) for one in object_ids))
        return [identity for identity in self.data if identity in found] if len(found) > 1 else list(found)


@dataclass(slots=True)
class Books:
    """What we believe of all that a batch touches.  Lines hold the newest part of a history (`floors`)."""

    customers: dict[str, Customer] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    object_lines: dict[str, ObjectLine] = field(default_factory=dict)
    pieces: Pieces = field(default_factory=Pieces)  # Of the causes that the batch touches, all of them.
    payments: dict[str, Payment] = field(default_factory=dict)
    waiting: Waiting = field(default_factory=Waiting)
    account_seqs: dict[str, int] = field(default_factory=dict)
    topic_seqs: dict[tuple[str, str], int] = field(default_factory=dict)  # By topic and account.

    def copy(self) -> "Books":
        """Books of its own, so that a fold never writes on what it was given."""
        return Books(
            dict(self.customers),
            dict(self.lines),
            dict(self.object_lines),
            self.pieces.copy(),
            dict(self.payments),
            self.waiting.copy(),
            dict(self.account_seqs),
            dict(self.topic_seqs),
        )


class Said(Value, frozen=True):
    """An event with its identity and its place: `event_id` is made of its cause, so a replay says the same thing."""

    event_id: str
    event: Event
    account_seq: int | None
    sequence: int | None  # Contiguous per topic and account; None for an event of no account.


class Heard(Value, frozen=True):
    """A fact, what became of it, and what it made us say."""

    fact: Fact
    outcome: Outcome
    reason: str | None
    account_id: str | None
    account_seq: int | None
    said: tuple[Said, ...]


def fold(before: Books, facts: Iterable[Fact], catalog: Catalog) -> tuple[Books, tuple[Heard, ...]]:
    """Hear *facts* one after the other, and behind each those that have waited for it."""
    books = before.copy()
    return books, tuple(heard for fact in facts for heard in take(books, fact, catalog))


def take(books: Books, fact: Fact, catalog: Catalog) -> tuple[Heard, ...]:
    """Hear a fact, and those that waited for what it tells; or let it wait.  *books* are changed in place."""
    if _must_wait(books, fact):
        books.waiting[fact.envelope.identity] = fact
        return (Heard(fact, Outcome.WAITING, None, None, None, ()),)
    heard = hear(books, fact, catalog)
    return (heard, *_present(books, lambda: _waiting_for(books, fact), catalog)) if books.waiting else (heard,)


def present(books: Books, catalog: Catalog) -> tuple[Heard, ...]:
    """Hear those that waited and need not any more, the oldest first; one may bring what another waits for."""
    return tuple(_present(books, lambda: list(books.waiting), catalog))


def _present(books: Books, waiting: Callable[[], Iterable[Identity]], catalog: Catalog) -> Iterator[Heard]:
    """Hear the first of those that wait that need not any more, until there is none."""
    while (ready := next((one for one in waiting() if not _must_wait(books, books.waiting[one])), None)) is not None:
        yield hear(books, books.waiting.pop(ready), catalog)


def _waiting_for(books: Books, fact: Fact) -> list[Identity]:
    """Who waits for news of what a fact shows, or of what is of one cause with it; nobody else need be looked at."""
    ids = touched([fact])
    return books.waiting.of(ids.union(one.object_id for one in books.pieces.cause_of(ids))) if ids else []


def hear(books: Books, fact: Fact, catalog: Catalog) -> Heard:
    """Take one fact through every concept, in order; *books* are brought up to date in place."""
    announced = _hear_customer(books, fact.envelope)
    decided = _hear_body(books, fact, catalog)
    known = {event.subject for event in decided.events if isinstance(event, SubscriptionChanged)}
    again = (event for event in announced if not isinstance(event, SubscriptionChanged) or event.subject not in known)
    events = (*again, *decided.events)
    account_id = account_of_fact(books, fact)
    if decided.note is Note.AMBIGUOUS_ORDER and not is_answer(fact.envelope.type):
        events = (*events, _asked(fact, account_id))
    if is_history(fact.envelope.type):
        events = tuple(_as_history(events))
    account_seq = _next_account_seq(books, account_id)
    # A stale fact's outcome says so already; that ids had to decide its place would be counted nowhere else.
    reason = decided.note or decided.refusal or _flag(fact.envelope)
    return Heard(
        fact=fact,
        outcome=_OUTCOMES[decided.refusal],
        reason=reason.value if reason else None,
        account_id=account_id,
        account_seq=account_seq,
        said=tuple(
            say(books, event, cause=fact.envelope, account_seq=account_seq if event.account_id == account_id else None)
            for event in events
        ),
    )


def _as_history(events: Iterable[Event]) -> Iterator[Event]:
    """What is said of how it was before we went live; nobody is alerted about that."""
    for event in events:
        if not isinstance(event, AlertRaised):
            yield event.model_copy(update={"historical": True})


def discard(books: Books, fact: Fact, why: str) -> Heard:
    """Journal a fact that an operator has decided not to apply."""
    account_id = account_of_fact(books, fact)
    reason = f"{Refusal.DISCARDED.value}: {why}"
    return Heard(fact, Outcome.REFUSED, reason, account_id, _next_account_seq(books, account_id), ())


def say(books: Books, event: Event, *, cause: Envelope, account_seq: int | None) -> Said:
    """Give an event its identity and its number in its topic.

    *account_seq* is that of the cause in its own account; an event of another account bears none.
    """
    event_id = f"{cause.source.value}/{cause.id}/{event.type}/{event.subject}"
    if event.account_id is None:
        return Said(event_id, event, account_seq, None)
    at = (event.topic.name, event.account_id)
    books.topic_seqs[at] = books.topic_seqs.get(at, 0) + 1
    return Said(event_id, event, account_seq, books.topic_seqs[at])


def floors(facts: Iterable[Fact]) -> dict[str, Second]:
    """By subscription, the oldest second that these facts touch: its line is loaded from there, and with the one
    version before it.
    """
    found: dict[str, Second] = {}
    for fact in facts:
        if isinstance(fact.body, SubscriptionSeen):
            second = subscriptions.second_of(fact.envelope, fact.body)
            _lower(found, fact.body.after.subscription_id, second)
    return found


def object_floors(facts: Iterable[Fact]) -> dict[str, Second]:
    """The same by object, for all that is no subscription."""
    found: dict[str, Second] = {}
    for fact in facts:
        if isinstance(fact.body, ObjectSeen):
            _lower(found, fact.body.object_id, (fact.body.after.ended, fact.envelope.occurred_at))
    return found


def touched(facts: Iterable[Fact]) -> set[str]:
    """The ids of all pieces that these facts touch; those of their causes are wanted, too."""
    bodies = [fact.body for fact in facts]
    shown = {piece for body in bodies if isinstance(body, ObjectSeen) for piece in body.touched}
    return shown | {body.object_id for body in bodies if isinstance(body, AskedInVain)}


def account_of(books: Books, owner: Owner) -> str | None:
    """The account of a cause's owner."""
    known = books.customers.get(owner.customer_id or "")
    return known.account_id if known else owner.account_id


def _lower(found: dict[str, Second], object_id: str, second: Second) -> None:
    found[object_id] = min(second, found.get(object_id, second))


def _must_wait(books: Books, fact: Fact) -> bool:
    """Whether nobody knows yet whose this fact is.  What Stripe answers when asked does not wait for more."""
    if not isinstance(fact.body, ObjectSeen) or is_answer(fact.envelope.type):
        return False
    return not causes.is_owned(books.pieces, fact.envelope, fact.body)


def _hear_customer(books: Books, heard: Envelope) -> tuple[Event, ...]:
    if heard.customer is None:
        return ()
    before = books.customers.get(heard.customer) or customers.stranger(heard.customer, livemode=heard.livemode)
    decision = customers.decide(before, heard)
    books.customers[heard.customer] = decision.state
    moved = _move(books, before, decision.state)
    return (*decision.events, *moved)


def _move(books: Books, before: Customer, after: Customer) -> tuple[Event, ...]:
    """A customer whose account is known better now: what is its own leaves the old one and is said under the new."""
    if before.account_id == after.account_id:
        return ()
    own = (one for one, line in books.lines.items() if line and line[-1].state.customer_id == after.customer_id)
    presents = {subscription_id: books.lines[subscription_id][-1] for subscription_id in sorted(own)}
    left = (_moved(one, before, after) for one in presents.items())
    found = (
        subscriptions.changed(version, subscription_id=subscription_id, account_id=after.account_id)
        for subscription_id, version in presents.items()
    )
    return (*left, *found, *_paid_again(books, after))


def _paid_again(books: Books, after: Customer) -> Iterable[Event]:
    """What a customer has paid, said under its new account: the last word on each counts."""
    paid = [payment for payment in books.payments.values() if payment.customer_id == after.customer_id]
    for payment in sorted(paid, key=attrgetter("payment_id")):
        yield payments.changed(payment, About(after.account_id, payment.occurred_at))
    owned = [piece for piece in books.pieces.values() if piece.customer_id == after.customer_id]
    for piece in sorted(owned, key=attrgetter("object_id")):
        if piece.present is not None:
            about = About(after.account_id, piece.present.occurred_at)
            yield from payments.shown(piece.object_id, piece.present.state, about)


def _moved(present: tuple[str, Version], before: Customer, after: Customer) -> SubscriptionMoved:
    subscription_id, version = present
    return SubscriptionMoved(
        subject=subscription_id,
        account_id=before.account_id,
        as_of=version.occurred_at,
        moved_to_account_id=after.account_id,
        customer_id=after.customer_id,
    )


def _hear_body(books: Books, fact: Fact, catalog: Catalog) -> Decision[None, Event]:
    """Let the concept hear it whose business it is."""
    if isinstance(fact.body, SubscriptionSeen):
        return _hear_subscription(books, fact.envelope, fact.body, catalog)
    if isinstance(fact.body, ObjectSeen):
        return _hear_object(books, fact.envelope, fact.body, catalog)
    if isinstance(fact.body, UpcomingSeen):
        notice = upcoming_invoices.told(fact.envelope, fact.body, account_of_fact(books, fact))
        return Decision(None, (notice,))
    if isinstance(fact.body, ThinSeen):
        return _hear_thin(fact, fact.body)
    if isinstance(fact.body, AskedInVain):
        return _hear_refusal(books, fact.body)
    return Decision(None, refusal=None if fact.envelope.type in customers.TYPES else Refusal.NOT_OURS)


def _hear_subscription(
    books: Books, heard: Envelope, seen: SubscriptionSeen, catalog: Catalog
) -> Decision[None, Event]:
    subscription_id = seen.after.subscription_id
    new = subscriptions.version_of(heard, seen, catalog)
    account_id = books.customers[seen.after.customer_id].account_id
    line = books.lines.get(subscription_id, ())
    decision = subscriptions.decide(line, new, subscription_id=subscription_id, account_id=account_id)
    books.lines[subscription_id] = decision.state
    return Decision(None, decision.events, decision.refusal, decision.note)


def _hear_object(books: Books, heard: Envelope, seen: ObjectSeen, catalog: Catalog) -> Decision[None, Event]:
    """An object's line, its cause, and the payments that the cause makes."""
    was = books.object_lines.get(seen.object_id, ())
    taken = lines.take(was, causes.version_of(heard, seen))
    members = causes.joined(books.pieces, heard, seen, taken.line)
    books.object_lines[seen.object_id] = taken.line
    changed = {one: piece for one, piece in members.items() if books.pieces.get(one) is not piece}
    about = About(account_of(books, causes.owner_of(members.values())), heard.occurred_at)
    touches_payments = payments.may_change(books.pieces, changed)
    books.pieces |= changed
    events = [*_hear_payments(books, members, about)] if touches_payments else []
    before, after = was[-1].state if was else None, taken.line[-1].state
    if before != after:
        events += payments.shown(seen.object_id, after, about)
        events += fraud_warnings.told(seen.object_id, before, after, about)
        events += prices.told(seen.object_id, after, about, catalog)
    return Decision(None, tuple(events), taken.refusal, taken.note)


def _hear_thin(fact: Fact, seen: ThinSeen) -> Decision[None, Event]:
    """Ask for what is not shown, if it is anything that we read."""
    if seen.object_kind not in {SUBSCRIPTION, *Kind}:
        return Decision(None, refusal=Refusal.NOT_OURS)
    return Decision(None, (_wanted(fact, seen.object_kind, seen.object_id, Why.THIN_EVENT),))


def _hear_refusal(books: Books, refused: AskedInVain) -> Decision[None, Event]:
    """What Stripe has no such object of is nobody's: those who wait for its owner need not any more."""
    if refused.nobody_knows:
        members = books.pieces.cause_of([refused.object_id]) or (Piece(refused.object_id),)
        books.pieces |= {one.object_id: replace(one, ownerless=True) for one in members}
    return Decision(None)


def _hear_payments(books: Books, members: Mapping[str, Piece], about: About) -> Iterable[Event]:
    before = {one: books.payments[one] for one in members if one in books.payments}
    after = payments.payments_of(members.values())
    for one in before.keys() - after.keys():
        del books.payments[one]
    books.payments |= after
    return payments.said(before, after, about)


def ask_for_owner(fact: Fact) -> StripeRequested:
    """What Stripe is asked when nobody tells whose a fact is."""
    assert isinstance(fact.body, ObjectSeen), "only what shows an object of a payment waits"
    kind, object_id = causes.to_be_asked(fact.body)
    return _wanted(fact, kind, object_id, Why.OWNER_UNKNOWN)


def _asked(fact: Fact, account_id: str | None) -> StripeRequested:
    """Ask for an object whose facts only their ids could put in order: what it is now comes as a fact behind them."""
    object_id = fact.body.object_id if isinstance(fact.body, ObjectSeen) else fact.envelope.subject
    kind = fact.body.after.kind if isinstance(fact.body, ObjectSeen) else SUBSCRIPTION
    assert object_id is not None, "what is put in order has an id"
    return _wanted(fact, kind, object_id, Why.AMBIGUOUS_ORDER, account_id)


def _wanted(fact: Fact, kind: str, object_id: str, why: Why, account_id: str | None = None) -> StripeRequested:
    return StripeRequested(
        subject=object_id,
        account_id=account_id,
        as_of=fact.envelope.occurred_at,
        customer_id=fact.envelope.customer,
        request=Retrieve(object_kind=kind, object_id=object_id, why=why),
    )


def _flag(heard: Envelope) -> Note | None:
    return None if stripe_events.knows_api_version(heard.api_version) else Note.UNKNOWN_API_VERSION


def account_of_fact(books: Books, fact: Fact) -> str | None:
    """Whose a fact is: its customer's, else that of the cause that it is of."""
    known = books.customers.get(fact.envelope.customer or "")
    if known is not None or not isinstance(fact.body, ObjectSeen):
        return known.account_id if known else None
    return account_of(books, causes.owner_of(books.pieces.cause_of(fact.body.touched)))


def _next_account_seq(books: Books, account_id: str | None) -> int | None:
    if account_id is None:
        return None
    books.account_seqs[account_id] = books.account_seqs.get(account_id, 0) + 1
    return books.account_seqs[account_id]
