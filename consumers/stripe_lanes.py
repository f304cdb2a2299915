"""Requests in hand, put in order: what has one key goes one after the other, and who asks for one object asks once."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from consumers.reader import as_event
from models.stripe_requests import Request, Retrieve, StripeRequested, Why

Lane = deque["Asked"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was read.  `request` is None where it cannot be understood; it is answered all the same."""

    cause: str
    lane: str
    subject: str
    customer: str | None
    request: Request | None
    asked_at: datetime | None = None  # By the broker's clock.


def read(record: ConsumerRecord[bytes, bytes]) -> Asked:
    """The request in a record; one that is none is known by its place in the topic."""
    place = f"{record.topic}:{record.partition}:{record.offset}"
    try:
        event = as_event(record)
        said = StripeRequested.model_validate(event.data)
    except (ValidationError, ValueError, LookupError, AttributeError):  # Headers that are missing or null among them.
        return Asked(place, place, place, None, None)
    asked_at = datetime.fromtimestamp(record.timestamp / 1_000, UTC)
    return Asked(event.id, event.key, said.subject, said.customer_id, said.request, asked_at)


def lanes(asked: Iterable[Asked]) -> list[Lane]:
    """What may be done side by side, each lane in its order.

    Who asks to see an object wants to see it as it is: one answer, given after all of them asked, serves them all.  The
    first one asks, with the reason that wants most.
    """
    once = list({one.cause: one for one in asked}.values())
    wanted: dict[tuple[str, str], Asked] = {}
    for one in once:
        if (thing := _shown(one)) is not None:
            wanted[thing] = _wants_more(wanted.get(thing, one), one)
    found: dict[str, Lane] = {}
    for one in once:
        thing = _shown(one)
        if thing is None:
            found.setdefault(one.lane, deque()).append(one)
        elif thing in wanted:
            asks = wanted.pop(thing)
            found.setdefault(asks.lane, deque()).append(asks)
    return list(found.values())


def settles_in(asked: Asked, now: datetime, settle_seconds: float) -> float:
    """For how many seconds an object is not looked at yet.

    Whoever asks has just heard of a change, and Stripe's clock has whole seconds: what is shown in the same one could
    not be put behind it.
    """
    if asked.asked_at is None or not isinstance(asked.request, Retrieve):
        return 0.0
    left = settle_seconds - (now - asked.asked_at).total_seconds()
    return min(settle_seconds, max(0.0, left))


def _shown(one: Asked) -> tuple[str, str] | None:
    return (one.request.object_kind, one.request.object_id) if isinstance(one.request, Retrieve) else None


def _wants_more(first: Asked, other: Asked) -> Asked:
    """The first of two that ask for one object, looking for its owner if either does, and as late as both want."""
    assert isinstance(first.request, Retrieve), "it was told apart before"
    assert isinstance(other.request, Retrieve), "it was told apart before"
    more = other if other.request.why is Why.OWNER_UNKNOWN else first
    return replace(first, request=more.request, asked_at=other.asked_at)
