"""A limit that many waits share, for less than a timer each.

`asyncio.timeout` makes and cancels a timer for every wait, for something that hardly ever happens.  Here all waits have
the same limit, so they end in the order in which they began, and one timer looks at the oldest now and then.
"""

import asyncio
from types import TracebackType
from typing import Final

LOOKS_PER_LIMIT: Final = 20
"""A wait ends at most a twentieth of the limit late."""


class Deadlines:
    """Gives every block that runs `within` it the same time, and TimeoutError when that is over."""

    def __init__(self, seconds_max: float) -> None:
        self._seconds_max = seconds_max
        self._waits: dict[_Wait, None] = {}  # In the order of their ends.
        self._timer: asyncio.TimerHandle | None = None

    def within(self) -> "_Wait":
        """Run a block of the current task; raises TimeoutError when it takes too long."""
        return _Wait(self, asyncio.get_running_loop())

    def begin(self, wait: "_Wait", loop: asyncio.AbstractEventLoop) -> None:
        """Look after *wait* from now on."""
        wait.due = loop.time() + self._seconds_max
        self._waits[wait] = None
        if self._timer is None:
            self._look_again(loop)

    def end(self, wait: "_Wait") -> None:
        """It is over, in time or not."""
        self._waits.pop(wait, None)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._seconds_max / LOOKS_PER_LIMIT, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Interrupt the waits whose time is over; rest when there are none."""
        self._timer = None
        now = loop.time()
        while self._waits and (oldest := next(iter(self._waits))).due <= now:
            del self._waits[oldest]
            oldest.interrupt()
        if self._waits:
            self._look_again(loop)


class _Wait:
    """One block."""

    __slots__ = ("_deadlines", "_loop", "_over", "_task", "due")

    def __init__(self, deadlines: Deadlines, loop: asyncio.AbstractEventLoop) -> None:
        task = asyncio.current_task(loop)
        assert task is not None, "only a task can be interrupted"
        self._deadlines = deadlines
        self._loop = loop
        self._task = task
        self._over = False
        self.due = 0.0

    def __enter__(self) -> None:
        self._deadlines.begin(self, self._loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deadlines.end(self)
        # Who else cancelled the task meanwhile wants it to end, not to go on after a TimeoutError.
        if self._over and self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError from None

    def interrupt(self) -> None:
        """Its time is over."""
        self._over = True
        self._task.cancel()
