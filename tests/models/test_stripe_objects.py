"""The usual way of reading an object says what the long way says, of whatever it is shown."""

import json
import random
from functools import cache
from typing import Any

import pytest

from models import stripe_objects
from models.objects import Kind, ObjectSeen
from simulator import shapes, story
from tests.ingress.support import mutated
from tests.models.support_facts import Json

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.0, 1.5, 2**63, 10**30, float("nan"), float("inf"), "", "x", "é", "\ud800", "a b"),
    *([], [None], [{}], {}, {"id": "in_1"}, {"id": None}, {"data": [{"id": "ch_1"}]}, "invoice", "customer"),
)


@cache
def told(shape: str) -> list[Json]:
    """The events of a story that show an object, three at most of each type."""
    counts: dict[str, int] = {}
    events = []
    for one in story.tell(7, 60).happenings:
        counts[one.type] = counts.get(one.type, 0) + 1
        if stripe_objects.shows_object(one.type) and counts[one.type] <= 3:
            events.append(shapes.render(one, shape))
    return events


def read(way: str, fact_type: str, body: bytes) -> ObjectSeen | str | None:
    """What one way reads, or what kind of error it raises."""
    try:
        return stripe_objects.read(fact_type, body) if way == "usual" else stripe_objects.read_any(body)
    except ValueError as wrong:
        return type(wrong).__name__


def agrees(fact_type: str, body: bytes) -> bool:
    """Whether both ways read the same; what they made of it."""
    usual = read("usual", fact_type, body)
    assert usual == read("any", fact_type, body), body
    return isinstance(usual, ObjectSeen)


@pytest.mark.parametrize("shape", shapes.API_VERSIONS)
def test_both_ways_read_the_same_of_every_event_of_a_story(shape: str) -> None:
    kinds = set()
    for event in told(shape):
        body = shapes.wire(event)
        assert agrees(event["type"], body), event["type"]
        kinds.add(event["data"]["object"]["object"])
    assert kinds >= {kind.value for kind in Kind}


@pytest.mark.parametrize("shape", shapes.API_VERSIONS)
def test_both_ways_read_the_same_of_events_that_say_odd_things(shape: str) -> None:
    dice = random.Random(20261127)
    readable = {agrees(event["type"], odd(event, dice)) for event in told(shape) for _ in range(60)}
    assert readable == {True, False}


def odd(event: Json, dice: random.Random) -> bytes:
    """The event with something odd in one of its fields, or none there at all, or twice."""
    changed = json.loads(json.dumps(event))
    at = changed if dice.random() < 0.1 else changed["data"] if dice.random() < 0.1 else changed["data"]["object"]
    while True:
        name = dice.choice(sorted(at))
        below = at[name]
        if not (isinstance(below, dict) and below and dice.random() < 0.5):
            break
        at = below
    value = dice.choice(ODD)
    if dice.random() < 0.1:
        del at[name]
    elif dice.random() < 0.1:
        return json.dumps(changed).replace(f'"{name}":', f'"{name}": {json.dumps(value)}, "{name}":', 1).encode()
    else:
        at[name] = value
    return json.dumps(changed).encode()


def test_both_ways_read_the_same_of_bytes_that_were_changed() -> None:
    dice = random.Random(20261128)
    events = told(shapes.BASIL)
    readable = {agrees(event["type"], mutated(shapes.wire(event), dice)) for event in events for _ in range(60)}
    assert readable == {True, False}


def test_an_object_of_another_kind_than_its_type_says_is_read_as_what_it_is() -> None:
    events = told(shapes.BASIL)
    read_as_what_it_is = 0
    for event in events:
        for fact_type in ("invoice.paid", "charge.dispute.created", "customer.updated", "an.unheard_of"):
            body = shapes.wire(event | {"type": fact_type})
            read_as_what_it_is += agrees(fact_type, body)
    assert read_as_what_it_is > len(events)


def test_a_change_is_read_however_its_name_is_spelled() -> None:
    changes = [event for event in told(shapes.BASIL) if "previous_attributes" in event["data"]]
    for event in changes:
        body = shapes.wire(event).replace(b'"previous_attributes"', rb'"previous\u005fattributes"')
        seen = stripe_objects.read(event["type"], body)
        assert seen is not None
        assert seen.before is not None
    assert changes
