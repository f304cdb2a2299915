"""The world's own books: how every subscription and every payment truly stands, and how each subscription stood.

They are read off the world's own objects, in the order in which those changed, and never off events: whatever shaping
and delivery do to an event, the books do not notice.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from simulator.catalog import PLAN_OFFERS
from simulator.happenings import Json
from simulator.money_books import money_of
from simulator.states import (
    CustomerState,
    DisputeState,
    InvoiceState,
    Money,
    PaymentState,
    RefundState,
    SubscriptionState,
)
from simulator.world import World

NO_MONEY: Final = Money({}, {}, {}, {}, {})


@dataclass(frozen=True, slots=True)
class Books:
    """Per subscription, all its states in true order, the last one is how it stands; and the money as it stands."""

    histories: dict[str, tuple[SubscriptionState, ...]]
    money: Money = NO_MONEY

    @property
    def states(self) -> dict[str, SubscriptionState]:
        """How each subscription stands."""
        return {subscription_id: history[-1] for subscription_id, history in self.histories.items()}

    @property
    def payments(self) -> dict[str, PaymentState]:
        """How each payment stands."""
        return self.money.payments

    @property
    def refunds(self) -> dict[str, RefundState]:
        """How each refund stands."""
        return self.money.refunds

    @property
    def disputes(self) -> dict[str, DisputeState]:
        """How each dispute stands."""
        return self.money.disputes

    @property
    def invoices(self) -> dict[str, InvoiceState]:
        """How each invoice stands."""
        return self.money.invoices

    @property
    def customers(self) -> dict[str, CustomerState]:
        """Who each customer is."""
        return self.money.customers

    def counts(self) -> Counter[tuple[str, str]]:
        """Subscriptions by plan and status."""
        return Counter((state.plan or "none", state.status) for state in self.states.values())

    def takings(self) -> Counter[str]:
        """What came in and stayed, by currency: paid, less refunded, less disputed."""
        sums: Counter[str] = Counter()
        for one in _succeeded(self.payments.values()):
            sums[one.currency] += one.amount_minor - one.refunded_minor - one.disputed_minor
        return sums


def books_of(world: World) -> Books:
    """The books of *world*, as of its clock."""
    histories = {
        subscription_id: tuple(state_of(body) for body in subscription.truth)
        for subscription_id, subscription in world.subscriptions.items()
    }
    return Books(histories, money_of(world))


def _succeeded(payments: Iterable[PaymentState]) -> Iterable[PaymentState]:
    return (one for one in payments if one.status == "succeeded")


def state_of(body: Json) -> SubscriptionState:
    """What the world's own subscription object says."""
    items = body["items"]["data"]
    item = next((item for item in items if item["price"]["lookup_key"] in PLAN_OFFERS), None)
    price = item["price"] if item else None
    period = item or items[0]
    return SubscriptionState(
        subscription_id=body["id"],
        customer_id=body["customer"],
        status=body["status"],
        plan=PLAN_OFFERS[price["lookup_key"]].plan if price else None,
        price_lookup_key=price["lookup_key"] if price else None,
        billing_interval=price["recurring"]["interval"] if price else None,
        quantity=item["quantity"] if item else None,
        current_period_start=period["current_period_start"],
        current_period_end=period["current_period_end"],
        trial_end=body["trial_end"],
        cancel_at=body["cancel_at"],
        cancel_at_period_end=body["cancel_at_period_end"],
        canceled_at=body["canceled_at"],
        collection_paused=body["pause_collection"] is not None,
        livemode=body["livemode"],
    )
