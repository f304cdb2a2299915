"""Subscription schedules: what a subscription will become, phase by phase.

A phase begins with a period of the subscription: here nothing changes in the middle of one by schedule.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from simulator.clock import DAY_SECONDS, months_after
from simulator.customers import customer_named
from simulator.happenings import Json
from simulator.prices import plan_of, price_named, price_of_data
from simulator.refusals import Refused, invalid, missing
from simulator.subscription_items import MONTHS
from simulator.subscriptions import Subscription
from simulator.things import Thing, merged_metadata

if TYPE_CHECKING:
    from simulator.world import World

ENDS: Final = frozenset({"canceled", "completed", "released"})
DAYS: Final = {"day": 1, "week": 7}

_NOTHING: Final[Json] = {}


class SubscriptionSchedule(Thing):
    """One schedule, of one subscription."""

    kind: ClassVar[str] = "subscription_schedule"

    def __init__(self, world: "World", body: Json, subscription: Subscription | None) -> None:
        super().__init__(world, body)
        self.subscription = subscription

    @classmethod
    def create(
        cls,
        world: "World",
        *,
        from_subscription: str | None = None,
        customer: str | None = None,
        phases: Sequence[Json] | None = None,
        start_date: int | str = "now",
        end_behavior: str = "release",
        metadata: Json | None = None,
    ) -> Self:
        """A new schedule: of a subscription there is, or of one that will be."""
        if from_subscription:
            if phases:
                raise invalid("You cannot set `phases` if `from_subscription` is set.", "phases")
            return cls.of(_subscription_named(world, from_subscription))
        if customer is None or not phases:
            raise invalid("Missing required param: phases.", "phases", "parameter_missing")
        start = start_date if isinstance(start_date, int) else world.now
        body = _body(world, customer_named(world, customer).id) | {"end_behavior": end_behavior}
        body |= {"metadata": merged_metadata({}, metadata), "phases": _phases(world, phases, start)}
        schedule = cls(world, body, None)
        world.record("subscription_schedule.created", schedule.body, by_request=True)
        world.at(start, schedule._begin)
        return schedule

    @classmethod
    def of(cls, subscription: Subscription) -> Self:
        """A schedule of *subscription*, with the period that runs as its one phase."""
        if not subscription.is_live:
            words = f"You cannot create a schedule for a subscription that is {subscription.status}."
            raise invalid(words, "from_subscription")
        if subscription.schedule:
            words = "You cannot migrate a subscription that is already attached to a schedule"
            raise invalid(words, "from_subscription")
        item = subscription.plan_item
        start, end = item["current_period_start"], item["current_period_end"]
        items = [{"price": one["price"]["id"], "quantity": one["quantity"]} for one in subscription.items]
        world = subscription.world
        body = _body(world, subscription.customer.id) | {"subscription": subscription.id, "status": "active"}
        body |= {"phases": [_phase(world, {"items": items}, start, end)]}
        schedule = cls(world, body | {"current_phase": {"end_date": end, "start_date": start}}, subscription)
        world.record("subscription_schedule.created", schedule.body, by_request=True)
        subscription.attach_schedule(schedule)
        return schedule

    @property
    def status(self) -> str:
        """Stripe's word for how it stands."""
        return str(self.body["status"])

    @property
    def phases(self) -> list[Json]:
        """Its phases, in their order."""
        phases: list[Json] = self.body["phases"]
        return phases

    def update(
        self,
        *,
        phases: Sequence[Json] | None = None,
        proration_behavior: str = "create_prorations",
        metadata: Json | None = _NOTHING,
        **changes: Any,
    ) -> None:
        """Plan anew."""
        self._check_live()
        assert proration_behavior, "phases begin with periods: nothing is prorated"
        if phases is not None:
            changes["phases"] = _phases(self.world, phases, int(self.phases[0]["start_date"]))
        merged = merged_metadata(self.body["metadata"], metadata)
        self.tell("subscription_schedule.updated", by_request=True, metadata=merged, **changes)

    def release(self, *, preserve_cancel_date: bool = True) -> None:
        """Let the subscription go on as it is, without a plan."""
        self._check_live()
        assert preserve_cancel_date in {True, False}
        subscription, self.subscription = self.subscription, None
        self._release(subscription)
        if subscription:
            subscription.attach_schedule(None)

    def cancel(self, *, invoice_now: bool = False, prorate: bool = False) -> None:
        """Give the plan up, and the subscription with it."""
        self._check_live()
        subscription, self.subscription = self.subscription, None
        if subscription and subscription.is_live:
            subscription.cancel(invoice_now=invoice_now, prorate=prorate)
        self.hear_canceled()

    # What it hears of its subscription.

    def enter_phase_at(self, moment_seconds: int) -> list[Json] | None:
        """What to ask of the subscription's items where a phase begins now; None where none does."""
        phase = next((one for one in self.phases[1:] if one["start_date"] == moment_seconds), None)
        if phase is None or self.subscription is None:
            return None
        current = {"end_date": phase["end_date"], "start_date": phase["start_date"]}
        self.tell("subscription_schedule.updated", current_phase=current)
        return _asked(self.subscription.items, phase["items"])

    def is_over_at(self, moment_seconds: int) -> bool:
        """Whether its last phase ends then."""
        return bool(self.phases[-1]["end_date"] <= moment_seconds)

    def ends_with_cancel_at(self, moment_seconds: int) -> bool:
        """Whether it takes the subscription with it then."""
        return self.body["end_behavior"] == "cancel" and self.is_over_at(moment_seconds)

    def hear_over(self) -> None:
        """The last phase has ended, and the subscription goes on."""
        subscription, self.subscription = self.subscription, None
        self._release(subscription)

    def hear_canceled(self) -> None:
        """The subscription has ended."""
        if self.status not in ENDS:
            over = self.ends_with_cancel_at(self.world.now)
            word = "completed" if over else "canceled"
            moment: Json = {f"{word}_at": self.world.now}
            self.note(f"subscription_schedule.{word}", status=word, current_phase=None, **moment)

    def _begin(self) -> None:
        """Its time has come: the subscription begins."""
        if self.status != "not_started":
            return
        phase = self.phases[0]
        items = [{"price": one["price"], "quantity": one["quantity"]} for one in phase["items"]]
        self.subscription = Subscription.create(self.world, customer=self.body["customer"], items=items)
        self.tell(
            "subscription_schedule.updated",
            status="active",
            subscription=self.subscription.id,
            current_phase={"end_date": phase["end_date"], "start_date": phase["start_date"]},
        )
        self.subscription.attach_schedule(self)

    def _release(self, subscription: Subscription | None) -> None:
        self.note(
            "subscription_schedule.released",
            status="released",
            current_phase=None,
            released_at=self.world.now,
            released_subscription=subscription.id if subscription else None,
            subscription=None,
        )

    def _check_live(self) -> None:
        if self.status in ENDS:
            raise Refused(f"This subscription schedule is {self.status}, and can be changed no more.", param="schedule")


def change_at_period_end(subscription: Subscription, items: Sequence[Json]) -> SubscriptionSchedule:
    """Let the *items* that were asked for be the subscription's when its period is over; an older plan is given up."""
    if subscription.schedule:
        subscription.schedule.release()
    schedule = SubscriptionSchedule.of(subscription)
    asked = {one["id"]: one for one in items}
    kept = [{"price": one["price"]["id"], "quantity": one["quantity"]} for one in subscription.items]
    next_items = [
        {
            "price": asked.get(one["id"], {}).get("price", one["price"]["id"]),
            "quantity": asked.get(one["id"], {}).get("quantity", one["quantity"]),
        }
        for one in subscription.items
    ]
    end = schedule.phases[0]["end_date"]
    schedule.update(phases=[{"items": kept, "end_date": end}, {"items": next_items}])
    return schedule


def _asked(old: Sequence[Json], new: Sequence[Json]) -> list[Json]:
    """The items of a phase, as a change of those there are: the first becomes the first, and so on."""
    asked: list[Json] = [{"price": one["price"], "quantity": one["quantity"]} for one in new]
    for place, item in enumerate(old):
        if place < len(asked):
            asked[place]["id"] = item["id"]
        else:
            asked.append({"id": item["id"], "deleted": True})
    return asked


def _subscription_named(world: "World", subscription_id: str) -> Subscription:
    subscription = world.subscriptions.get(subscription_id)
    if subscription is None:
        raise missing("subscription", subscription_id, "from_subscription")
    return subscription


def _phases(world: "World", asked: Sequence[Json], start: int) -> list[Json]:
    phases = []
    for one in asked:
        begins = one["start_date"] if isinstance(one.get("start_date"), int) else start
        start = one.get("end_date") or _end(world, one, begins)
        phases.append(_phase(world, one, begins, start))
    return phases


def _end(world: "World", asked: Json, start: int) -> int:
    """Where a phase ends that does not say it: after its duration, or one period."""
    duration: Any = asked.get("duration")
    if not duration:
        duration = price_named(world, asked["items"][0]["price"], "phases[0][items][0][price]").body["recurring"]
    interval, count = duration["interval"], duration.get("interval_count", 1)
    if interval in MONTHS:
        return months_after(start, MONTHS[interval] * count)
    return int(start + DAYS[interval] * count * DAY_SECONDS)


def _phase(world: "World", asked: Json, start: int, end: int) -> Json:
    return _NO_PHASE | {
        "currency": "usd",
        "description": asked.get("description"),
        "end_date": end,
        "items": [_item(world, one) for one in asked["items"]],
        "metadata": asked.get("metadata") or {},
        "proration_behavior": asked.get("proration_behavior", "create_prorations"),
        "start_date": start,
    }


def _item(world: "World", asked: Json) -> Json:
    if "price_data" in asked:
        price = price_of_data(world, asked["price_data"], "phases[0][items][0][price_data]").body
    else:
        price = price_named(world, asked["price"], "phases[0][items][0][price]").body
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": asked.get("metadata") or {},
        "plan": plan_of(price)["id"],
        "price": price["id"],
        "quantity": asked.get("quantity", 1),
        "tax_rates": [],
    }


_NO_PHASE: Final[Json] = {
    "add_invoice_items": [],
    "application_fee_percent": None,
    "billing_cycle_anchor": None,
    "billing_thresholds": None,
    "collection_method": None,
    "default_payment_method": None,
    "default_tax_rates": [],
    "discounts": [],
    "invoice_settings": None,
    "on_behalf_of": None,
    "transfer_data": None,
    "trial_end": None,
}


def _body(world: "World", customer_id: str) -> Json:
    return {
        "id": world.dice.identifier("sub_sched"),
        "object": "subscription_schedule",
        "application": None,
        "billing_mode": {"flexible": None, "type": "classic"},
        "canceled_at": None,
        "completed_at": None,
        "created": world.now,
        "current_phase": None,
        "customer": customer_id,
        "default_settings": _SETTINGS,
        "end_behavior": "release",
        "livemode": False,
        "metadata": {},
        "phases": [],
        "released_at": None,
        "released_subscription": None,
        "status": "not_started",
        "subscription": None,
        "test_clock": None,
    }


_SETTINGS: Final[Json] = {
    "application_fee_percent": None,
    "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
    "billing_cycle_anchor": "automatic",
    "billing_thresholds": None,
    "collection_method": "charge_automatically",
    "default_payment_method": None,
    "description": None,
    "invoice_settings": {"account_tax_ids": None, "days_until_due": None, "issuer": {"type": "self"}},
    "on_behalf_of": None,
    "transfer_data": None,
}
