import itertools
import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import oracle, shapes
from simulator.books import books_of
from simulator.clock import DAY_SECONDS
from simulator.customers import Customer
from simulator.happenings import Json
from simulator.states import SubscriptionState
from simulator.story import tell
from simulator.subscriptions import Subscription
from simulator.world import World

SEEDS = st.integers(min_value=0, max_value=2**63)


def events_of(world: World, chance: random.Random | None = None) -> list[Json]:
    """All events of a world, each in a shape by chance."""
    chance = chance or random.Random(1)
    return [shapes.render(happening, chance.choice(shapes.API_VERSIONS)) for happening in world.happenings]


def collapsed(states: Iterable[SubscriptionState]) -> list[SubscriptionState]:
    """A history without the versions that show nothing new."""
    return [state for state, _ in itertools.groupby(states)]


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_from_shuffled_doubled_and_mixed_events_the_oracle_knows_what_the_books_know(seed: int) -> None:
    world, chance = tell(seed, 20), random.Random(seed)
    events = events_of(world, chance)
    events += chance.sample(events, len(events) // 10)
    chance.shuffle(events)

    assert oracle.final_states(events) == books_of(world).states


@settings(max_examples=12, deadline=None)
@given(SEEDS)
def test_the_oracle_knows_the_whole_history_too(seed: int) -> None:
    world = tell(seed, 20)
    events = events_of(world)
    random.Random(seed).shuffle(events)

    told = {subscription_id: [one.after for one in line] for subscription_id, line in oracle.fold(events).items()}

    for subscription_id, history in books_of(world).histories.items():
        assert len(told[subscription_id]) == len(history)
        assert collapsed(told[subscription_id]) == collapsed(history)


def up_to_its_busiest_second(events: list[Json]) -> list[Json]:
    """The events of one subscription until the end of the second that holds most of them."""
    busiest, _ = Counter(event["created"] for event in events).most_common(1)[0]
    return [event for event in events if event["created"] <= busiest]


def naively(events: list[Json], *, later_wins_a_tie: bool) -> Json:
    """What whoever goes by `created` alone believes in the end."""
    latest, *others = events
    for event in others:
        newer = event["created"] >= latest["created"] if later_wins_a_tie else event["created"] > latest["created"]
        latest = event if newer else latest
    return latest


@pytest.mark.parametrize("later_wins_a_tie", [True, False])
def test_the_naive_rules_are_wrong_where_the_oracle_is_right(later_wins_a_tie: bool) -> None:
    world, chance = tell(4, 40), random.Random(4)
    told, wrong = events_of(world), 0
    for subscription_id in world.subscriptions:
        events = up_to_its_busiest_second(
            [event for event in told if event["data"]["object"].get("id") == subscription_id]
        )
        truth = oracle.snapshot_of(events[-1]).after
        chance.shuffle(events)
        assert oracle.final_states(events)[subscription_id] == truth
        wrong += oracle.snapshot_of(naively(events, later_wins_a_tie=later_wins_a_tie)).after != truth

    assert wrong >= 10


def busy_second(changes: int) -> World:
    """One subscription that changes so many times in its second day's first second."""
    world = World(9)
    subscription = Subscription(world, Customer(world), "mid_monthly")
    subscription.start()
    world.advance(world.now + DAY_SECONDS)
    for number in range(changes):
        subscription.set_quantity(100 - number * 7 % 11)
    return world


@pytest.mark.parametrize("changes", [6, 7, 10])
def test_however_many_changes_share_a_second_their_chain_is_found(changes: int) -> None:
    world = busy_second(changes)
    events = events_of(world)
    random.Random(changes).shuffle(events)

    (history,) = oracle.fold(events).values()

    (truth,) = books_of(world).histories.values()
    assert [one.after for one in history] == list(truth)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 6))
def test_both_ways_of_finding_the_best_chain_find_the_same_one(seed: int, size: int) -> None:
    chance = random.Random(seed)
    line = [one for one in oracle.fold(events_of(busy_second(8))).popitem()[1] if one.before]
    tied = sorted(chance.sample(line, size), key=lambda one: one.event_id)
    start = chance.choice([None, chance.choice(line)])

    by_force = oracle.best_chain(start, tied)

    assert list(by_force) == list(oracle._best_chain_of_many(start, tied))


def test_what_nothing_else_decides_the_event_id_decides() -> None:
    world = World(9)
    subscription = Subscription(world, Customer(world), "mid_monthly")
    subscription.start()
    world.advance(world.now + DAY_SECONDS)
    subscription.use_card()
    subscription.note_down(saved="yes")
    subscription.use_card()
    events = events_of(world)

    orders = {tuple(one.event_id for one in oracle.fold(order).popitem()[1][-3:]) for order in (events, events[::-1])}

    assert len(orders) == 1
    (order,) = orders
    assert list(order) == sorted(order)


def test_a_late_update_never_brings_back_what_has_ended() -> None:
    world = World(9)
    subscription = Subscription(world, Customer(world), "mid_monthly")
    subscription.start()
    subscription.cancel_now()
    events = events_of(world)
    late = next(event for event in events if event["type"] == "customer.subscription.updated")

    states = oracle.final_states([*events, late | {"id": "evt_late", "created": late["created"] + DAY_SECONDS}])

    assert states[subscription.id].status == "canceled"


@pytest.mark.parametrize("seed", range(6))
def test_there_and_back_in_one_second_ends_where_the_second_before_left_it(seed: int) -> None:
    world = World(seed)  # Of six seeds some have the ids in the wrong order.
    subscription = Subscription(world, Customer(world), "mid_monthly")
    subscription.start()
    world.advance(world.now + DAY_SECONDS)
    subscription.set_quantity(2)
    subscription.set_quantity(1)

    assert oracle.final_states(events_of(world)[::-1])[subscription.id].quantity == 1
