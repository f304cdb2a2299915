"""Faust's Kafka consumer without a thread of its own: on the loop that everything else of this process runs on.

Faust gives its consumer a thread and a loop, so that heartbeats go out while an agent computes for long.  Ours computes
for some milliseconds at a time and waits for PostgreSQL in between, and the thread's price is high: each fetch goes
there and back through two queues, and both threads want one interpreter (measured in docs/decisions/0014).

Everything of Faust's consumer stays; only what "in the thread" means is said anew.  tests/streams/test_looped.py holds
it to that.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from faust.transport.drivers import aiokafka as driver
from mode.utils.futures import maybe_async


class LoopedConsumer(driver.AIOKafkaConsumerThread):
    """What Faust calls the consumer's thread, on the loop of its caller."""

    def __init__(self, consumer: Any, *, loop: asyncio.AbstractEventLoop, **options: Any) -> None:
        super().__init__(consumer, loop=loop, thread_loop=loop, **options)
        self._serving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Serve in a task where Faust would in a thread, and wait as it does until the consumer has started."""
        self._thread_started.set()
        self._thread_running = self.parent_loop.create_future()
        self._serving = asyncio.create_task(self._serve(), name="looped-consumer")
        try:
            await self._thread_running
        finally:
            self._thread_running = None

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call it here and now."""
        return await maybe_async(fun(*args, **kwargs))

    async def _gather_remaining_tasks(self) -> None:
        """Leave the loop's other tasks alone: they are not the consumer's."""
