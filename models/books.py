"""The books: every concept that must be right, heard fact by fact in one fixed order.

`fold` is the whole of the write path that is not I/O.  It takes what we believe of everything that a batch touches and
the batch's facts in order, and gives what we believe now, what is to be journaled and what is to be said.  Numbers that
readers rely on (an account's sequence, a topic's sequence per account) are given out here, so that the same facts in
the same order give the same numbers again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from models import customers, stripe_events, subscriptions
from models.base import Decision, Envelope, Note, Refusal
from models.catalog import Catalog
from models.customers import Customer
from models.events import Event, SubscriptionChanged, SubscriptionMoved
from models.stripe_events import Fact
from models.subscriptions import Line, Second, Version


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


@dataclass(slots=True)
class Books:
    """What we believe of all that a batch touches.  Lines hold the newest part of a history (`floors`)."""

    customers: dict[str, Customer] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    account_seqs: dict[str, int] = field(default_factory=dict)
    topic_seqs: dict[tuple[str, str], int] = field(default_factory=dict)  # By topic and account.

    def copy(self) -> "Books":
        """Books of its own, so that a fold never writes on what it was given."""
        return Books(
            dict(self.customers),
            dict(self.lines),
            dict(self.account_seqs),
            dict(self.topic_seqs),
        )


@dataclass(frozen=True, slots=True)
class Said:
    """An event with its identity and its place: `event_id` is made of its cause, so a replay says the same thing."""

    event_id: str
    event: Event
    account_seq: int | None
    sequence: int | None  # Contiguous per topic and account; None for an event of no account.


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact, what became of it, and what it made us say."""

    fact: Fact
    outcome: Outcome
    reason: str | None
    account_id: str | None
    account_seq: int | None
    said: tuple[Said, ...]


def fold(before: Books, facts: Iterable[Fact], catalog: Catalog) -> tuple[Books, tuple[Heard, ...]]:
    """Hear *facts* one after the other."""
    books = before.copy()
    return books, tuple(hear(books, fact, catalog) for fact in facts)


def hear(books: Books, fact: Fact, catalog: Catalog) -> Heard:
    """Take one fact through every concept, in order; *books* are brought up to date in place."""
    announced = _hear_customer(books, fact.envelope)
    decided = _hear_subscription(books, fact, catalog)
    known = {event.subject for event in decided.events if isinstance(event, SubscriptionChanged)}
    again = (event for event in announced if not isinstance(event, SubscriptionChanged) or event.subject not in known)
    events = (*again, *decided.events)
    account_id = _account(books, fact.envelope)
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


def discard(books: Books, fact: Fact, why: str) -> Heard:
    """Journal a fact that an operator has decided not to apply."""
    account_id = _account(books, fact.envelope)
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
        if fact.body is not None:
            subscription_id = fact.body.after.subscription_id
            second = subscriptions.second_of(fact.envelope, fact.body)
            found[subscription_id] = min(second, found.get(subscription_id, second))
    return found


def _hear_customer(books: Books, heard: Envelope) -> tuple[Event, ...]:
    if heard.customer is None:
        return ()
    before = books.customers.get(heard.customer) or customers.stranger(heard.customer, livemode=heard.livemode)
    decision = customers.decide(before, heard)
    books.customers[heard.customer] = decision.state
    moved = _move(books, before, decision.state)
    return (*decision.events, *moved)


def _move(books: Books, before: Customer, after: Customer) -> tuple[Event, ...]:
    """A customer whose account is known better now: its subscriptions leave the old one and are said under the new."""
    if before.account_id == after.account_id:
        return ()
    presents = {
        subscription_id: line[-1]
        for subscription_id, line in sorted(books.lines.items())
        if line and line[-1].state.customer_id == after.customer_id
    }
    left = (_moved(one, before, after) for one in presents.items())
    found = (
        subscriptions.changed(version, subscription_id=subscription_id, account_id=after.account_id)
        for subscription_id, version in presents.items()
    )
    return (*left, *found)


def _moved(present: tuple[str, Version], before: Customer, after: Customer) -> SubscriptionMoved:
    subscription_id, version = present
    return SubscriptionMoved(
        subject=subscription_id,
        account_id=before.account_id,
        as_of=version.occurred_at,
        moved_to_account_id=after.account_id,
        customer_id=after.customer_id,
    )


def _hear_subscription(books: Books, fact: Fact, catalog: Catalog) -> Decision[Line, Event]:
    if fact.body is None:
        listened = fact.envelope.type in customers.TYPES
        return Decision((), refusal=None if listened else Refusal.NOT_OURS)
    subscription_id = fact.body.after.subscription_id
    new = subscriptions.version_of(fact.envelope, fact.body, catalog)
    account_id = books.customers[fact.body.after.customer_id].account_id
    line = books.lines.get(subscription_id, ())
    decision = subscriptions.decide(line, new, subscription_id=subscription_id, account_id=account_id)
    books.lines[subscription_id] = decision.state
    return decision


def _flag(heard: Envelope) -> Note | None:
    return None if stripe_events.knows_api_version(heard.api_version) else Note.UNKNOWN_API_VERSION


def _account(books: Books, heard: Envelope) -> str | None:
    return books.customers[heard.customer].account_id if heard.customer in books.customers else None


def _next_account_seq(books: Books, account_id: str | None) -> int | None:
    if account_id is None:
        return None
    books.account_seqs[account_id] = books.account_seqs.get(account_id, 0) + 1
    return books.account_seqs[account_id]
