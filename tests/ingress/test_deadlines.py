"""A limit that many waits share ends each in its own time, and interrupts nobody else."""

import asyncio

import pytest

from ingress.deadlines import Deadlines


async def test_a_block_that_takes_too_long_ends_with_timeout_error() -> None:
    deadlines = Deadlines(0.05)
    began = asyncio.get_running_loop().time()

    with pytest.raises(TimeoutError), deadlines.within():
        await asyncio.Event().wait()

    assert asyncio.get_running_loop().time() - began >= 0.05


async def test_a_task_goes_on_unharmed_after_its_block_timed_out() -> None:
    with pytest.raises(TimeoutError), Deadlines(0.05).within():
        await asyncio.Event().wait()

    await asyncio.sleep(0)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_block_that_ends_in_time_is_left_alone_while_a_slow_one_is_not() -> None:
    deadlines, go_on = Deadlines(0.2), asyncio.Event()

    async def wait_for(event: asyncio.Event) -> str:
        with deadlines.within():
            await event.wait()
        return "done"

    slow = asyncio.create_task(wait_for(asyncio.Event()))
    quick = asyncio.create_task(wait_for(go_on))
    await asyncio.sleep(0)
    go_on.set()

    assert await quick == "done"
    with pytest.raises(TimeoutError):
        await slow


async def test_a_block_that_began_later_ends_later() -> None:
    deadlines, loop = Deadlines(0.1), asyncio.get_running_loop()

    async def seconds_given() -> float:
        began = loop.time()
        with pytest.raises(TimeoutError), deadlines.within():
            await asyncio.Event().wait()
        return loop.time() - began

    first = asyncio.create_task(seconds_given())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(first), 0.05)
    second = asyncio.create_task(seconds_given())

    assert min(await asyncio.gather(first, second)) >= 0.1


async def test_cancellation_from_outside_stays_cancellation() -> None:
    deadlines, inside = Deadlines(60), asyncio.Event()

    async def block() -> None:
        with deadlines.within():
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await inside.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancellation_from_outside_wins_when_the_time_is_over_too() -> None:
    deadlines, loop = Deadlines(0), asyncio.get_running_loop()

    async def block() -> None:
        with deadlines.within():
            task = asyncio.current_task()
            assert task is not None
            loop.call_soon(task.cancel)
            deadlines._look(loop)
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(block())


async def test_what_a_block_raises_itself_is_what_comes_out() -> None:
    with pytest.raises(KeyError, match="mine"), Deadlines(60).within():
        raise KeyError("mine")


async def test_no_timer_is_left_when_nothing_waits() -> None:
    deadlines = Deadlines(0.1)

    with deadlines.within():
        assert deadlines._timer is not None
    async with asyncio.timeout(10):
        while deadlines._timer is not None:  # noqa: ASYNC110  # A look that finds nothing tells nobody.
            await asyncio.sleep(0.001)
