"""Processes die at random moments under load, by SIGKILL and by SIGTERM: nothing is lost and nothing counts twice.

The kills are counted by the phase in which they landed, so that nobody mistakes a hundred deaths of an idle process for
a proof.  The seed is printed; `KILLS_SEED=7 make test` plays it again.
"""

import asyncio
import itertools
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.support_figures import Figure
from tests.support_pipeline import Pipeline, running, subscription_event

pytestmark = pytest.mark.e2e

EVENTS_PER_SECOND = 50
CUSTOMERS = 40
DUPLICATES = 0.1
PAUSE_SECONDS_MAX = 1.5
VICTIMS = ("books-0", "books-1", "relay", "ingress")


@pytest.mark.timeout(400)
async def test_twenty_random_deaths_under_load(tmp_path: Path, figure: Figure) -> None:
    await die_at_random(tmp_path / "home", figure, deaths=20)


@pytest.mark.long
@pytest.mark.timeout(3_000)
async def test_three_hundred_random_deaths_under_load(tmp_path: Path, figure: Figure) -> None:
    phases = await die_at_random(tmp_path / "home", figure, deaths=300)

    reached = {phase for (_, phase), count in phases.items() if count >= 5}
    assert reached >= {"in_transaction", "after_commit", "outbox_sent"}, f"too few deaths where it matters: {phases}"


async def die_at_random(home: Path, figure: Figure, deaths: int) -> Counter[tuple[str, str]]:
    seed = int(os.environ.get("KILLS_SEED", random.SystemRandom().randrange(1_000_000)))
    print(f"KILLS_SEED={seed}")
    dice = random.Random(seed)
    async with running(home) as pipeline:
        stop = asyncio.Event()
        load = asyncio.create_task(deliver_all_the_time(pipeline, dice, stop))
        phases = Counter([await one_death(pipeline, dice) for _ in range(deaths)])
        stop.set()
        await load
        await pipeline.all_ready()
        await pipeline.drained()
        await pipeline.check()
        say_phases(figure, seed, len(pipeline.accepted), phases)
        assert not await pipeline.rows("SELECT fact_id FROM parked_facts")
    return phases


async def deliver_all_the_time(pipeline: Pipeline, dice: random.Random, stop: asyncio.Event) -> None:
    """An open loop: each event is on its own, so a slow one holds up none of the others."""
    created = int(time.time())
    async with asyncio.TaskGroup() as events:
        for number in itertools.count():
            if stop.is_set():
                return
            event = subscription_event(
                f"evt_random_{number}",
                created=created + number // CUSTOMERS,
                subscription=f"sub_{number % CUSTOMERS}",
                customer=f"cus_{number % CUSTOMERS}",
                status=dice.choice(("active", "past_due", "trialing")),
            )
            for _ in range(2 if dice.random() < DUPLICATES else 1):
                events.create_task(pipeline.deliver(event))
            await asyncio.sleep(1 / EVENTS_PER_SECOND)


async def one_death(pipeline: Pipeline, dice: random.Random) -> tuple[str, str]:
    """Kill one process at a random moment and wait until it is back; who it was and what it had reached."""
    name = dice.choice(VICTIMS)
    await asyncio.sleep(dice.uniform(0, PAUSE_SECONDS_MAX))
    pid = pipeline.stack.supervisor.kill(name, dice.choice((signal.SIGKILL, signal.SIGTERM)))
    await pipeline.ended(name, pid)
    phase = pipeline.phase_of(pid)
    await pipeline.all_ready()
    return name.rstrip("-01"), phase


def say_phases(figure: Figure, seed: int, events: int, phases: Counter[tuple[str, str]]) -> None:
    figure(f"{phases.total()} random deaths under {events} events, seed {seed}, by the last point reached:")
    for (who, phase), count in sorted(phases.items()):
        figure(f"  {who:>8} after {phase:<18} {count:4}")
