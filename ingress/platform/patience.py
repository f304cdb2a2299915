"""Waits so long and no longer, whatever it is that is waited for.

`asyncio.timeout` waits until what it cancelled has ended, and a driver may take its time for that: psycopg asks the
server to stop first, and a server that is frozen does not answer.  Here what took too long is told to end, and is left
to it.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")


class Patience:
    """Knows what was left to end by itself."""

    def __init__(self) -> None:
        self._ending: set[asyncio.Task[Any]] = set()

    async def wait(self, work: Coroutine[Any, Any, ResultT], seconds_max: float) -> ResultT:
        """What comes of it, or whatever it raises; TimeoutError when it takes longer."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task}, timeout=seconds_max)
            if task.done():
                return task.result()
            raise TimeoutError
        finally:
            if not task.done():
                self._let_end(task)

    def _let_end(self, task: asyncio.Task[Any]) -> None:
        self._ending.add(task)
        task.add_done_callback(self._ended)
        task.cancel()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._ending.discard(task)
        with suppress(asyncio.CancelledError):
            task.exception()  # Nobody waits for it any more; asyncio would complain that nobody looked.
