"""A story: many people's lives with their subscriptions, over months of virtual time, from one seed.

Each life is a script: it acts, yields the seconds until its next act, and so on; the world plays all of them at once,
so their events come mixed, as they do at Stripe.  A configurable share of the lives holds three updates in one second.
"""

from collections.abc import Callable
from typing import Any, Final

from simulator.clock import DAY_SECONDS, HOUR_SECONDS, months_after
from simulator.customers import Customer
from simulator.dice import Dice
from simulator.subscriptions import Subscription
from simulator.world import STORY_START_SECONDS, Script, World

PLANS_PAID: Final = ("mid_monthly", "mid_yearly", "high_monthly", "high_yearly")
PLANS_BY_MONTH: Final = ("mid_monthly", "high_monthly")
DEARER: Final = {
    "free_monthly": "mid_monthly",
    "mid_monthly": "high_monthly",
    "mid_yearly": "high_yearly",
    "high_monthly": "high_yearly",
}
ACCOUNT_NAMED_SHARE: Final = 0.6
SUPPORT_SHARE: Final = 0.08
ARRIVAL_DAYS: Final = 45


class Subscriber:
    """Somebody in the story: a customer, with dice of their own, so that one more changes nobody else's life."""

    def __init__(self, world: World, number: int, *, tied: bool) -> None:
        self.world = world
        self.dice = Dice(f"{world.seed}/{number}")
        self.tied = tied
        self.account_id = f"acct-{number:05}" if self.dice.happens(ACCOUNT_NAMED_SHARE) else None
        named_on_customer = self.dice.happens(0.7)
        self.customer = Customer(world, self.account_id if named_on_customer else None)

    def days(self, fewest: int, most: int) -> float:
        """A pause that ends at any time of the day."""
        return self.dice.randint(fewest, most) * DAY_SECONDS + self.dice.randrange(DAY_SECONDS)

    def subscribe(self, *lookup_keys: str, trial_days: int = 0, pays: bool = True, **terms: Any) -> Subscription:
        """Take out one of these plans; now and then with an add-on, and with the account named on it."""
        subscription = Subscription(
            self.world,
            self.customer,
            self.dice.one_of(lookup_keys),
            quantity=self.dice.one_of((1, 1, 1, 2, 5)),
            with_support=self.dice.happens(SUPPORT_SHARE),
            account_id=self.account_id if self.dice.happens(0.5) else None,
            **terms,
        )
        if trial_days:
            subscription.start_trial(trial_days)
        else:
            subscription.start(pays=pays)
        if self.tied and pays:
            self.world.at(
                self.world.now + self.dice.randrange(HOUR_SECONDS, 5 * HOUR_SECONDS), self._flurry(subscription)
            )
        return subscription

    def _flurry(self, subscription: Subscription) -> Callable[[], None]:
        """At least three updates in one second, as a page that saves every field on its own makes them."""
        kind = self.dice.one_of((_reconsider, _count_seats, _tidy_up))
        return lambda: kind(subscription) if subscription.is_live else None


def _reconsider(subscription: Subscription) -> None:
    subscription.cancel_at_period_end()
    subscription.keep()
    subscription.set_quantity(subscription.plan_item["quantity"] + 1)


def _count_seats(subscription: Subscription) -> None:
    """There and back and elsewhere: whoever trusts the order of arrival ends at the wrong number."""
    seats = subscription.plan_item["quantity"]
    for quantity in (seats + 1, seats, seats + 2):
        subscription.set_quantity(quantity)


def _tidy_up(subscription: Subscription) -> None:
    """Among others a change that shows in nothing that anybody reads."""
    subscription.use_card()
    subscription.set_quantity(subscription.plan_item["quantity"] + 3)
    subscription.note_down(saved="yes")
    subscription.pause_collection()


# The lives.


def stays(one: Subscriber) -> Script:
    """Subscribes and renews, month after month."""
    one.subscribe(*PLANS_PAID)
    yield one.days(5, 60)
    one.customer.move()


def stays_free(one: Subscriber) -> Script:
    """Never pays, then does."""
    subscription = one.subscribe("free_monthly")
    yield one.days(20, 70)
    subscription.upgrade("mid_monthly")


def tries_and_stays(one: Subscriber) -> Script:
    """A trial, its reminder, then a paying customer who takes the dearer plan."""
    subscription = one.subscribe(*PLANS_BY_MONTH, trial_days=14)
    yield one.days(20, 60)
    subscription.upgrade(DEARER[subscription.offer.lookup_key or ""])


def tries_and_leaves(one: Subscriber) -> Script:
    """A trial that ends in nothing."""
    subscription = one.subscribe(*PLANS_PAID, trial_days=one.dice.one_of((7, 14, 30)))
    yield one.days(1, 5)
    subscription.cancel_at_period_end()


def tries_without_card(one: Subscriber) -> Script:
    """A trial that pauses at its end, and is resumed."""
    subscription = one.subscribe(*PLANS_BY_MONTH, trial_days=14, when_trial_ends_unpaid="pause")
    one.customer.card_declines = True
    yield one.days(18, 40)
    one.customer.card_declines = False
    if one.dice.happens(0.7):
        subscription.resume()


def climbs(one: Subscriber) -> Script:
    """Upgrades, and upgrades again."""
    subscription = one.subscribe("mid_monthly")
    yield one.days(3, 30)
    subscription.upgrade("high_monthly")
    yield one.days(3, 50)
    subscription.upgrade("high_yearly")


def descends(one: Subscriber) -> Script:
    """Downgrades when the period is over."""
    subscription = one.subscribe("high_monthly")
    yield one.days(3, 40)
    subscription.downgrade("mid_monthly")
    yield one.days(35, 50)
    subscription.downgrade("free_monthly")


def pays_late(one: Subscriber) -> Script:
    """The card is declined at a renewal; a retry succeeds."""
    one.subscribe(*PLANS_BY_MONTH)
    yield one.days(2, 20)
    one.customer.card_declines = True
    yield one.days(32, 36)
    one.customer.card_declines = False


def stops_paying(one: Subscriber) -> Script:
    """The card is declined until Stripe gives up."""
    one.subscribe(*PLANS_BY_MONTH, when_retries_end=one.dice.one_of(("canceled", "unpaid")))
    yield one.days(2, 20)
    one.customer.card_declines = True


def never_pays(one: Subscriber) -> Script:
    """The first invoice is never paid: expired after 23 hours, or just in time."""
    subscription = one.subscribe(*PLANS_PAID, pays=False)
    yield one.dice.randrange(HOUR_SECONDS, 20 * HOUR_SECONDS)
    if one.dice.happens(0.4):
        subscription.complete()


def leaves(one: Subscriber) -> Script:
    """Cancels at the period's end."""
    subscription = one.subscribe(*PLANS_BY_MONTH)
    yield one.days(10, 70)
    subscription.cancel_at_period_end()


def thinks_again(one: Subscriber) -> Script:
    """Cancels, and takes it back before the end."""
    subscription = one.subscribe("mid_yearly", "high_yearly", "free_monthly")
    yield one.days(10, 40)
    subscription.cancel_at_period_end()
    yield one.dice.randrange(HOUR_SECONDS)
    if subscription.is_live:
        subscription.keep()


def quits(one: Subscriber) -> Script:
    """Ends it at once, and comes back with another subscription."""
    subscription = one.subscribe(*PLANS_PAID)
    yield one.days(5, 60)
    subscription.cancel_now()
    yield one.days(1, 10)
    one.subscribe(*PLANS_PAID)


def takes_a_break(one: Subscriber) -> Script:
    """Payment collection is paused for a while."""
    subscription = one.subscribe(*PLANS_BY_MONTH)
    yield one.days(5, 30)
    subscription.pause_collection()
    yield one.days(10, 40)
    subscription.resume_collection()


def has_two(one: Subscriber) -> Script:
    """Several subscriptions, which must not be mistaken for each other; the older one ends."""
    older = one.subscribe("mid_monthly")
    yield one.days(1, 20)
    one.subscribe("high_monthly", "high_yearly")
    yield one.days(10, 50)
    older.cancel_now()


def grows(one: Subscriber) -> Script:
    """Another number of seats, every now and then."""
    subscription = one.subscribe("high_monthly", "mid_monthly")
    for _ in range(3):
        yield one.days(5, 25)
        subscription.set_quantity(one.dice.randint(1, 40))


def is_deleted(one: Subscriber) -> Script:
    """The customer is deleted, and everything of it ends."""
    one.subscribe(*PLANS_PAID)
    yield one.days(10, 70)
    one.customer.delete()


Life = Callable[[Subscriber], Script]

LIVES: Final[dict[Life, int]] = {
    stays: 20,
    stays_free: 10,
    tries_and_stays: 14,
    tries_and_leaves: 6,
    tries_without_card: 4,
    climbs: 12,
    descends: 10,
    pays_late: 10,
    stops_paying: 6,
    never_pays: 5,
    leaves: 10,
    thinks_again: 6,
    quits: 5,
    takes_a_break: 3,
    has_two: 6,
    grows: 6,
    is_deleted: 4,
}
"""How many of each there are, of a hundred and something."""


def tell(
    seed: int,
    subscribers: int,
    *,
    months: int = 4,
    tie_share: float = 0.4,
    start_seconds: int = STORY_START_SECONDS,
) -> World:
    """The world after so many months with so many subscribers; at least *tie_share* of them have their ties."""
    world = World(seed, start_seconds)
    for number in range(subscribers):
        # Spread evenly and exactly, so that the share holds in every story and not only on average.
        tied = int((number + 1) * tie_share) > int(number * tie_share)
        _let_arrive(world, number, tied=tied)
    world.advance(months_after(start_seconds, months))
    return world


def _let_arrive(world: World, number: int, *, tied: bool) -> None:
    dice = Dice(f"{world.seed}/arrival/{number}")
    kinds = [life for life in LIVES if not tied or life is not never_pays]
    life = dice.one_of(kinds, [LIVES[kind] for kind in kinds])
    if number < len(LIVES) and (first := list(LIVES)[number]) in kinds:
        life = first  # So that even a short story has nearly every kind of life.
    arrival = world.now + dice.randrange(ARRIVAL_DAYS * DAY_SECONDS)
    world.at(arrival, lambda: world.play(life(Subscriber(world, number, tied=tied))))
