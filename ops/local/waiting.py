"""Waiting for the world: a process that ends, a port that opens.  Nobody tells us, so we look."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

POLL_SECONDS: Final = 0.02

Made = TypeVar("Made")


async def until(
    holds: Callable[[], bool | Awaitable[bool]],
    seconds_max: float | None,
    *,
    every_seconds: float = POLL_SECONDS,
) -> None:
    """Back as soon as the condition holds; TimeoutError when it does not in time."""
    async with asyncio.timeout(seconds_max):
        while not await _now(holds):  # noqa: ASYNC110  # The condition is the world's: no Event is set for us.
            await asyncio.sleep(every_seconds)


async def _now(holds: Callable[[], bool | Awaitable[bool]]) -> bool:
    answer = holds()
    return answer if isinstance(answer, bool) else await answer


async def in_thread(work: Callable[..., Made], *about: object) -> Made:
    """What *work* gives, from a thread.

    Who is cancelled meanwhile waits for its end: a thread cannot be stopped, and what it goes on to make would be made
    behind the back of whoever clears up.
    """
    working = asyncio.create_task(asyncio.to_thread(work, *about))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        with suppress(Exception):
            await working
        raise


async def together(*jobs: Coroutine[Any, Any, object]) -> None:
    """All of them done; when one fails the others are ended too before its exception comes out, alone."""
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
