"""How soon it goes on after each part has died.  Deadlines are threefold here and strict in `make test-long`."""

import asyncio
import itertools
import json
import re
import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import aiohttp
import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment

from tests.support_figures import Figure
from tests.support_pipeline import Body, Pipeline, subscription_event, until

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

GROUP = "billing.books"
TRANSACTION_SECONDS_MAX = 8  # The server ends a transaction that takes longer, and frees what it locked.
CUSTOMERS = 60
EVENTS_PER_SECOND = 30
_numbers = itertools.count(1)

THREEFOLD = pytest.param(3, id="threefold")
STRICT = pytest.param(1, id="strict", marks=pytest.mark.long)
slack = pytest.mark.parametrize("slack", [THREEFOLD, STRICT])


@dataclass(frozen=True, slots=True)
class Commit:
    """One fact's way: when it came to the door, and when it was in."""

    partition: int
    received: float
    committed: float


async def commits_since(pipeline: Pipeline, since: float, partitions: set[int]) -> list[Commit]:
    """What was committed in these partitions, in its order, as PostgreSQL tells."""
    rows = await pipeline.rows(
        "SELECT partition, extract(epoch FROM received_at)::float8 AS received,"
        " extract(epoch FROM committed_at)::float8 AS committed FROM journal"
        " WHERE committed_at > to_timestamp(%(since)s) AND partition = ANY(%(partitions)s) ORDER BY committed_at",
        since=since,
        partitions=list(partitions),
    )
    return [Commit(**row) for row in rows]


async def commits_again(pipeline: Pipeline, partitions: set[int], after: float) -> float:
    """How long after *after* these partitions had a fact in that came after it: a commit in flight tells nothing."""

    async def first() -> list[float]:
        found = await commits_since(pipeline, after, partitions)
        return [one.committed for one in found if one.received > after][:1]

    return (await until(first, 60, "commits go on"))[0] - after


async def longest_pause(pipeline: Pipeline, partitions: set[int], began: float, ended: float) -> float:
    """The longest time between *began* and *ended* in which none of these partitions had a commit."""
    at = [one.committed for one in await commits_since(pipeline, began, partitions) if one.committed < ended]
    return max(later - earlier for earlier, later in itertools.pairwise([began, *at, ended]))


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
                    subscription=f"sub_recovery_{number % CUSTOMERS}",
                    customer=f"cus_recovery_{number % CUSTOMERS}",
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
        killed = time.time()
        pipeline.stack.supervisor.kill("books-0")
        back = await commits_again(pipeline, mine, killed)
        pause = await longest_pause(pipeline, peers, killed, time.time())

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
        killed = time.time()
        await pipeline.stack.supervisor.leave_dead("books-1")
        over = await commits_again(pipeline, mine, killed)
        await pipeline.stack.start("books-1")

    figure(f"worker killed, stays dead: its partitions commit again after {over:.1f} s")
    await settled(pipeline)
    assert over <= 10 * slack


@slack
async def test_a_worker_that_was_frozen_in_its_transaction_is_fenced_and_its_late_batch_counts_as_copies(
    pipeline: Pipeline, figure: Figure, slack: int
) -> None:
    customer, partition = await customer_in(pipeline, await partitions_of(pipeline, 0))
    async with load(pipeline), positions_seen(pipeline) as seen:
        async with holding(pipeline, customer) as holder:
            in_hand = news_of(customer)
            await pipeline.deliver(in_hand)
            await until(partial(somebody_waits_for, pipeline, holder), 20, "the worker's transaction waits")
            copies = await copies_counted(pipeline)
            frozen = time.time()
            pid = pipeline.stack.supervisor.kill("books-0", signal.SIGSTOP)
        await pipeline.deliver(news_of(customer))
        over = await commits_again(pipeline, {partition}, frozen)
        taken_by_peer = await pipeline.known([str(in_hand["id"])])
        pipeline.stack.supervisor.kill("books-0", signal.SIGCONT)
        fate = await until(partial(fate_of, pipeline, pid, copies), 30, "the late batch comes out as copies, or dies")

    figure(f"worker frozen in its transaction: that partition commits again after {over:.1f} s; when it wakes, {fate}")
    await settled(pipeline)
    assert taken_by_peer, "the peer went on without the fact that the frozen worker had in hand"
    assert all(earlier <= later for line in seen.values() for earlier, later in itertools.pairwise(line))
    assert over <= 10 * slack + TRANSACTION_SECONDS_MAX


async def customer_in(pipeline: Pipeline, partitions: set[int]) -> tuple[str, int]:
    """A customer, known already, whose facts lie in one of these partitions, and in which."""
    for number in itertools.count():
        customer = f"cus_frozen_{number}"
        event = news_of(customer)
        await pipeline.deliver(event)
        await until(partial(pipeline.known, [str(event["id"])]), 20, "a customer is known")
        rows = await pipeline.rows("SELECT partition FROM reports.facts WHERE fact_id = %(id)s", id=event["id"])
        if rows[0]["partition"] in partitions:
            break
    return customer, rows[0]["partition"]


def news_of(customer: str) -> Body:
    number = next(_numbers)
    return subscription_event(
        f"evt_recovery_{number}", created=1_790_000_000 + number, subscription=f"sub_{customer}", customer=customer
    )


@asynccontextmanager
async def holding(pipeline: Pipeline, customer: str) -> AsyncIterator[int]:
    """Somebody else, of this process id, has the turn on a customer: who has one of its facts in hand has to wait."""
    async with await psycopg.AsyncConnection.connect(pipeline.database_url) as connection:
        await connection.execute("SELECT 1 FROM customers WHERE customer_id = %s FOR UPDATE", [customer])
        yield connection.info.backend_pid


async def somebody_waits_for(pipeline: Pipeline, holder: int) -> bool:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE %(holder)s = ANY(pg_blocking_pids(pid))"
    return bool(await pipeline.rows(waiting, holder=holder))


@asynccontextmanager
async def positions_seen(pipeline: Pipeline) -> AsyncIterator[dict[int, list[int]]]:
    """Each partition's position, looked at all the time."""
    seen: dict[int, list[int]] = defaultdict(list)
    stop = asyncio.Event()

    async def look() -> None:
        while not stop.is_set():
            for row in await pipeline.rows("SELECT partition, next_offset FROM consumer_positions"):
                seen[row["partition"]].append(row["next_offset"])
            await asyncio.sleep(0.1)

    looking = asyncio.create_task(look())
    try:
        yield seen
    finally:
        stop.set()
        await looking


async def copies_counted(pipeline: Pipeline) -> float:
    """How many copies the worker has dropped in its life, as it tells; 0 while it does not."""
    try:
        async with pipeline.http.get(f"{pipeline.stack.url('books-0')}/metrics") as answer:
            told = re.search(r'^intake_facts_total\{outcome="duplicate"\} (\S+)', await answer.text(), re.MULTILINE)
    except aiohttp.ClientError:
        return 0
    return float(told[1]) if told else 0


async def fate_of(pipeline: Pipeline, pid: int, copies: float) -> str | None:
    """What became of the batch that the worker *pid* had in hand; None while nobody knows."""
    if pipeline.stack.supervisor.pid("books-0") != pid:
        log = pipeline.stack.supervisor.child("books-0").log.read_text()
        reasons = [json.loads(line)["reason"] for line in log.splitlines() if '"process ends"' in line]
        return f"it ends: {reasons[-1]}"
    dropped = await copies_counted(pipeline) - copies
    return f"what its late batch held counts as copies: {dropped:.0f}" if dropped > 0 else None


@slack
async def test_after_the_broker_is_killed_it_goes_on_within_eight_seconds_of_its_start(
    pipeline: Pipeline, figure: Figure, slack: int
) -> None:
    async with load(pipeline):
        await pipeline.stack.kafka.kill()
        started = time.time()
        await pipeline.stack.kafka.start()
        back = await commits_again(pipeline, set(range(12)), started)

    figure(f"broker killed: commits again {back:.1f} s after its start")
    await settled(pipeline)
    assert back <= 8 * slack


@slack
async def test_after_postgresql_is_killed_it_goes_on_within_five_seconds_of_its_return(
    pipeline: Pipeline, figure: Figure, slack: int
) -> None:
    async with load(pipeline):
        await pipeline.stack.postgres.kill()
        await pipeline.stack.postgres.start()
        returned = time.time()
        back = await commits_again(pipeline, set(range(12)), returned)

    figure(f"PostgreSQL killed: commits again {back:.1f} s after its return")
    await settled(pipeline)
    assert back <= 5 * slack
