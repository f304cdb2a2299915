"""What we say: the data of every event that we publish.  Strict, versioned, and without personal data.

An event is a CloudEvent 1.0 (https://github.com/cloudevents/spec); its class here is the shape of its data.  A field
is only ever added, with a default; any other change is a new type with a new version in its name.
"""

from enum import StrEnum
from typing import Literal

from models.base import Moment
from models.event import Event as Event  # noqa: PLC0414  # Whoever says one finds the noun here, too.
from models.stripe_requests import StripeRequested
from models.topics import ALERTS, PARKED, PAYMENTS, SUBSCRIPTIONS


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


class PaymentChanged(Event):
    """The payment is like this now.  Amounts are in minor units of its currency; `kind` and `status` are our words.

    `status` is pending, succeeded, failed or canceled; what was given back, or is withdrawn by a dispute and not given
    back, stands beside it.
    """

    topic = PAYMENTS
    type: Literal["billing.payment.changed.v1"] = "billing.payment.changed.v1"
    customer_id: str | None
    kind: str
    status: str
    currency: str
    amount_minor: int
    tax_minor: int
    discount_minor: int
    refunded_minor: int
    disputed_minor: int
    invoice_id: str | None
    payment_intent_id: str | None
    charge_id: str | None
    failure_code: str | None
    purpose: str | None  # `metadata.kind`, where the platform said what it sells.
    occurred_at: Moment
    livemode: bool


class PaymentMerged(Event):
    """What was told as a payment of its own is a part of another one, as we know now: it does not count any more."""

    topic = PAYMENTS
    type: Literal["billing.payment.merged.v1"] = "billing.payment.merged.v1"
    merged_into: str


class RefundChanged(Event):
    """The refund is like this now.  `status` is Stripe's word; one that succeeded may still fail."""

    topic = PAYMENTS
    type: Literal["billing.refund.changed.v1"] = "billing.refund.changed.v1"
    status: str
    currency: str
    amount_minor: int
    charge_id: str | None
    payment_intent_id: str | None
    reason: str | None
    failure_reason: str | None
    livemode: bool


class DisputeChanged(Event):
    """The dispute is like this now.  `withdrawn_minor` is what is gone from the balance for it, fees apart."""

    topic = PAYMENTS
    type: Literal["billing.dispute.changed.v1"] = "billing.dispute.changed.v1"
    status: str
    currency: str
    amount_minor: int
    withdrawn_minor: int
    fee_minor: int
    charge_id: str | None
    payment_intent_id: str | None
    reason: str | None
    due_by: Moment | None
    livemode: bool


class InvoiceChanged(Event):
    """The invoice is like this now.  `status` and `billing_reason` are Stripe's words."""

    topic = PAYMENTS
    type: Literal["billing.invoice.changed.v1"] = "billing.invoice.changed.v1"
    status: str
    currency: str
    subscription_id: str | None
    billing_reason: str | None
    total_minor: int
    tax_minor: int
    discount_minor: int
    amount_due_minor: int
    amount_paid_minor: int
    amount_remaining_minor: int
    attempt_count: int
    next_attempt_at: Moment | None
    paid_at: Moment | None
    livemode: bool


class InvoiceUpcoming(Event):
    """So much is going to be billed, were nothing to change.  Of two notices about one subject the later one counts.

    `due_at` is when Stripe is going to try the payment.
    """

    topic = PAYMENTS
    type: Literal["billing.invoice.upcoming.v1"] = "billing.invoice.upcoming.v1"
    customer_id: str | None
    subscription_id: str | None
    currency: str
    total_minor: int
    tax_minor: int
    discount_minor: int
    amount_due_minor: int
    due_at: Moment | None
    livemode: bool


class Rule(StrEnum):
    """What an alert is about."""

    PRICE_NOT_IN_CATALOG = "price_not_in_catalog"  # A subscription has no item of the catalog: its plan is unknown.
    CUSTOMER_NAMED_TWICE = "customer_named_twice"  # The platform calls one customer by two account ids.
    EARLY_FRAUD_WARNING = "early_fraud_warning"  # A card network calls a charge fraud; a dispute may follow.
    PRICE_UNLIKE_CATALOG = "price_unlike_catalog"  # A price of the catalog's lookup key sells it on other terms.
    CONFLICTING_COPY = "conflicting_copy"  # One event id came with two different contents; the first one counts.
    WEBHOOKS_SILENT = "webhooks_silent"  # Fewer webhooks come than in the same hours before; cleared when they do.
    ENDPOINT_DISABLED = "endpoint_disabled"  # Stripe sends nothing to one of our endpoints; cleared when it does.


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


class AlertCleared(Event):
    """What an alert was about is over.  Only alerts of rules that say so are cleared."""

    topic = ALERTS
    type: Literal["billing.alert.cleared.v1"] = "billing.alert.cleared.v1"
    rule: Rule
    detail: str

    @property
    def key(self) -> str:
        """In the order of what was raised."""
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
    PaymentChanged,
    PaymentMerged,
    RefundChanged,
    DisputeChanged,
    InvoiceChanged,
    InvoiceUpcoming,
    StripeRequested,
    AlertRaised,
    AlertCleared,
    FactParked,
)
