"""Ours against two that share no code with it: the oracle, which reads the same events, and the world's own books."""

import random
from collections import Counter
from dataclasses import asdict
from functools import cache

import pytest

from models.lines import CHAIN_FACTS_MAX
from simulator import books as world_books
from simulator import oracle, shapes, story
from simulator.states import SubscriptionState
from tests.models.support_facts import BASIL, BEFORE_BASIL, Json, fact_of, version_of
from tests.models.support_lifecycles import Lifecycle, at_random, fold, shuffled
from tests.models.support_oracle import seen_by_oracle, seen_by_us, shown
from tests.models.support_shelf import Shelf

STORY_SEEDS = (1, 2, 3)
SUBSCRIBERS = 40
STORY_SHUFFLES_EACH = 8
CORPUS_COUNT = 250
CORPUS_SHUFFLES_EACH = 4


@cache
def events_of_story(seed: int) -> tuple[Json, ...]:
    """All events of a story, each in the shape of some version, in their true order."""
    world = story.tell(seed, SUBSCRIBERS)
    chance = random.Random(seed)
    return tuple(shapes.render(happening, chance.choice(shapes.API_VERSIONS)) for happening in world.happenings)


@pytest.mark.parametrize("seed", STORY_SEEDS)
def test_a_shuffled_story_ends_as_the_oracle_says_version_by_version(seed: int) -> None:
    events = events_of_story(seed)
    expected = {of: seen_by_oracle(history) for of, history in oracle.fold(events).items()}
    facts = {event["id"]: fact_of(event) for event in events}
    chance = random.Random(seed)

    for _ in range(STORY_SHUFFLES_EACH):
        arrivals = list(facts.values())
        chance.shuffle(arrivals)
        shelf = Shelf()
        for start in range(0, len(arrivals), 97):
            shelf.take(arrivals[start : start + 97])
        assert {of: seen_by_us(of, shelf.lines.whole(of)) for of in shelf.lines.rows} == expected


@pytest.mark.parametrize("seed", STORY_SEEDS)
def test_a_story_ends_as_the_world_knows_it(seed: int) -> None:
    world = story.tell(seed, SUBSCRIBERS)
    truth = world_books.books_of(world).histories
    shelf = Shelf()
    facts = [fact_of(shapes.render(happening, shapes.NEWEST)) for happening in world.happenings]
    random.Random(seed).shuffle(facts)
    shelf.take(facts)

    ours = {of: [state for _, state in seen_by_us(of, shelf.lines.whole(of))] for of in shelf.lines.rows}

    assert ours == {of: [asdict(state) for state in history] for of, history in truth.items()}


@pytest.mark.parametrize("seed", STORY_SEEDS)
def test_a_third_of_a_storys_subscriptions_holds_three_updates_in_one_second(seed: int) -> None:
    updates = [event for event in events_of_story(seed) if event["type"] == "customer.subscription.updated"]
    crowds = Counter((event["data"]["object"]["id"], event["created"]) for event in updates)
    tied = {subscription_id for (subscription_id, _), count in crowds.items() if count >= 3}

    assert len(tied) >= 0.3 * len(oracle.fold(events_of_story(seed)))


def test_lifecycles_worse_than_any_story_end_as_the_oracle_says_also_when_facts_are_missing() -> None:
    chance = random.Random(4)

    for seed in range(CORPUS_COUNT):
        events = [event for event in _events(at_random(seed), chance) if chance.random() < 0.9]
        if not events or _largest_crowd(events) > CHAIN_FACTS_MAX:
            continue
        (expected,) = (seen_by_oracle(history) for history in oracle.fold(events).values())
        versions = [version_of(event) for event in events]
        for _ in range(CORPUS_SHUFFLES_EACH):
            line = fold(shuffled(versions, chance)).line
            assert seen_by_us("sub_1", line) == expected, f"lifecycle {seed}"


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 120))
def test_ten_thousand_lifecycles_end_as_the_oracle_says(seed: int) -> None:
    chance = random.Random(seed)
    for number in range(500):
        events = _events(at_random(seed * 1000 + number), chance)
        if _largest_crowd(events) <= CHAIN_FACTS_MAX:
            (expected,) = (seen_by_oracle(history) for history in oracle.fold(events).values())
            line = fold(shuffled([version_of(event) for event in events], chance)).line
            assert seen_by_us("sub_1", line) == expected, f"lifecycle {seed * 1000 + number}"


def _events(lifecycle: Lifecycle, chance: random.Random) -> list[Json]:
    """Without the shape of before 2020, which the oracle does not read."""
    return lifecycle.events(chance, (BEFORE_BASIL, BASIL))


def _largest_crowd(events: list[Json]) -> int:
    return max(Counter((event["created"], event["type"]) for event in events).values())


def test_both_speak_of_the_same_fields() -> None:
    (version,) = fold([version_of(at_random(1).events()[0])]).line

    assert set(shown("sub_1", version)) == set(SubscriptionState.__dataclass_fields__)
