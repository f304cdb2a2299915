"""How soon it goes on after each part has died.  Deadlines are threefold here and strict in `make test-long`."""

import asyncio
import itertools
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from tests.support_figures import Figure
from tests.support_pipeline import Pipeline, subscription_event, until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

GROUP = "billing.books"
CUSTOMERS = 60
EVENTS_PER_SECOND = 30
_numbers = itertools.count(1)

THREEFOLD = pytest.param(3, id="threefold")
STRICT = pytest.param(1, id="strict", marks=pytest.mark.long)
slack = pytest.mark.parametrize("slack", [THREEFOLD, STRICT])


@dataclass(slots=True)
class Commits:
    """When each partition of the topic had its commits, as PostgreSQL tells."""

    pipeline: Pipeline
    since: float = field(default_factory=time.time)

    async def times(self) -> dict[int, list[float]]:
        rows = await self.pipeline.rows(
            "SELECT partition, extract(epoch FROM committed_at)::float8 AS at FROM journal"
            " WHERE committed_at > to_timestamp(%(since)s) ORDER BY committed_at",
            since=self.since,
        )
        found: dict[int, list[float]] = {}
        for row in rows:
            found.setdefault(row["partition"], []).append(row["at"])
        return found

    async def longest_pause(self, partitions: set[int]) -> float:
        """The longest time in which none of these partitions had a commit."""
        at = sorted(t for number, times in (await self.times()).items() if number in partitions for t in times)
        return max((later - earlier for earlier, later in itertools.pairwise(at)), default=0.0)


@asynccontextmanager
async def load(pipeline: Pipeline) -> AsyncIterator[None]:
    """Events on every partition, all the time, each on its own."""
    stop = asyncio.Event()

    async def deliver() -> None:
        async with asyncio.TaskGroup() as events:
            while not stop.is_set():
                number = next(_numbers)
                event = subscription_event(
                    f"evt_recovery_{number}",
                    created=1_790_000_000 + number,
                    subscription=f"sub_{number % CUSTOMERS}",
                    customer=f"cus_{number % CUSTOMERS}",
                )
                events.create_task(pipeline.deliver(event))
                await asyncio.sleep(1 / EVENTS_PER_SECOND)

    delivering = asyncio.create_task(deliver())
    try:
        yield
    finally:
        stop.set()
        await delivering


async def partitions_of(pipeline: Pipeline, ordinal: int) -> set[int]:
    """The partitions that a worker holds, as the group's coordinator tells."""
    admin = AIOKafkaAdminClient(bootstrap_servers=pipeline.stack.kafka.bootstrap_servers)
    await admin.start()
    try:
        answers = await admin.describe_consumer_groups([GROUP])
    finally:
        await admin.close()
    members = answers[0].to_object()["groups"][0]["members"]
    (mine,) = [one for one in members if one["member_id"].startswith(f"{GROUP}-{ordinal}-")]
    assignment = ConsumerProtocolMemberAssignment.decode(mine["member_assignment"])
    return {number for _, numbers in assignment.assignment for number in numbers}


async def commits_again(commits: Commits, partitions: set[int], after: float) -> float:
    """How long after *after* one of these partitions had a commit."""

    async def first() -> list[float]:
        times = await commits.times()
        return [at for number in partitions for at in times.get(number, []) if at > after][:1]

    return (await until(first, 60, "commits go on"))[0] - after


async def settled(pipeline: Pipeline) -> None:
    await pipeline.all_ready()
    await pipeline.drained()
    await pipeline.check()
    parked = await pipeline.rows("SELECT fact_id FROM parked_facts WHERE fact_id LIKE 'evt_recovery_%%'")
    assert not parked, "an outage is no reason to park"


@slack
async def test_a_killed_worker_comes_back_within_three_seconds_and_its_peer_does_not_pause(
    pipeline: Pipeline, figure: Figure, slack: int
) -> None:
    mine, peers = await partitions_of(pipeline, 0), await partitions_of(pipeline, 1)
    async with load(pipeline):
        commits = Commits(pipeline)
        killed = time.time()
        pipeline.stack.supervisor.kill("books-0")
        back = await commits_again(commits, mine, killed)
        pause = await commits.longest_pause(peers)

    figure(
        f"worker killed, restarted at once: commits again after {back:.1f} s; its peer's longest pause {pause:.2f} s"
    )
    await settled(pipeline)
    assert back <= 3 * slack
    assert pause <= 1 * slack


@slack
async def test_the_partitions_of_a_worker_that_stays_dead_are_taken_over_within_ten_seconds(
    pipeline: Pipeline, figure: Figure, slack: int
) -> None:
    mine = await partitions_of(pipeline, 1)
    async with load(pipeline):
        commits = Commits(pipeline)
        killed = time.time()
        await pipeline.stack.supervisor.leave_dead("books-1")
        over = await commits_again(commits, mine, killed)
        await pipeline.stack.start("books-1")

    figure(f"worker killed, stays dead: its partitions commit again after {over:.1f} s")
    await settled(pipeline)
    assert over <= 10 * slack


async def test_a_worker_that_was_frozen_past_its_session_writes_nothing_twice(
    pipeline: Pipeline, figure: Figure
) -> None:
    mine = await partitions_of(pipeline, 0)
    async with load(pipeline):
        commits = Commits(pipeline)
        frozen = time.time()
        pipeline.stack.supervisor.kill("books-0", signal.SIGSTOP)
        over = await commits_again(commits, mine, frozen)
        pipeline.stack.supervisor.kill("books-0", signal.SIGCONT)

    figure(f"worker frozen: its partitions commit again after {over:.1f} s, and it writes nothing when it wakes")
    await settled(pipeline)


@slack
async def test_after_the_broker_is_killed_it_goes_on_within_eight_seconds_of_its_start(
    pipeline: Pipeline, figure: Figure, slack: int
) -> None:
    async with load(pipeline):
        commits = Commits(pipeline)
        await pipeline.stack.kafka.kill()
        started = time.time()
        await pipeline.stack.kafka.start()
        back = await commits_again(commits, set(range(12)), started)

    figure(f"broker killed: commits again {back:.1f} s after its start")
    await settled(pipeline)
    assert back <= 8 * slack


@slack
async def test_after_postgresql_is_killed_it_goes_on_within_five_seconds_of_its_return(
    pipeline: Pipeline, figure: Figure, slack: int
) -> None:
    async with load(pipeline):
        commits = Commits(pipeline)
        await pipeline.stack.postgres.kill()
        await pipeline.stack.postgres.start()
        returned = time.time()
        back = await commits_again(commits, set(range(12)), returned)

    figure(f"PostgreSQL killed: commits again {back:.1f} s after its return")
    await settled(pipeline)
    assert back <= 5 * slack
