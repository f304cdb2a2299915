"""A pretend Stripe's story in any order, judged by somebody who shares no code with us."""

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from models import envelopes
from models.base import ENVELOPE_HEADER, Envelope
from simulator import oracle, shapes
from simulator.books import books_of
from simulator.happenings import Json
from simulator.states import SubscriptionState
from simulator.story import tell
from tests.store.test_contracts import assert_numbers_are_gapless
from tests.support_lives import shuffled
from tests.support_store import Bench, Told

SUBSCRIBERS = 25
BATCH_FACTS = 100
RECEIVED_AT = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.mark.parametrize("seed", range(4))
async def test_a_shuffled_story_ends_as_its_own_books_and_an_independent_fold_say(bench: Bench, seed: int) -> None:
    dice = random.Random(seed)
    world = tell(seed, SUBSCRIBERS)
    events = [shapes.render(happening, dice.choice(shapes.API_VERSIONS)) for happening in world.happenings]
    intake = await bench.intake()
    arriving = shuffled([as_told(event) for event in events], dice)

    for first in range(0, len(arriving), BATCH_FACTS):
        await intake.take(bench.records(arriving[first : first + BATCH_FACTS]))

    assert bench.table("parked") == []
    assert bench.table("copies") == []
    assert len(bench.sql("SELECT 1 FROM reports.facts")) == len(events)
    assert_numbers_are_gapless(bench)
    assert {state.subscription_id: state for state in map(as_state, bench.table("subscriptions"))} == (
        books_of(world).states
    )
    histories: dict[str, list[tuple[str, SubscriptionState]]] = {}
    for row in bench.table("versions"):
        histories.setdefault(row["subscription_id"], []).append((row["fact_id"], as_state(row)))
    assert histories == {
        subscription_id: [(one.event_id, one.after) for one in line]
        for subscription_id, line in oracle.fold(events).items()
    }


def as_told(event: Json) -> Told:
    """As the door hands it on."""
    body = shapes.wire(event)
    written = envelopes.read(body, RECEIVED_AT, livemode=False)
    assert isinstance(written, envelopes.Written)
    return Told(Envelope.from_headers({ENVELOPE_HEADER: written.text}), body)


def as_state(row: dict[str, Any]) -> SubscriptionState:
    told: dict[str, Any] = {name: row[name] for name in SubscriptionState.__dataclass_fields__}
    times = {name: int(value.timestamp()) for name, value in told.items() if isinstance(value, datetime)}
    return SubscriptionState(**told | times)
