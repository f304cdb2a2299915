"""The money: what the events tell is what the world knows, in every order, and each is read by other code."""

import random
from collections.abc import Iterable
from typing import Any

import pytest

from simulator import oracle_money, shapes
from simulator.books import books_of
from simulator.happenings import Json
from simulator.states import Money, PaymentState
from simulator.story import LIVES, tell
from simulator.world import World

SEEDS = range(10)


def corpus(world: World, chance: random.Random, *api_versions: str) -> list[Json]:
    """All events of a world in shapes by chance, a tenth of them twice, in any order."""
    versions = api_versions or shapes.API_VERSIONS
    events = [shapes.render(happening, chance.choice(versions)) for happening in world.happenings]
    events += chance.sample(events, len(events) // 10)
    chance.shuffle(events)
    return events


def disagreements(truth: Money, told: Money) -> list[tuple[Any, Any]]:
    """Payments that the two see differently, apart from what Stripe says only once a payment has come."""
    pairs = [(truth.payments.get(one), told.payments.get(one)) for one in truth.payments.keys() | told.payments.keys()]
    return [
        (mine, theirs) for mine, theirs in pairs if mine != theirs and not (mine and theirs and mine.untold(theirs))
    ]


def total(payments: Iterable[PaymentState], name: str) -> int:
    return sum(int(getattr(one, name)) for one in payments)


@pytest.mark.parametrize("seed", SEEDS)
def test_from_shuffled_doubled_tied_and_mixed_events_the_oracle_knows_the_worlds_money(seed: int) -> None:
    world = tell(seed, len(LIVES) * 2)
    truth = books_of(world).money

    told = oracle_money.money(corpus(world, random.Random(seed)))

    assert disagreements(truth, told) == []
    assert told.refunds == truth.refunds
    assert told.disputes == truth.disputes
    assert told.invoices == truth.invoices
    assert told.customers == truth.customers


@pytest.mark.parametrize("api_version", shapes.API_VERSIONS)
def test_every_shape_tells_of_the_same_money(api_version: str) -> None:
    world = tell(11, len(LIVES) * 3)

    told = oracle_money.money(corpus(world, random.Random(11), api_version))

    assert disagreements(books_of(world).money, told) == []


def test_where_an_invoice_is_named_by_its_intent_nothing_at_all_stays_unsaid_of_it() -> None:
    world = tell(12, len(LIVES) * 3)
    truth = books_of(world).payments

    told = oracle_money.money(corpus(world, random.Random(12), shapes.BEFORE_BASIL)).payments

    assert {one: (it.kind, it.invoice_id) for one, it in told.items() if it.invoice_id} == {
        one: (it.kind, it.invoice_id) for one, it in truth.items() if it.invoice_id
    }


def test_a_story_holds_money_of_every_kind() -> None:
    money = books_of(tell(4, len(LIVES) * 4, months=5)).money
    payments = money.payments.values()

    assert {one.kind for one in payments} == {"subscription", "one_off", "other"}
    assert {one.status for one in payments} >= {"succeeded", "failed", "canceled"}
    assert {one.currency for one in payments} == {"usd", "eur"}
    assert {one.status for one in money.refunds.values()} >= {"succeeded", "failed"}
    assert {one.status for one in money.disputes.values()} >= {"won", "lost"}
    assert {one.status for one in money.invoices.values()} >= {"paid", "open", "void", "uncollectible"}
    for name in ("tax_minor", "discount_minor", "refunded_minor", "disputed_minor"):
        assert total(payments, name) > 0
    assert any(one.customer_id is None and one.named_account for one in payments)
    assert any(one.customer_id is None and not one.named_account for one in payments), "through a payment link"
    assert any(one.payment_intent_id is None for one in payments), "an invoice that was paid by other means"
