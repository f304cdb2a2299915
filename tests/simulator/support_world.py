"""Small worlds, and what to look at in them."""

from collections import Counter
from typing import Any

import pytest

from simulator.catalog import PACKS, PLAN_OFFERS, price_for
from simulator.charges import Charge
from simulator.checkout_sessions import CheckoutSession
from simulator.clock import DAY_SECONDS
from simulator.customers import Customer
from simulator.payment_intents import PaymentIntent
from simulator.refusals import Refused
from simulator.subscriptions import Subscription
from simulator.world import World


def days(count: float) -> int:
    return int(count * DAY_SECONDS)


def let_pass(world: World, seconds: int) -> None:
    world.advance(world.now + seconds)


def price(world: World, lookup_key: str) -> str:
    offer = PLAN_OFFERS.get(lookup_key) or PACKS[lookup_key]
    return str(price_for(world, offer)["id"])


def paid(world: World, card: str = "pm_card_visa", amount: int = 1000, **fields: Any) -> Charge:
    """A payment by *card* of somebody new."""
    intent = PaymentIntent.create(
        world, amount=amount, currency="usd", customer=Customer(world).id, payment_method=card, confirm=True, **fields
    )
    assert intent.charge is not None
    return intent.charge


def subscribed(world: World, lookup_key: str = "mid_monthly", **terms: Any) -> Subscription:
    subscription = Subscription(world, Customer(world), lookup_key, **terms)
    subscription.start()
    return subscription


def basket(world: World, *lookup_keys: str, **fields: Any) -> CheckoutSession:
    lines = [{"price": price(world, one)} for one in lookup_keys or ("credits_500",)]
    return CheckoutSession.create(world, mode="payment", line_items=lines, **fields)


def heard(world: World, since: int = 0) -> list[str]:
    """The types of what happened, from the *since*-th on."""
    return [happening.type for happening in world.happenings[since:]]


def balance(world: World) -> Counter[str]:
    """What moved on the company's balance, by currency, fees apart."""
    sums: Counter[str] = Counter()
    for moved in world.shelf.all("balance_transaction"):
        sums[moved.body["currency"]] += moved.body["amount"]
    return sums


def refuses(deed: Any) -> Refused:
    with pytest.raises(Refused) as refused:
        deed()
    return refused.value
