"""Theirs: the slices of Stripe's events that we read, from every shape that Stripe has sent them in.

Lenient in what it does not need, strict in what it does: unknown fields are passed over, a needed field of a wrong type
is an error.  Before API version 2025-03-31.basil a subscription carries its period; since then its items do.  Before
2020 an item had a `plan` and no `price`.  All of it is read into one snapshot of our own.
(https://docs.stripe.com/api/subscriptions/object, https://docs.stripe.com/changelog/basil)
"""

import hashlib
import re
from collections.abc import Mapping
from functools import cached_property
from operator import attrgetter
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType, convert, structs
from msgspec.json import Decoder
from pydantic_core import from_json

from models import stripe_answers, stripe_objects, thin_events, upcoming_invoices
from models.base import Envelope, Identifier, Moment, Value, as_json
from models.objects import ObjectSeen
from models.stripe_answers import AskedInVain
from models.stripe_slices import Count, Reference, Second, StripeSlice, id_of, in_words, moment, read_usual
from models.thin_events import ThinSeen
from models.upcoming_invoices import UpcomingSeen

SUBSCRIPTION_TYPES: Final = "customer.subscription."
SUBSCRIPTION_ANSWERS: Final = (f"subscription{stripe_answers.ANSWERED}", f"subscription{stripe_answers.IMPORTED}")

OLDEST_KNOWN_API_VERSION: Final = "2017-12-14"
NEWEST_KNOWN_API_VERSION: Final = "2026-10-28.endive"
"""What the `stripe` library that we pin speaks.  Other versions are read by the same slices, flagged, and counted."""

API_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")

SLICE_VERSION: Final = 5
"""Which fields `Fact.digest` covers.  Raise it with every change of what is read: else each second copy of an event
that was read before the change would look like another content under a known id."""


class Unreadable(ValueError):
    """A body that should say something to us and does not.  The words name the field and hold no value of it."""


StatusWord = Literal[
    "incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused"
]


class _Recurring(StripeSlice, frozen=True, kw_only=True):
    interval: str | None = None


class _Price(StripeSlice, frozen=True, kw_only=True):
    """A `price`, or the `plan` that came before it."""

    id: Identifier
    lookup_key: Identifier | None = None
    metadata: dict[str, Any] | None = None
    product: Any = None  # An id, or the product itself when the endpoint's events expand it.
    recurring: _Recurring | None = None
    interval: str | None = None  # Of a plan.


class _Item(StripeSlice, frozen=True, kw_only=True):
    price: _Price | None = None
    plan: Any = None  # Until 2020; since then it stands beside the price, and is not looked at.
    quantity: Count | None = None
    current_period_start: Second | None = None
    current_period_end: Second | None = None

    def __post_init__(self) -> None:
        """Let the plan stand for a price that is not told; raises ValueError where neither tells what is bought."""
        if self.price is not None:
            return
        try:
            structs.force_setattr(self, "price", convert(self.plan, _Price))
        except msgspec.ValidationError as wrong:
            raise ValueError(f"an item needs a price or a plan ({in_words(wrong)})") from None


class _Items(StripeSlice, frozen=True, kw_only=True):
    data: tuple[_Item, ...] = ()


class _Subscription(StripeSlice, frozen=True, kw_only=True):
    id: Identifier
    customer: Reference
    status: StatusWord
    items: _Items = _Items()
    current_period_start: Second | None = None
    current_period_end: Second | None = None
    trial_end: Second | None = None
    cancel_at: Second | None = None
    cancel_at_period_end: bool = False
    canceled_at: Second | None = None
    pause_collection: dict[str, Any] | None = None
    livemode: bool


class _PreviousItems(StripeSlice, frozen=True, kw_only=True):
    data: tuple[_Item, ...] | UnsetType = UNSET


class _Previous(StripeSlice, frozen=True, kw_only=True):
    """`data.previous_attributes`: what the changed fields were before."""

    status: StatusWord | UnsetType = UNSET
    items: _PreviousItems | UnsetType = UNSET
    current_period_start: Second | UnsetType | None = UNSET
    current_period_end: Second | UnsetType | None = UNSET
    trial_end: Second | UnsetType | None = UNSET
    cancel_at: Second | UnsetType | None = UNSET
    cancel_at_period_end: bool | UnsetType | None = UNSET
    canceled_at: Second | UnsetType | None = UNSET
    pause_collection: dict[str, Any] | UnsetType | None = UNSET


class _Data(StripeSlice, frozen=True, kw_only=True):
    object: _Subscription
    previous_attributes: _Previous | None = None


class _SubscriptionEvent(StripeSlice, frozen=True, kw_only=True):
    data: _Data


_SUBSCRIPTION_EVENT: Final = Decoder(_SubscriptionEvent)


class Item(Value, frozen=True, kw_only=True):
    """One line of a subscription: what is bought, how many, for which period."""

    price_id: str
    lookup_key: str | None
    plan_hint: str | None  # What the price's or product's metadata says.
    interval: str | None
    quantity: int | None
    period_start: Moment | None
    period_end: Moment | None


class Snapshot(Value, frozen=True, kw_only=True):
    """A subscription as Stripe showed it, the same for every shape."""

    subscription_id: str
    customer_id: str
    status: str
    items: tuple[Item, ...]
    trial_end: Moment | None
    cancel_at: Moment | None
    cancel_at_period_end: bool
    canceled_at: Moment | None
    collection_paused: bool
    livemode: bool


class SubscriptionSeen(Value, frozen=True, kw_only=True):
    """What one event shows: the subscription after the change and, where Stripe told it, before."""

    after: Snapshot
    before: Snapshot | None


Seen = SubscriptionSeen | ObjectSeen | ThinSeen | AskedInVain | UpcomingSeen
_SEEN: Final[tuple[type[Seen], ...]] = (ObjectSeen, SubscriptionSeen, ThinSeen, AskedInVain, UpcomingSeen)
"""None of them has all fields of one behind it."""

_READ_FROM_EVENTS: Final = attrgetter("type", "customer", "account", "occurred_at", "livemode")
"""What the door reads from an event and the books act on.  The rest of an envelope may differ between two copies."""


class Fact(Value, frozen=True, kw_only=True, dict=True):
    """Something that happened, and what we read of it.  `body` is None for a type whose body nobody reads."""

    envelope: Envelope
    body: Seen | None = None

    def __post_init__(self) -> None:
        """Raises Unreadable when the body is another one's than the envelope's."""
        if isinstance(self.body, SubscriptionSeen) and self.body.after.customer_id != self.envelope.customer:
            raise Unreadable("the envelope and the body name different customers")
        if isinstance(self.body, ObjectSeen) and self.body.object_id != self.envelope.subject:
            raise Unreadable("the envelope and the body name different objects")

    @cached_property
    def slice(self) -> str | None:
        """What we read of the body, as JSON."""
        return as_json(self.body) if self.body else None

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of what we read of it: two copies of one event are the same when these are."""
        read = msgspec.json.encode(_READ_FROM_EVENTS(self.envelope))
        return hashlib.sha256(b"%b\n%b" % (read, (self.slice or "").encode())).digest()


def read(envelope: Envelope, raw: bytes) -> Fact:
    """Read the body of a fact whose type we listen to; Unreadable when it does not say what its type promises."""
    try:
        return Fact(envelope=envelope, body=_seen(envelope.type, raw))
    except msgspec.ValidationError as wrong:
        raise Unreadable(in_words(wrong)) from None
    except Unreadable:
        raise
    except ValueError:
        raise Unreadable("body: no JSON") from None


def as_read(slice_: str) -> Seen:
    """What was read of a body once, by this release or one that may know more fields."""
    told = msgspec.json.decode(slice_, type=dict[str, msgspec.Raw])
    kind = next((one for one in _SEEN if told.keys() >= set(one.__struct_fields__)), None)
    if kind is None:
        raise Unreadable("a slice of no kind that this release reads")
    return msgspec.json.decode(slice_, type=kind)


def knows_api_version(api_version: str | None) -> bool:
    """Whether a version lies within those that we were built for; a fact without one was not shaped by any."""
    if api_version is None:
        return True
    dated = API_VERSION.fullmatch(api_version) is not None
    return dated and OLDEST_KNOWN_API_VERSION <= api_version <= NEWEST_KNOWN_API_VERSION


def concerns_subscription(fact_type: str) -> bool:
    """Whether a fact of this type shows a subscription."""
    return fact_type.startswith(SUBSCRIPTION_TYPES) or fact_type in SUBSCRIPTION_ANSWERS


def read_subscription(raw: bytes) -> SubscriptionSeen:
    """Read the body of a `customer.subscription.*` event; ValidationError when it does not show a subscription."""
    event = read_usual(_SUBSCRIPTION_EVENT, raw) or convert(from_json(raw), _SubscriptionEvent)
    return SubscriptionSeen(after=_snapshot(event.data.object), before=_before(event.data))


def _seen(fact_type: str, raw: bytes) -> Seen | None:
    if concerns_subscription(fact_type):
        return read_subscription(raw)
    if fact_type == upcoming_invoices.TYPE:
        return upcoming_invoices.read(raw)
    if thin_events.is_thin(fact_type):
        return thin_events.read(raw)
    if fact_type == stripe_answers.REQUEST_FAILED:
        return stripe_answers.read_failed(raw)
    return stripe_objects.read(fact_type, raw) if stripe_objects.shows_object(fact_type) else None


def _before(data: _Data) -> Snapshot | None:
    """The snapshot with the previous attributes put back."""
    previous = data.previous_attributes
    if previous is None:
        return None
    told = {name: old for name, old in structs.asdict(previous).items() if old is not UNSET}
    # Of a nested object Stripe tells the changed keys only: where `data` is not among them, the items were the same.
    items = previous.items.data if previous.items is not UNSET else UNSET
    told["items"] = data.object.items if items is UNSET else _Items(data=items)
    return _snapshot(structs.replace(data.object, **told))


def _snapshot(seen: _Subscription) -> Snapshot:
    return Snapshot(
        subscription_id=seen.id,
        customer_id=id_of(seen.customer),
        status=seen.status,
        items=tuple(_item(item, seen) for item in seen.items.data),
        trial_end=moment(seen.trial_end),
        cancel_at=moment(seen.cancel_at),
        cancel_at_period_end=bool(seen.cancel_at_period_end),
        canceled_at=moment(seen.canceled_at),
        collection_paused=seen.pause_collection is not None,
        livemode=seen.livemode,
    )


def _item(item: _Item, subscription: _Subscription) -> Item:
    price = item.price
    assert price is not None, "the plan stands for a price that is not told"
    return Item(
        price_id=price.id,
        lookup_key=price.lookup_key,
        plan_hint=_plan_hint(price),
        interval=price.recurring.interval if price.recurring else price.interval,
        quantity=item.quantity,
        period_start=moment(item.current_period_start or subscription.current_period_start),
        period_end=moment(item.current_period_end or subscription.current_period_end),
    )


def _plan_hint(price: _Price) -> str | None:
    product = price.product.get("metadata") if isinstance(price.product, Mapping) else None
    hint = (price.metadata or {}).get("plan") or (product or {}).get("plan")
    return hint if isinstance(hint, str) else None
