"""Processes die at random moments under load, by SIGKILL and by SIGTERM: nothing is lost and nothing counts twice.

The kills are counted by the phase in which they landed, so that nobody mistakes a hundred deaths of an idle process for
a proof: a process says "idle" once its work is done.  Half of the kills wait until it is at work, and in the long run a
quarter come from a failpoint, since some phases are too short to be hit.  The seed is printed; with `KILLS_SEED=7 make
test` the same events are sent and the same victims chosen, though not at the same instants.
"""

import asyncio
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from tests.support_figures import Figure
from tests.support_pipeline import Body, Pipeline, running, subscription_event

pytestmark = pytest.mark.e2e

TICKS_PER_SECOND = 40
BURST_EVENTS = 12
BURST_SHARE = 0.1
CUSTOMERS = 40
UPDATES_IN_ONE_SECOND = 3
DUPLICATES = 0.1
PAUSE_SECONDS_MAX = 1.0
BUSY_SECONDS_MAX = 1.0
DEATHS_IN_EACH_PHASE_MIN = 5
ASKED_TO_STOP = "asked to stop"
VICTIMS = ("books-0", "books-1", "relay", "ingress")
PHASES = {
    "ingress": ("after_verify", "after_produce_ack"),
    "books": ("after_consume", "in_transaction", "after_commit"),
    "relay": ("outbox_claimed", "outbox_sent"),
}
Phase = tuple[str, str]
Kill = Callable[[Pipeline, random.Random], Awaitable[Phase]]


@pytest.mark.timeout(400)
async def test_twenty_random_deaths_under_load(tmp_path: Path, figure: Figure) -> None:
    await die_at_random(tmp_path / "home", figure, [kill_at_random, kill_at_work] * 10)


@pytest.mark.long
@pytest.mark.timeout(3_000)
async def test_three_hundred_random_deaths_under_load(tmp_path: Path, figure: Figure) -> None:
    named = [(who, point) for who, points in PHASES.items() for point in points]
    failpoints = itertools.cycle(partial(kill_at_failpoint, failpoint=point) for _, point in named)
    kills = [kill for _ in range(75) for kill in (kill_at_random, kill_at_work, kill_at_work, next(failpoints))]
    phases = await die_at_random(tmp_path / "home", figure, kills)

    too_few = [where for where in named if phases[where] < DEATHS_IN_EACH_PHASE_MIN]
    assert not too_few, f"too few deaths where it matters: {too_few} in {phases}"


async def die_at_random(home: Path, figure: Figure, kills: Sequence[Kill]) -> Counter[Phase]:
    seed = int(os.environ.get("KILLS_SEED", random.SystemRandom().randrange(1_000_000)))
    print(f"KILLS_SEED={seed}")
    dice = random.Random(f"{seed}/kills")
    async with running(home) as pipeline:
        stop = asyncio.Event()
        load = asyncio.create_task(deliver_all_the_time(pipeline, random.Random(f"{seed}/load"), stop))
        phases = Counter([await kill(pipeline, dice) for kill in kills])
        stop.set()
        await load
        await pipeline.all_ready()
        await pipeline.drained()
        await pipeline.check()
        say_phases(figure, seed, len(pipeline.accepted), phases)
        assert not await pipeline.rows("SELECT fact_id FROM parked_facts")
    return phases


async def deliver_all_the_time(pipeline: Pipeline, dice: random.Random, stop: asyncio.Event) -> None:
    """An open loop: each event is on its own, so a slow one holds up none of the others.  Now and then a burst."""
    events = stream_of_events(dice)
    async with asyncio.TaskGroup() as posts:
        while not stop.is_set():
            for event in itertools.islice(events, BURST_EVENTS if dice.random() < BURST_SHARE else 1):
                for _ in range(2 if dice.random() < DUPLICATES else 1):
                    posts.create_task(pipeline.deliver(event))
            await asyncio.sleep(1 / TICKS_PER_SECOND)


def stream_of_events(dice: random.Random) -> Iterator[Body]:
    """Updates of every customer's subscription in turn, so many of each in one second."""
    began = int(time.time())
    for number in itertools.count():
        yield subscription_event(
            f"evt_random_{number}",
            created=began + number // (CUSTOMERS * UPDATES_IN_ONE_SECOND),
            subscription=f"sub_{number % CUSTOMERS}",
            customer=f"cus_{number % CUSTOMERS}",
            status=dice.choice(("active", "past_due", "trialing")),
        )


async def kill_at_random(pipeline: Pipeline, dice: random.Random) -> Phase:
    """Kill one process, or ask it to stop, at a moment that knows nothing of its work."""
    name, how = dice.choice(VICTIMS), dice.choice((signal.SIGKILL, signal.SIGTERM))
    await asyncio.sleep(dice.uniform(0, PAUSE_SECONDS_MAX))
    return await death_of(pipeline, name, how)


async def kill_at_work(pipeline: Pipeline, dice: random.Random) -> Phase:
    """Kill one process as soon as it is at work."""
    name = dice.choice(VICTIMS)
    await pipeline.busy(pipeline.stack.supervisor.pid(name), BUSY_SECONDS_MAX)
    return await death_of(pipeline, name, signal.SIGKILL)


async def kill_at_failpoint(pipeline: Pipeline, _: random.Random, failpoint: str) -> Phase:
    """Let whoever comes by die at a failpoint."""
    name, pid = await pipeline.died_at(failpoint)
    await pipeline.all_ready()
    return name.rstrip("-01"), pipeline.phase_of(pid)


async def death_of(pipeline: Pipeline, name: str, how: signal.Signals) -> Phase:
    """Who died, and in which phase; it is back."""
    pid = pipeline.stack.supervisor.kill(name, how)
    await pipeline.ended(name, pid)
    await pipeline.all_ready()
    return name.rstrip("-01"), pipeline.phase_of(pid) if how is signal.SIGKILL else ASKED_TO_STOP


def say_phases(figure: Figure, seed: int, events: int, phases: Counter[tuple[str, str]]) -> None:
    figure(f"{phases.total()} random deaths under {events} events, seed {seed}, by the phase they landed in:")
    for (who, phase), count in sorted(phases.items()):
        figure(f"  {who:>8} {phase:<18} {count:4}")
