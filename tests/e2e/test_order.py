"""A story is delivered in no order at all, with duplicates, in three API shapes: the rows, the history and the last
word of each subscription are what an oracle that shares no code with us makes of the same events.
"""

import asyncio
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from simulator import shapes, story
from tests.support_figures import Figure
from tests.support_pipeline import Pipeline, running
from tests.support_shown import Shown, lasts_of, lines_of_oracle, shown_row

pytestmark = pytest.mark.e2e

SUBSCRIBERS = 40
DUPLICATES = 0.15
AT_ONCE = 16
HARD_SHARE_MIN = 0.3
CHANGED, AMENDED = "billing.subscription.changed.v1", "billing.subscription.amended.v1"


async def test_a_story_in_no_order_ends_as_the_oracle_says(tmp_path: Path, figure: Figure) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed {seed}")
    events = mixed_shapes(seed)
    expected = lines_of_oracle(events)
    hard = share_with_three_updates_in_one_second(events)
    async with running(tmp_path / "home") as pipeline:
        await deliver(pipeline, events, seed)
        await pipeline.drained()

        await pipeline.check()
        last, said = await last_words(pipeline)
        assert last == lasts_of(expected)
        assert said == {key: set(line) for key, line in expected.items()}
    assert hard >= HARD_SHARE_MIN
    figure(f"{len(events)} events of {len(expected)} subscriptions in no order, seed {seed}: no difference")
    figure(f"{hard:.0%} of the subscriptions hold three updates in one second")


def mixed_shapes(seed: int) -> list[dict[str, Any]]:
    """Every event of a story, each in the shape of a version of its own."""
    dice = random.Random(seed)
    return [shapes.render(one, dice.choice(shapes.API_VERSIONS)) for one in story.tell(seed, SUBSCRIBERS).happenings]


def share_with_three_updates_in_one_second(events: list[dict[str, Any]]) -> float:
    """How much of a story is hard."""
    shown = [event for event in events if event["type"].startswith("customer.subscription.")]
    updates = Counter(
        (event["data"]["object"]["id"], event["created"]) for event in shown if event["type"].endswith(".updated")
    )
    hard = {subscription for (subscription, _), count in updates.items() if count >= 3}
    return len(hard) / len({event["data"]["object"]["id"] for event in shown})


async def deliver(pipeline: Pipeline, events: list[dict[str, Any]], seed: int) -> None:
    """All of them in no order, some of them twice, several at once."""
    dice = random.Random(f"{seed}/order")
    posts = [*events, *(event for event in events if dice.random() < DUPLICATES)]
    dice.shuffle(posts)
    room = asyncio.Semaphore(AT_ONCE)

    async def post(event: dict[str, Any]) -> None:
        async with room:
            await pipeline.deliver(event)

    async with asyncio.TaskGroup() as tasks:
        for event in posts:
            tasks.create_task(post(event))


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
