"""The consumer lives on the loop of everything else: Faust's own, and nothing of it elsewhere."""

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable

import mode.threads
import pytest
from faust.transport.drivers import aiokafka as driver
from mode.threads import QueueServiceThread

from ops.local.providers import KafkaServer
from tests.streams.support import Books, books_settings, committed, new_group, produce, until, worker

MakeTopic = Callable[..., Awaitable[str]]


async def test_a_worker_reads_and_commits_without_a_second_thread(kafka: KafkaServer, topic: MakeTopic) -> None:
    name, group, books = await topic(), new_group(), Books()
    await produce(kafka, name, [b"%d" % number for number in range(50)])
    threads_before = set(threading.enumerate())

    async with worker(books_settings(kafka, group), name, books):
        await until(lambda: len(books.taken) == 50)
        assert set(threading.enumerate()) == threads_before
        await until(lambda: books.positions)

    assert await committed(kafka, group, name) == 50


async def test_stopping_a_worker_leaves_no_task_of_its_consumer_and_ends_nobody_elses(
    kafka: KafkaServer, topic: MakeTopic
) -> None:
    others = asyncio.create_task(asyncio.Event().wait(), name="others")

    async with worker(books_settings(kafka, new_group()), await topic(), Books()) as running:
        await until(lambda: running.progress.positions)

    await until(lambda: not [task for task in asyncio.all_tasks() if task.get_name() == "looped-consumer"])
    assert not others.done()
    others.cancel()


@pytest.mark.parametrize("name", ["call_thread", "_serve", "_gather_remaining_tasks"])
def test_what_is_said_anew_and_what_is_called_are_still_fausts(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(QueueServiceThread, name))
    assert f"self.{name}(" in inspect.getsource(mode.threads) + inspect.getsource(driver)
