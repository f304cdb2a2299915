"""Lives: what people do with their subscriptions, as scripts that act, pause, and act again."""

from typing import Final

from simulator.clock import HOUR_SECONDS
from simulator.subscribers import Subscriber
from simulator.world import Script

PLANS_PAID: Final = ("mid_monthly", "mid_yearly", "high_monthly", "high_yearly")
PLANS_BY_MONTH: Final = ("mid_monthly", "high_monthly")
DEARER: Final = {
    "free_monthly": "mid_monthly",
    "mid_monthly": "high_monthly",
    "mid_yearly": "high_yearly",
    "high_monthly": "high_yearly",
}


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
    if one.dice.happens(0.9):
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
        if subscription.is_live:
            subscription.set_quantity(one.dice.randint(1, 40), prorated=True)


def is_deleted(one: Subscriber) -> Script:
    """The customer is deleted, and everything of it ends."""
    one.subscribe(*PLANS_PAID)
    yield one.days(10, 70)
    one.customer.delete()
