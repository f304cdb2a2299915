"""Waiting for a database that is away for a moment, before giving up the process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from runtime import clock
from runtime.failures import Stop
from store.postgres import is_transient

PAUSE_SECONDS: Final = 0.1

Answer = TypeVar("Answer")


async def ask_patiently(ask: Callable[[], Awaitable[Answer]], seconds_max: float) -> Answer:
    """The answer, asked for again while the world is away; raises Stop when it stays away for *seconds_max*.

    What is not the world's fault is raised as it is.
    """
    began = clock.monotonic()
    while True:
        try:
            return await ask()
        except Exception as failure:
            if not is_transient(failure):
                raise
            if clock.monotonic() - began > seconds_max:
                raise Stop(f"the world stayed away for {seconds_max} s: {type(failure).__name__}") from failure
            await asyncio.sleep(PAUSE_SECONDS)
