"""A story is delivered in no order at all, with duplicates, in three API shapes: the rows, the history and the last
word of each subscription are what an oracle that shares no code with us makes of the same events.
"""

import random
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from simulator import oracle, shapes, story
from simulator.delivery import Delivery, Disorder, Endpoint, Pace, Sender, arrange
from simulator.dice import Dice
from simulator.states import SubscriptionState
from tests.support_figures import Figure
from tests.support_pipeline import Pipeline, running

pytestmark = pytest.mark.e2e

SUBSCRIBERS = 40
DUPLICATES = 0.15
MOMENTS = ("current_period_start", "current_period_end", "trial_end", "cancel_at", "canceled_at")
SHOWN = (
    *("subscription_id", "customer_id", "status", "plan", "price_lookup_key", "billing_interval", "quantity"),
    *("cancel_at_period_end", "livemode"),
    *MOMENTS,
)
CHANGED, AMENDED = "billing.subscription.changed.v1", "billing.subscription.amended.v1"
Shown = tuple[object, ...]


async def test_a_story_in_no_order_ends_as_the_oracle_says(tmp_path: Path, figure: Figure) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    events = mixed_shapes(seed)
    expected = oracle.fold(events)
    async with running(tmp_path / "home") as pipeline:
        await deliver(pipeline, events, seed)
        await pipeline.drained()

        assert await presents(pipeline) == {key: shown(line[-1].after) for key, line in expected.items()}
        assert await histories(pipeline) == {key: [shown(one.after) for one in line] for key, line in expected.items()}
        last, said = await last_words(pipeline)
        assert last == {key: shown(line[-1].after) for key, line in expected.items()}
        assert said == {key: {shown(one.after) for one in line} for key, line in expected.items()}
        await pipeline.check()
    figure(f"{len(events)} events of {len(expected)} subscriptions in no order, seed {seed}: no difference")


def mixed_shapes(seed: int) -> list[dict[str, Any]]:
    """Every event of a story, each in the shape of a version of its own."""
    dice = random.Random(seed)
    return [shapes.render(one, dice.choice(shapes.API_VERSIONS)) for one in story.tell(seed, SUBSCRIBERS).happenings]


async def deliver(pipeline: Pipeline, events: list[dict[str, Any]], seed: int) -> None:
    deliveries = [Delivery(event["id"], shapes.wire(event)) for event in events]
    disorder = Disorder(duplicate_share=DUPLICATES, window=None)
    endpoint = Endpoint(pipeline.stack.webhook_url, (pipeline.stack.webhook_secret,))
    sender = Sender(endpoint, lambda: datetime.now(UTC).timestamp(), Pace(concurrency_max=16))
    journal = await sender.send(arrange(deliveries, disorder, Dice(f"{seed}/order")))
    assert not journal.given_up
    pipeline.accepted.update(journal.first_accepted)


async def presents(pipeline: Pipeline) -> dict[str, Shown]:
    rows = await pipeline.rows("SELECT * FROM reports.subscriptions")
    return {row["subscription_id"]: shown_row(row) for row in rows}


async def histories(pipeline: Pipeline) -> dict[str, list[Shown]]:
    found: dict[str, list[Shown]] = defaultdict(list)
    for row in await pipeline.rows("SELECT * FROM reports.subscription_history ORDER BY subscription_id, version"):
        found[row["subscription_id"]].append(shown_row(row))
    return dict(found)


async def last_words(pipeline: Pipeline) -> tuple[dict[str, Shown], dict[str, set[Shown]]]:
    """What was said of each subscription last, by the place in the outbox, and everything that was said of it."""
    places = {
        row["event_id"]: row["outbox_id"] for row in await pipeline.rows("SELECT event_id, outbox_id FROM outbox")
    }
    last: dict[str, Shown] = {}
    said: dict[str, set[Shown]] = defaultdict(set)
    for message in sorted(await pipeline.said(), key=lambda one: places[one.id]):
        if message.type not in {CHANGED, AMENDED}:
            continue
        row = shown_row(dict(message.data) | {"subscription_id": message.subject})
        said[message.subject].add(row)
        if message.type == CHANGED:
            last[message.subject] = row
    return last, dict(said)


def shown(state: SubscriptionState) -> Shown:
    return tuple(getattr(state, name) for name in SHOWN)


def shown_row(row: Mapping[str, Any]) -> Shown:
    return tuple(second(row[name]) if name in MOMENTS else row[name] for name in SHOWN)


def second(moment: datetime | str | None) -> int | None:
    if moment is None:
        return None
    return int((datetime.fromisoformat(moment) if isinstance(moment, str) else moment).timestamp())
