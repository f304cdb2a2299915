"""Subscriptions: how each stands and stood.  Which fact about one is the last, `models.lines` tells.

Ends are final; within a second `created` comes first and `deleted` last, and the rest is put in order by its chain of
`previous_attributes`.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from msgspec.structs import asdict

from models import lines
from models.base import Decision, Envelope, Moment
from models.catalog import Catalog, Offer
from models.events import AlertRaised, Event, Rule, SubscriptionAmended, SubscriptionChanged
from models.lines import LineState, Second
from models.stripe_events import Item, Snapshot, SubscriptionSeen


class Status(StrEnum):
    """Stripe's statuses (https://docs.stripe.com/api/subscriptions/object#subscription_object-status)."""

    INCOMPLETE = "incomplete"
    INCOMPLETE_EXPIRED = "incomplete_expired"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    UNPAID = "unpaid"
    PAUSED = "paused"
    CANCELED = "canceled"


ARROWS: Final[dict[Status, frozenset[Status]]] = {
    Status.INCOMPLETE: frozenset({Status.ACTIVE, Status.TRIALING, Status.INCOMPLETE_EXPIRED, Status.CANCELED}),
    Status.INCOMPLETE_EXPIRED: frozenset(),  # The end: the first invoice was never paid.
    Status.TRIALING: frozenset({Status.ACTIVE, Status.PAST_DUE, Status.UNPAID, Status.PAUSED, Status.CANCELED}),
    Status.ACTIVE: frozenset({Status.TRIALING, Status.PAST_DUE, Status.UNPAID, Status.PAUSED, Status.CANCELED}),
    Status.PAST_DUE: frozenset({Status.ACTIVE, Status.TRIALING, Status.UNPAID, Status.PAUSED, Status.CANCELED}),
    Status.UNPAID: frozenset({Status.ACTIVE, Status.TRIALING, Status.PAST_DUE, Status.CANCELED}),
    Status.PAUSED: frozenset({Status.ACTIVE, Status.TRIALING, Status.PAST_DUE, Status.CANCELED}),
    Status.CANCELED: frozenset(),  # The end: Stripe starts a new subscription instead.
}
"""Where each status can go.  We follow Stripe wherever it goes; only the ends are ours to hold."""
assert set(ARROWS) == set(Status), "every status has its arrows, even if none"

ENDS: Final = frozenset(status for status, arrows in ARROWS.items() if not arrows)


class State(LineState, frozen=True, kw_only=True):
    """A subscription as we show it: what `reports.subscriptions` and our events are made of."""

    customer_id: str
    status: Status
    plan: str | None
    price_lookup_key: str | None
    billing_interval: str | None
    quantity: int | None
    current_period_start: Moment | None
    current_period_end: Moment | None
    trial_end: Moment | None
    cancel_at: Moment | None
    cancel_at_period_end: bool
    canceled_at: Moment | None
    collection_paused: bool
    livemode: bool

    @property
    def ended(self) -> bool:
        """Whether the subscription is over."""
        return self.status in ENDS


Version: TypeAlias = lines.Version[State]
Line: TypeAlias = lines.Line[State]


def second_of(heard: Envelope, seen: SubscriptionSeen) -> Second:
    """The second that one fact's version belongs to, without making the version."""
    return (seen.after.status in ENDS, heard.occurred_at)


def version_of(heard: Envelope, seen: SubscriptionSeen, catalog: Catalog) -> Version:
    """What one fact makes of the subscription, before anything else is known about it."""
    return lines.Version(
        fact_id=heard.id,
        occurred_at=heard.occurred_at,
        rank=_rank(heard.type),
        state=state_of(seen.after, catalog),
        before=state_of(seen.before, catalog) if seen.before else None,
    )


def decide(line: Line, new: Version, *, subscription_id: str, account_id: str) -> Decision[Line, Event]:
    """Weave *new* into *line* and say what changed by it; a fact that is in it already changes nothing."""
    taken = lines.take(line, new)
    if taken.place is None:
        return Decision(line)
    before, after = line[-1] if line else None, taken.line[-1]
    said: list[Event] = []
    if taken.amends:
        said.append(amended(new, subscription_id=subscription_id, account_id=account_id))
    if before is None or before.state != after.state:
        said.append(changed(after, subscription_id=subscription_id, account_id=account_id))
        said.extend(_unknown_price(before, after, subscription_id=subscription_id, account_id=account_id))
    return Decision(taken.line, tuple(said), refusal=taken.refusal, note=taken.note)


def state_of(seen: Snapshot, catalog: Catalog) -> State:
    """Read a snapshot with the catalog in hand: the plan item is the one whose price is for sale."""
    item, offer = _plan_item(seen.items, catalog)
    return State(
        customer_id=seen.customer_id,
        status=Status(seen.status),
        plan=offer.plan if offer else None,
        price_lookup_key=offer.lookup_key if offer else item.lookup_key if item else None,
        billing_interval=item.interval if item else None,
        quantity=item.quantity if item else None,
        current_period_start=item.period_start if item else None,
        current_period_end=item.period_end if item else None,
        trial_end=seen.trial_end,
        cancel_at=seen.cancel_at,
        cancel_at_period_end=seen.cancel_at_period_end,
        canceled_at=seen.canceled_at,
        collection_paused=seen.collection_paused,
        livemode=seen.livemode,
    )


def changed(version: Version, *, subscription_id: str, account_id: str) -> SubscriptionChanged:
    """The event that says how the subscription is now."""
    return SubscriptionChanged(
        subject=subscription_id, account_id=account_id, as_of=version.occurred_at, **asdict(version.state)
    )


def amended(version: Version, *, subscription_id: str, account_id: str) -> SubscriptionAmended:
    """The event that says how the subscription was once."""
    return SubscriptionAmended(
        subject=subscription_id, account_id=account_id, as_of=version.occurred_at, **asdict(version.state)
    )


def _rank(fact_type: str) -> int:
    return {"customer.subscription.created": 0, "customer.subscription.deleted": 2}.get(fact_type, 1)


def _plan_item(items: Sequence[Item], catalog: Catalog) -> tuple[Item | None, Offer | None]:
    """The first item that is for sale; else the first one, with no offer."""
    for item in items:
        offer = catalog.offer(
            lookup_key=item.lookup_key, price_id=item.price_id, plan_hint=item.plan_hint, interval=item.interval
        )
        if offer:
            return item, offer
    return (items[0] if items else None), None


def _unknown_price(
    before: Version | None, after: Version, *, subscription_id: str, account_id: str
) -> tuple[AlertRaised, ...]:
    if after.state.plan is not None or (before is not None and before.state.plan is None):
        return ()
    alert = AlertRaised(
        rule=Rule.PRICE_NOT_IN_CATALOG,
        subject=subscription_id,
        account_id=account_id,
        customer_id=after.state.customer_id,
        as_of=after.occurred_at,
        detail="No item of this subscription has a price of the catalog: its plan is unknown until one is listed.",
    )
    return (alert,)
