"""Drift: where what we believe of an object is not what Stripe shows of it."""

from enum import StrEnum
from typing import Final

from msgspec.structs import asdict

from models import stripe_events, stripe_objects, subscriptions
from models.base import Model
from models.catalog import Catalog
from models.lines import LineState
from models.stripe_events import SUBSCRIPTION_ANSWERS

SUBSCRIPTION: Final = "subscription"

TOLD_BY_SOME_VERSIONS: Final = frozenset({"invoice_id", "payment_intent_ids", "charge_id"})
"""Links that an object names in some API versions and not in others: that one is not told of is no drift.

What is linked, payments say; and the objects that tell of links since basil are compared as any others.
"""


class Why(StrEnum):
    """In which way the two are apart."""

    MISSING = "missing"  # Stripe shows it, and we never saw it.
    DIFFERENT = "different"
    GONE = "gone"  # We believe that it is there, and Stripe lists it no more.
    UNREADABLE = "unreadable"  # What Stripe shows does not say what an object of its kind says.


class Drift(Model):
    """One object of which we believe something else than Stripe shows."""

    kind: str
    object_id: str
    why: Why
    fields: tuple[str, ...] = ()  # By which they differ.


def believed(fact_type: str, raw: bytes, catalog: Catalog) -> LineState:
    """What the books would believe of the object in an answer.  Raises ValidationError when it cannot be read."""
    if fact_type in SUBSCRIPTION_ANSWERS:
        return subscriptions.state_of(stripe_events.read_subscription(raw).after, catalog)
    seen = stripe_objects.read(fact_type, raw)
    assert seen is not None, "only what we read is listed"
    return seen.after


def between(kind: str, object_id: str, ours: LineState | None, theirs: LineState) -> Drift | None:
    """How the two are apart, if they are."""
    if ours is None:
        return Drift(kind=kind, object_id=object_id, why=Why.MISSING)
    fields = tuple(sorted(name for name, value in asdict(theirs).items() if getattr(ours, name) != value))
    told = tuple(name for name in fields if name not in TOLD_BY_SOME_VERSIONS)
    return Drift(kind=kind, object_id=object_id, why=Why.DIFFERENT, fields=told) if told else None
