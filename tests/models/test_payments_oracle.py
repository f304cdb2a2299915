"""A story's payments are what an oracle makes of the same events that shares no code with us, in any order and shape,
and what the pretend Stripe's own books say, which never saw an event.
"""

import random
from typing import Any

import pytest

from models.books import Outcome, ask_for_owner
from simulator import oracle_money, shapes, story
from simulator.books import books_of
from tests.models.support_facts import Json
from tests.models.support_money import Shown, shown_by_them, shown_by_us
from tests.models.support_shelf import Shelf
from tests.models.test_payments import fact_of, heard, last_words, seen

SUBSCRIBERS = 40
SEEDS = range(6)
LONG_SEEDS = range(100, 160)


def told(seed: int) -> tuple[Any, list[Json]]:
    """A story, and its events in a shape by chance each."""
    world, dice = story.tell(seed, SUBSCRIBERS), random.Random(seed)
    return world, [shapes.render(one, dice.choice(shapes.API_VERSIONS)) for one in world.happenings]


def differences(ours: Shown, theirs: Shown) -> list[str]:
    """What differs, in words."""
    found: list[str] = []
    for name, rows in theirs.items():
        for of in sorted(rows.keys() | ours[name].keys()):
            mine, other = ours[name].get(of), rows.get(of)
            if mine is None or other is None:
                found.append(f"{name} {of}: {'not ours' if mine is None else 'not theirs'}: {mine or other}")
            else:
                found += [
                    f"{name} {of}.{field}: {mine.get(field)!r}, and {other[field]!r}"
                    for field in other
                    if mine.get(field) != other[field]
                ]
    return found


def answered(shelf: Shelf, events: list[Json]) -> list[Json]:
    """What Stripe shows when it is asked about those that nobody has told of: guests whom the platform never named."""
    asked = {ask_for_owner(fact).subject for fact in shelf.waiting.values()}
    last = {event["data"]["object"].get("id"): event for event in events}
    return [
        event
        | {
            "id": f"ans_{of}",
            "type": f"{event['data']['object']['object']}.retrieved",
            "created": events[-1]["created"] + 60,
            "data": {"object": event["data"]["object"]},
        }
        for of, event in last.items()
        if of in asked
    ]


def check(seed: int) -> None:
    world, events = told(seed)
    expected = shown_by_them(oracle_money.money(events))
    in_order, words = heard(events, batch=50)
    answers = answered(in_order, events)
    words += in_order.take(map(fact_of, answers))
    everything, last = seen(in_order), last_words(words)
    assert differences(shown_by_us(in_order), expected) == []
    assert not in_order.waiting
    everybody = [*events, *events, *answers]
    no_order, words = heard(random.Random(seed).sample(everybody, len(everybody)), batch=9)
    assert seen(no_order) == everything
    assert last_words(words) == last
    assert Outcome.WAITING in {one.outcome for one in words}, "nothing had to wait: the mixing is too tame"
    assert differences(shown_by_us(no_order), shown_by_them(books_of(world).money)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_a_story_in_any_order_and_shape_gives_the_payments_of_the_oracle_and_of_the_books(seed: int) -> None:
    check(seed)


@pytest.mark.long
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_many_stories_do(seed: int) -> None:
    check(seed)
