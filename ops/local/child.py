"""One process of ours: started so that it cannot outlive us, stopped so that nothing of it stays.

A child leads a process group of its own (a Ctrl-C at the terminal reaches us alone, and we decide the order), writes to
a log file, and is killed by the kernel when we die, however we die.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from ops.local import surroundings
from ops.local.command import Account, as_other
from ops.local.errors import CannotStart
from ops.local.waiting import POLL_SECONDS, until

LAST_LINES_MAX: Final = 12
_PR_SET_PDEATHSIG: Final = 1
_CLOCK_MOVES_SECONDS_MAX: Final = 5.0  # The kernel counts from boot; the wall clock is set now and then.


@dataclass(slots=True)
class Child:
    """A program, how it is started, and the process it currently is, if any."""

    name: str
    argv: Sequence[str | Path]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    account: Account | None = None
    last_signal: signal.Signals = signal.SIGKILL  # What the kernel sends it when we die.
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Running, with its output appended to the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # Our own argv, never a shell.
                [str(word) for word in self.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=surroundings.handed_on(self.environment),
                cwd=self.folder,
                process_group=0,
                preexec_fn=_dies_with_us(self.last_signal),  # noqa: PLW1509  # One call, no lock, no allocation.
                **as_other(self.account),
            )

    @property
    def pid(self) -> int:
        """The process id of the running child, or of the one that ran last."""
        if self._process is None:
            raise LookupError(f"{self.name} was never started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs.  Asking also reaps: a zombie is dead."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """How it ended: an exit status, or a negative signal; None while it runs or before it started."""
        return None if self._process is None else self._process.poll()

    def send(self, what: signal.Signals) -> None:
        """*what* delivered, unless it is gone already."""
        if self._process is not None:
            self._process.send_signal(what)

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        await until(lambda: not self.alive, None)
        return self._process.returncode if self._process is not None else 0

    async def stop(self, grace_seconds: float, *, ask: signal.Signals = signal.SIGTERM) -> None:
        """Ended: asked first, killed after the grace, with all of its group."""
        if self.alive:
            self.send(ask)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.wait(), grace_seconds)
        await self.kill()

    async def kill(self) -> None:
        """Ended without being asked, with all of its group."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self.wait()

    def last_lines(self, count: int = LAST_LINES_MAX) -> str:
        """The end of its log, for the person who wants to know why."""
        try:
            with self.log.open(encoding="utf-8", errors="replace") as lines:
                return "".join(deque(lines, maxlen=count)).rstrip()
        except FileNotFoundError:
            return ""

    async def until(
        self,
        ready: Callable[[], bool | Awaitable[bool]],
        seconds_max: float,
        *,
        every_seconds: float = POLL_SECONDS,
    ) -> None:
        """Back once *ready*; CannotStart, with the end of its log, when it dies or takes too long."""
        try:
            await until(lambda: self._must_live() or ready(), seconds_max, every_seconds=every_seconds)
        except TimeoutError:
            raise CannotStart(f"{self.name} was not ready after {seconds_max:g} s.\n{self.last_lines()}") from None

    def _must_live(self) -> bool:
        """False, so that a condition may begin with it; CannotStart when the child has ended."""
        if not self.alive:
            raise CannotStart(f"{self.name} ended ({describe(self.exit_status)}).\n{self.last_lines()}")
        return False


def describe(status: int | None) -> str:
    """An exit status in words."""
    if status is None:
        return "running"
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


def is_running(pid: int, started: float | None = None) -> bool:
    """Whether *pid* is a live process, and the same one that *started* then.  A zombie is dead."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return started is None or abs(process.create_time() - started) < _CLOCK_MOVES_SECONDS_MAX
    except psutil.NoSuchProcess:
        return False


def _dies_with_us(last_signal: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Looked up before the fork: between fork and exec only async-signal-safe work is allowed.
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, int(last_signal))
