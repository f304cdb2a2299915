"""Subscribers: the people of a story, each with dice of their own, so that one more changes nobody else's life."""

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import Any, Final

from simulator.catalog import PACKS, PLAN_OFFERS, price_for
from simulator.checkout_sessions import CheckoutSession
from simulator.clock import DAY_SECONDS, HOUR_SECONDS
from simulator.customers import Customer
from simulator.dice import Dice
from simulator.happenings import Json
from simulator.refusals import Refused
from simulator.subscriptions import Subscription
from simulator.world import World

ACCOUNT_NAMED_SHARE: Final = 0.6
SUPPORT_SHARE: Final = 0.08
TAXED_SHARE: Final = 0.2
BREAK_SECONDS: Final = 9 * DAY_SECONDS


class Subscriber:
    """Somebody in the story: a customer, with dice of their own, so that one more changes nobody else's life."""

    def __init__(self, world: World, number: int, *, tied: bool) -> None:
        self.world = world
        self.dice = Dice(f"{world.seed}/{number}")
        self.tied = tied
        self.account_id = f"acct-{number:05}" if self.dice.happens(ACCOUNT_NAMED_SHARE) else None
        self._is_named_on_customer = self.dice.happens(0.7)

    @cached_property
    def customer(self) -> Customer:
        """Who pays; a guest of Checkout never becomes one."""
        return Customer(self.world, self.account_id if self._is_named_on_customer else None)

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
        if pays:
            self._tie(subscription)
        return subscription

    def check_out(self, lookup_key: str, card: str, *first_cards: str, **terms: Any) -> Subscription:
        """Subscribe by Checkout, with *card* after *first_cards* that the bank declines."""
        session = CheckoutSession.create(
            self.world,
            mode="subscription",
            line_items=[{"price": price_for(self.world, PLAN_OFFERS[lookup_key])["id"], "quantity": 1}],
            customer=self.customer.id,
            client_reference_id=self.account_id,
            subscription_data={"metadata": self._named()},
            automatic_tax={"enabled": self.dice.happens(TAXED_SHARE)},
            **terms,
        )
        for declined in first_cards:
            with suppress(Refused):
                session.pay(declined)
        session.pay(card)
        subscription = self.world.subscriptions[session.body["subscription"]]
        self._tie(subscription)
        return subscription

    def follow_link(self, lookup_key: str) -> CheckoutSession:
        """The page of a payment link: anybody may say there whose account it is for."""
        return CheckoutSession.create(
            self.world,
            mode="payment",
            line_items=[{"price": price_for(self.world, PACKS[lookup_key])["id"]}],
            payment_link=self.dice.identifier("plink"),
            client_reference_id="acct-00000",
        )

    def open_basket(self, lookup_key: str, *, guest: bool = False, euros: bool = False) -> CheckoutSession:
        """A page where a pack of credits may be bought; what is bought with it is on the payment, too."""
        pack = PACKS[lookup_key]
        told = self._named() | {"kind": "credits", "credits": str(pack.credits), "pack": lookup_key}
        product = {"name": f"{pack.credits} credits"}
        in_euros = {"currency": "eur", "product_data": product, "unit_amount": pack.amount_minor}
        line: Json = {"price_data": in_euros} if euros else {"price": price_for(self.world, pack)["id"]}
        return CheckoutSession.create(
            self.world,
            mode="payment",
            line_items=[line | {"quantity": self.dice.one_of((1, 1, 2))}],
            customer=None if guest else self.customer.id,
            client_reference_id=self.account_id,
            metadata=told,
            payment_intent_data={"metadata": told},
            automatic_tax={"enabled": self.dice.happens(TAXED_SHARE)},
        )

    @property
    def email(self) -> str:
        """A mail of their own, for whoever is no customer."""
        return f"guest-{self.dice.randrange(10**6):06}@subscriber.example"

    def _named(self) -> dict[str, str]:
        return {"account_id": self.account_id} if self.account_id else {}

    def _tie(self, subscription: Subscription) -> None:
        if self.tied:
            self.world.later(self.dice.randrange(HOUR_SECONDS, 5 * HOUR_SECONDS), self._flurry(subscription))

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
    subscription.world.later(BREAK_SECONDS, lambda: subscription.resume_collection() if subscription.is_live else None)
