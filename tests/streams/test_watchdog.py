"""Alive and stuck is worse than dead: the watchdog tells them apart, and tells both from an outage."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from aiokafka import AIOKafkaProducer
from hypothesis import given
from hypothesis import strategies as st

from ops.local.providers import KafkaServer
from store.records import Record
from streams.gaps import KafkaGapJudge
from streams.progress import Progress
from streams.watchdog import Behind, Symptoms, TopicMissing, Unassigned, Watchdog
from tests.streams.support import Books, books_settings, new_group, produce, until, worker

MakeTopic = Callable[..., Awaitable[str]]
QUICK_SECONDS = 1.0
MANY = 500


def watchdog(bootstrap_servers: str, topic: str, progress: Progress, ended: list[str]) -> Watchdog:
    options = {"bootstrap_servers": bootstrap_servers}
    return Watchdog(
        options,
        frozenset({topic}),
        progress,
        KafkaGapJudge(options),
        limit_seconds=QUICK_SECONDS,
        rebalance_seconds=0,
        end=ended.append,
    )


async def look_until_it_bites(dog: Watchdog) -> str:
    for _ in range(100):
        if reason := await dog.look():
            return reason
        await asyncio.sleep(QUICK_SECONDS / 5)
    raise AssertionError("it never bit")


@given(st.lists(st.integers(0, 3), min_size=1, max_size=50))
def test_only_a_position_that_stays_the_same_for_the_whole_limit_is_stuck(steps: list[int]) -> None:
    symptoms, position, since = Symptoms(limit_seconds=3, rebalance_seconds=0), 0, 0

    for now, step in enumerate(steps):
        position, since = position + step, now if step else since
        lasting = symptoms.lasting(now, [Behind("topic", 0, position)])
        assert bool(lasting) == (now - since >= 3)


def test_a_symptom_that_goes_away_begins_anew_when_it_comes_back() -> None:
    symptoms, missing = Symptoms(limit_seconds=3, rebalance_seconds=0), TopicMissing("topic")

    assert symptoms.lasting(0, [missing]) == []
    assert symptoms.lasting(2, []) == []
    assert symptoms.lasting(4, [missing]) == []
    assert symptoms.lasting(7, [missing]) == [missing]


def test_a_rebalance_may_take_its_time() -> None:
    symptoms = Symptoms(limit_seconds=3, rebalance_seconds=30)

    assert symptoms.lasting(0, [Unassigned()]) == []
    assert symptoms.lasting(32, [Unassigned()]) == []
    assert symptoms.lasting(33, [Unassigned()]) == [Unassigned()]


async def test_a_worker_that_stops_taking_is_ended_and_one_that_gets_on_is_not(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, books = await topic(), Books()
    async with worker(books_settings(kafka, new_group()), name, books) as running:
        dog = watchdog(kafka.bootstrap_servers, name, running.progress, running.ended)
        await until(lambda: running.progress.settled)
        books.open.clear()  # An intake that hangs.
        await produce(kafka, name, [b"fact"])

        reason = await look_until_it_bites(dog)
        books.open.set()
        await until(lambda: running.progress.positions == {(name, 0): 1})

        assert reason == f"stuck for {QUICK_SECONDS} s: {Behind(name, 0, 0, 0)}"
        assert await dog.look() is None


async def test_a_transactions_marker_at_the_logs_end_is_nothing_to_be_stuck_at(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, progress = await topic(), Progress()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=name)
    async with producer, producer.transaction():
        await producer.send_and_wait(name, b"fact", partition=0)
    dog = watchdog(kafka.bootstrap_servers, name, progress, [])
    progress.assigned({(name, 0): 1})

    for _ in range(4):
        assert await dog.look() is None
        await asyncio.sleep(QUICK_SECONDS / 2)
    progress.assigned({(name, 0): 0})
    assert await look_until_it_bites(dog) == f"stuck for {QUICK_SECONDS} s: {Behind(name, 0, 0)}"


async def behind_in_two_partitions(kafka: KafkaServer, topic: MakeTopic) -> tuple[str, Progress, Watchdog]:
    """A worker that has taken nothing yet: of many records in one partition, and of one in the other."""
    name, progress = await topic(partitions=2), Progress()
    await produce(kafka, name, [b"fact"] * MANY, partition=0)
    await produce(kafka, name, [b"fact"], partition=1)
    progress.assigned({(name, 0): 0, (name, 1): 0})
    return name, progress, watchdog(kafka.bootstrap_servers, name, progress, [])


async def test_a_partition_whose_turn_others_come_before_is_not_stuck_while_they_get_on(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, progress, dog = await behind_in_two_partitions(kafka, topic)
    progress.handed((name, 0), MANY)
    progress.handed((name, 1), 1)

    for offset in range(15):
        progress.committed([Record(name, 0, offset, 0, b"key", b"", {})])
        assert await dog.look() is None
        await asyncio.sleep(QUICK_SECONDS / 5)
    assert await look_until_it_bites(dog) in {
        f"stuck for {QUICK_SECONDS} s: {Behind(name, partition, position, 15)}"
        for partition, position in ((0, 15), (1, 0))
    }, "once nobody gets on, waiting is no excuse"


async def test_a_partition_that_others_have_overtaken_is_stuck_however_they_get_on(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    name, progress, dog = await behind_in_two_partitions(kafka, topic)
    progress.handed((name, 1), 1)  # And nobody ever hears of it again.

    for offset in range(MANY):
        progress.handed((name, 0), offset + 1)
        progress.committed([Record(name, 0, offset, 0, b"key", b"", {})])
        if reason := await dog.look():
            break
        await asyncio.sleep(QUICK_SECONDS / 5)
    assert reason == f"stuck for {QUICK_SECONDS} s: {Behind(name, 1, 0)}"


BLOCKED = """
import asyncio, sys, time
from streams.gaps import KafkaGapJudge
from streams.progress import Progress
from streams.watchdog import Watchdog

async def main():
    options, limits = {"bootstrap_servers": sys.argv[1]}, {"limit_seconds": 0.5, "rebalance_seconds": 0}
    dog = Watchdog(options, frozenset(), Progress(), KafkaGapJudge(options), end=sys.exit, **limits)
    watching = asyncio.create_task(dog.watch())
    await asyncio.sleep(0)
    time.sleep(30)  # Nothing yields: the loop itself is blocked.

asyncio.run(main())
"""


async def test_a_process_whose_event_loop_is_blocked_is_ended_from_outside_of_it(free_port: Callable[[], int]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", BLOCKED, f"127.0.0.1:{free_port()}", stderr=asyncio.subprocess.PIPE
    )

    async with asyncio.timeout(20):
        _, told = await process.communicate()

    assert process.returncode == 1
    assert b"Timeout (0:00:01)!" in told, "the traceback tells where it was blocked"


async def test_a_broker_that_is_away_is_nobodys_fault_here(free_port: Callable[[], int]) -> None:
    progress = Progress()
    progress.assigned({("topic", 0): 1})
    dog = watchdog(f"127.0.0.1:{free_port()}", "topic", progress, [])

    assert [await dog.look() for _ in range(3)] == [None, None, None]
