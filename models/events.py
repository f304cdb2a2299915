"""What we say: the data of every event that we publish.  Strict, versioned, and without personal data.

An event is a CloudEvent 1.0 (https://github.com/cloudevents/spec); its class here is the shape of its data.  A field
is only ever added, with a default; any other change is a new type with a new version in its name.
"""

from enum import StrEnum
from typing import Literal

from models.base import Moment
from models.event import Event as Event  # noqa: PLC0414  # Whoever says one finds the noun here, too.
from models.topics import ALERTS, PARKED, SUBSCRIPTIONS


class SubscriptionVersion(Event):
    """A subscription as it was from `as_of` on.  Statuses and intervals are Stripe's words."""

    topic = SUBSCRIPTIONS
    customer_id: str
    status: str
    plan: str | None  # None: no item of it has a price of the catalog.
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


class SubscriptionChanged(SubscriptionVersion):
    """The subscription is like this now."""

    type: Literal["billing.subscription.changed.v1"] = "billing.subscription.changed.v1"


class SubscriptionAmended(SubscriptionVersion):
    """We learned late that the subscription was like this once; what it is now stays as it was said."""

    type: Literal["billing.subscription.amended.v1"] = "billing.subscription.amended.v1"


class SubscriptionMoved(Event):
    """The subscription is another account's, as we know now; that account hears how it stands.  Said to the old one."""

    topic = SUBSCRIPTIONS
    type: Literal["billing.subscription.moved.v1"] = "billing.subscription.moved.v1"
    moved_to_account_id: str
    customer_id: str


class Rule(StrEnum):
    """What an alert is about."""

    PRICE_NOT_IN_CATALOG = "price_not_in_catalog"  # A subscription has no item of the catalog: its plan is unknown.
    CUSTOMER_NAMED_TWICE = "customer_named_twice"  # The platform calls one customer by two account ids.
    CONFLICTING_COPY = "conflicting_copy"  # One event id came with two different contents; the first one counts.


class AlertRaised(Event):
    """Somebody should look at this."""

    topic = ALERTS
    type: Literal["billing.alert.raised.v1"] = "billing.alert.raised.v1"
    rule: Rule
    customer_id: str | None = None
    detail: str

    @property
    def key(self) -> str:
        """Alerts of one rule keep their order."""
        return self.rule.value


class FactParked(Event):
    """A fact could not be applied and waits for an operator; later facts of its lane wait behind it."""

    topic = PARKED
    type: Literal["billing.fact.parked.v1"] = "billing.fact.parked.v1"
    source: str
    fact_id: str
    fact_type: str
    lane: str
    reason: str


EVENTS: tuple[type[Event], ...] = (
    SubscriptionChanged,
    SubscriptionAmended,
    SubscriptionMoved,
    AlertRaised,
    FactParked,
)
