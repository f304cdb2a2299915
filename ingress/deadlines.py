"""A limit that many waits share, for less than a timer each.

`asyncio.timeout` makes and cancels a timer for every wait; at a thousand requests a second that is a tenth of the work
of a request, for something that hardly ever happens.  Here all waits have the same limit, so they end in the order in
which they began, and one timer looks at the oldest now and then.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

LOOKS_PER_LIMIT: Final = 20
"""A wait ends at most a twentieth of the limit late."""


class _Wait:
    __slots__ = ("due", "over", "task")

    def __init__(self, task: asyncio.Task[Any], due: float) -> None:
        self.task = task
        self.due = due
        self.over = False


class Deadlines:
    """Gives every block that runs `within` it the same time, and TimeoutError when that is over."""

    def __init__(self, seconds_max: float) -> None:
        self._seconds_max = seconds_max
        self._waits: dict[_Wait, None] = {}  # In the order of their ends.
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def within(self) -> Iterator[None]:
        """Run a block of the current task; raises TimeoutError when it takes too long."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None, "only a task can be interrupted"
        wait = _Wait(task, loop.time() + self._seconds_max)
        self._waits[wait] = None
        if self._timer is None:
            self._look_again(loop)
        try:
            yield
        except asyncio.CancelledError:
            if wait.over and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            self._waits.pop(wait, None)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._seconds_max / LOOKS_PER_LIMIT, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Interrupt the waits whose time is over; rest when there are none."""
        self._timer = None
        now = loop.time()
        while self._waits and (oldest := next(iter(self._waits))).due <= now:
            del self._waits[oldest]
            oldest.over = True
            oldest.task.cancel()
        if self._waits:
            self._look_again(loop)
