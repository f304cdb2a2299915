"""Scenario files say what is wrong with them, and what is right plays: the shipped ones, from one seed, every path."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from simulator.scenarios import reading
from simulator.scenarios.playing import Hour, Player
from simulator.scenarios.reading import BadScenario
from simulator.scenarios.stage import Stage
from simulator.scenarios.steps import Scenario, Step
from simulator.server.desk import desk_for
from simulator.server.serving import serving
from simulator.world import World

SEED = 11
WAYS = {
    "checkouts": 300,
    "upgrades": 20,
    "downgrades": 5,
    "cancellations": 20,
    "portal visits": 30,
    "refunds": 20,
    "disputes": 10,
    "walked away": 3,
    "authenticate": 1,
    "pause": 1,
    "unpause": 1,
    "delete": 1,
    "warn": 1,
}
"""What a year of three hundred has at least."""

NAMED_BY_STRIPE = (
    *("customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted"),
    *("invoice.paid", "invoice.payment_failed", "checkout.session.completed", "checkout.session.async_payment_failed"),
    *("checkout.session.async_payment_succeeded", "payment_intent.succeeded", "payment_intent.payment_failed"),
    *("customer.created", "customer.deleted", "invoice_payment.paid", "charge.succeeded", "charge.failed"),
    *("charge.refunded", "refund.created", "refund.failed", "charge.dispute.created", "charge.dispute.closed"),
    *("charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated", "customer.subscription.trial_will_end"),
    *("payment_method.attached", "invoice.upcoming", "invoice.created", "invoice.finalized", "product.created"),
    *("price.created", "radar.early_fraud_warning.created", "subscription_schedule.created"),
)


async def played(scenario: Scenario, subscribers: int, days: int, seed: int = SEED) -> tuple[Counter[str], World]:
    """How often each thing was done, and the world after it."""
    world = World(seed)
    desk = desk_for(world, asyncio.get_running_loop().time, rate_per_second=0)
    async with serving(desk) as address, Stage(address) as stage:
        tally = await Player(scenario, stage, seed).play(subscribers, days)
    return tally, world


@pytest.mark.parametrize("name", reading.shipped())
async def test_every_shipped_scenario_plays(name: str) -> None:
    scenario = reading.read(reading.find(name))
    tally, world = await played(scenario, min(scenario.subscribers, 20), min(scenario.days, 60))

    assert tally["checkouts"] >= 10
    assert tally["refused"] <= sum(tally.values()) / 10
    assert world.happenings


async def test_a_year_of_three_hundred_goes_every_way() -> None:
    scenario = reading.read(reading.find("year"))
    tally, world = await played(scenario, scenario.subscribers, scenario.days)

    assert {way: tally[way] for way, least in WAYS.items() if tally[way] < least} == {}
    assert set(NAMED_BY_STRIPE) - {one.type for one in world.happenings} == set()


async def test_one_seed_is_one_story_and_another_another() -> None:
    scenario = reading.read(reading.find("dunning"))
    one, other, another = [(await played(scenario, 12, 40, seed))[1] for seed in (3, 3, 4)]

    told = [[(happening.type, happening.created) for happening in world.happenings] for world in (one, other, another)]
    assert told[0] == told[1]
    assert told[0] != told[2]


async def test_whoever_watches_sees_the_clock_rise_to_the_end() -> None:
    scenario = reading.read(reading.find("renewals"))
    seen: list[Hour] = []
    desk = desk_for(World(SEED), asyncio.get_running_loop().time, rate_per_second=0)
    async with serving(desk) as address, Stage(address) as stage:
        await Player(scenario, stage, SEED).play(5, 40, seen.append)

    shares = [hour.share for hour in seen]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


RIGHT: dict[str, Any] = {"about": "x", "lives": {"a": {"steps": [{"checkout": {"buy": "mid_monthly"}}]}}}


def test_the_least_scenario_is_right() -> None:
    assert Scenario.model_validate(RIGHT).lives["a"].steps[0].checkout is not None


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({}, "a step is exactly one of wait, checkout, portal"),
        ({"wait": "5d", "cancel": "now"}, "a step is exactly one of"),
        ({"wait": "soon"}, "'soon' is no length of time: 30m, 5h and 14d are"),
        ({"wait": "5d..1h"}, "'5d..1h' ends before it begins"),
        ({"checkout": {"buy": "gold_monthly"}}, "'gold_monthly' is not sold: free_monthly, mid_monthly"),
        ({"change_plan": {"to": "credits_500"}}, "'credits_500' is no plan: free_monthly"),
        ({"portal": {}}, "a visit to the Portal has one of card, plan and do"),
        ({"refund": {"part": 2}}, "less than or equal to 1"),
        ({"dance": True}, "Extra inputs are not permitted"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused_with_what_would(step: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Step.model_validate(step)

    assert why in str(caught.value)


@given(st.integers(0, 500), st.integers(0, 500), st.sampled_from("mhd"))
def test_a_wait_is_a_span_of_whole_seconds(one: int, other: int, unit: str) -> None:
    least, most = sorted((one, other))
    seconds = {"m": 60, "h": 3_600, "d": 86_400}[unit]

    span = Step.model_validate({"wait": f"{least}{unit}..{most}{unit}"}).wait

    assert span == (least * seconds, most * seconds)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("about: [", ", line 1: this is no YAML"),
        ("- 1", "scenario: Input should be a valid dictionary"),
        ("about: x", "lives: Field required"),
        ("about: x\nlives: {a: {steps: [{wait: never}]}}", "lives.a.steps.0.wait: Value error, 'never' is no length"),
        ("about: x\nlives: {a: {steps: []}}", "lives.a.steps"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_place_in_it(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)

    with pytest.raises(BadScenario) as caught:
        reading.read(path)

    assert str(path) in str(caught.value)
    assert why in str(caught.value)


def test_a_scenario_is_a_file_or_one_of_the_shipped(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("about: x")

    assert reading.find(str(mine)) == mine
    assert reading.find("year") == reading.shipped()["year"]
    with pytest.raises(BadScenario, match="There is no scenario nothing: give a file, or one of disputes, dunning"):
        reading.find("nothing")
