"""The world's own books: how every subscription truly stands, and stood.

They are read off the world's own objects, in the order in which those changed, and never off events: whatever shaping
and delivery do to an event, the books do not notice.
"""

from collections import Counter
from dataclasses import dataclass

from simulator.catalog import PLAN_OFFERS
from simulator.happenings import Json
from simulator.states import SubscriptionState
from simulator.world import World


@dataclass(frozen=True, slots=True)
class Books:
    """Per subscription, all its states in true order; the last one is how it stands."""

    histories: dict[str, tuple[SubscriptionState, ...]]

    @property
    def states(self) -> dict[str, SubscriptionState]:
        """How each subscription stands."""
        return {subscription_id: history[-1] for subscription_id, history in self.histories.items()}

    def counts(self) -> Counter[tuple[str, str]]:
        """Subscriptions by plan and status."""
        return Counter((state.plan or "none", state.status) for state in self.states.values())


def books_of(world: World) -> Books:
    """The books of *world*, as of its clock."""
    return Books(
        {
            subscription_id: tuple(state_of(body) for body in subscription.truth)
            for subscription_id, subscription in world.subscriptions.items()
        }
    )


def state_of(body: Json) -> SubscriptionState:
    """What the world's own subscription object says."""
    item = next(item for item in body["items"]["data"] if item["price"]["lookup_key"] in PLAN_OFFERS)
    offer = PLAN_OFFERS[item["price"]["lookup_key"]]
    return SubscriptionState(
        subscription_id=body["id"],
        customer_id=body["customer"],
        status=body["status"],
        plan=offer.plan,
        price_lookup_key=offer.lookup_key,
        billing_interval=offer.interval,
        quantity=item["quantity"],
        current_period_start=item["current_period_start"],
        current_period_end=item["current_period_end"],
        trial_end=body["trial_end"],
        cancel_at=body["cancel_at"],
        cancel_at_period_end=body["cancel_at_period_end"],
        canceled_at=body["canceled_at"],
        collection_paused=body["pause_collection"] is not None,
        livemode=body["livemode"],
    )
