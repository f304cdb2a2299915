"""What there is to know of a subscription: the words in which the books and the oracle speak, and we are asked to."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """How a subscription stands.  Times are whole seconds since 1970."""

    subscription_id: str
    customer_id: str
    status: str
    plan: str | None
    price_lookup_key: str | None
    billing_interval: str | None
    quantity: int | None
    current_period_start: int | None
    current_period_end: int | None
    trial_end: int | None
    cancel_at: int | None
    cancel_at_period_end: bool
    canceled_at: int | None
    collection_paused: bool
    livemode: bool

    def differences(self, other: "SubscriptionState") -> int:
        """In how many visible fields the two differ."""
        mine, theirs = asdict(self), asdict(other)
        return sum(mine[name] != theirs[name] for name in mine)
