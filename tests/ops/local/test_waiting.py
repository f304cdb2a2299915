"""Waiting for what cannot be hurried."""

import asyncio
import threading

import pytest

from ops.local.waiting import in_thread, until


async def test_who_is_cancelled_waits_for_the_thread_that_cannot_be() -> None:
    begun, may_end, made = threading.Event(), threading.Event(), []

    def make() -> None:
        begun.set()
        may_end.wait(30)
        made.append("all of it")

    making = asyncio.create_task(in_thread(make))
    await until(begun.is_set, 10)

    making.cancel()
    await asyncio.wait([making], timeout=0.1)
    assert not making.done()

    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert made == ["all of it"]


async def test_what_it_gives_and_what_it_raises_come_out() -> None:
    assert await in_thread(int, "7") == 7
    with pytest.raises(ValueError, match="seven"):
        await in_thread(int, "seven")
