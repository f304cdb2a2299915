"""Every topic: its name, its key, its size, how long it keeps, who writes it and who reads it.  The one list.

Topics are provisioned from here (`billing topics plan|apply|drift`) and never created on the fly.  Names have dots and
hyphens and no environment; keys are ids, never personal data.  Ours carry CloudEvents 1.0 in Kafka's binary mode.
"""

from enum import StrEnum
from typing import Final

from models.base import Model

DAY_MS: Final = 24 * 60 * 60 * 1000


class Cleanup(StrEnum):
    """Kafka's `cleanup.policy`."""

    DELETE = "delete"
    COMPACT = "compact"


class Topic(Model):
    """One topic as it should be.  `retention_ms` is Kafka's `retention.ms`; replication is the environment's."""

    name: str
    key: str
    partitions: int
    retention_ms: int
    cleanup: Cleanup = Cleanup.DELETE
    max_message_bytes: int = 1_048_576
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]


STRIPE_EVENTS: Final = Topic(
    name="stripe.events",
    key="customer, else object",
    partitions=12,
    retention_ms=7 * DAY_MS,  # As long as the edge's keys are kept.
    written_by=("ingress.webhook", "consumers.stripe_requests", "consumers.sweep"),
    read_by=("streams.books",),
)
SUBSCRIPTIONS: Final = Topic(
    name="billing.subscriptions",
    key="account",
    partitions=12,
    retention_ms=30 * DAY_MS,
    written_by=("streams.relay",),
    read_by=("platform services",),
)
PAYMENTS: Final = Topic(
    name="billing.payments",
    key="account",
    partitions=12,
    retention_ms=30 * DAY_MS,
    written_by=("streams.relay",),
    read_by=("platform services",),
)
ALERTS: Final = Topic(
    name="billing.alerts",
    key="rule",
    partitions=3,
    retention_ms=30 * DAY_MS,
    written_by=("streams.relay",),
    read_by=("operators",),
)
STRIPE_REQUESTS: Final = Topic(
    name="billing.stripe-requests",
    key="account, else object",
    partitions=3,  # Each is one more process that may ask; Stripe's limits are reached long before.
    retention_ms=30 * DAY_MS,
    written_by=("streams.relay",),
    read_by=("consumers.stripe_requests",),
)
PARKED: Final = Topic(
    name="billing.parked",
    key="account",
    partitions=3,
    retention_ms=30 * DAY_MS,
    written_by=("streams.relay",),
    read_by=("operators",),
)

TOPICS: Final = (STRIPE_EVENTS, SUBSCRIPTIONS, PAYMENTS, ALERTS, STRIPE_REQUESTS, PARKED)
assert len({topic.name for topic in TOPICS}) == len(TOPICS), "a topic is listed once"
