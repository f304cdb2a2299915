"""Our processes: started, watched, brought back at once when they die, and stopped last first.

A process that dies again and again is given up, because a loop of restarts hides what is wrong.  An ordinal belongs to
one process at a time: a worker is started again only after the one before it has been reaped.
"""

import asyncio
import contextlib
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ops.local.child import Child, describe
from ops.local.waiting import POLL_SECONDS
from runtime.clock import monotonic
from runtime.logs import get_logger

GRACE_SECONDS: Final = 12.0  # A worker drains its batch, and arms a timer of its own below this.
RESTARTS_MAX: Final = 20
RESTARTS_WINDOW_SECONDS: Final = 60.0

log = get_logger(__name__)


@dataclass(slots=True)
class Watched:
    """One process under supervision."""

    child: Child
    restart: bool  # Whether a death of its own is followed by a start.
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS_MAX))
    given_up: bool = False


class Supervisor:
    """The processes by name, in the order in which they were started."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._watched: dict[str, Watched] = {}
        self._now = now
        self._watch: asyncio.Task[None] | None = None

    def start(self, child: Child, *, restart: bool = False) -> None:
        """Started, and ours to stop."""
        assert child.name not in self._watched, "a name is one process"
        self._watched[child.name] = Watched(child, restart)
        child.start()
        if self._watch is None:
            self._watch = asyncio.create_task(self._keep_alive())

    def keep(self, name: str) -> None:
        """*name* is brought back from now on when it dies: it has been ready once, so its settings are not to blame."""
        self._watched[name].restart = True

    @property
    def children(self) -> list[Child]:
        """All of them, the first started first."""
        return [watched.child for watched in self._watched.values()]

    def child(self, name: str) -> Child:
        """The process *name*, whichever process it is by now."""
        return self._watched[name].child

    def pid(self, name: str) -> int:
        """The process id that *name* has now."""
        return self.child(name).pid

    def gave_up(self, name: str) -> bool:
        """Whether *name* died so often that it is not started any more."""
        return self._watched[name].given_up

    def kill(self, name: str, what: signal.Signals = signal.SIGKILL) -> int:
        """*what* sent to *name*, whose process id it was; the supervisor does after it what it does after any death."""
        child = self.child(name)
        child.send(what)
        return child.pid

    async def retire(self, name: str) -> None:
        """*name* is stopped and stays so."""
        watched = self._watched.pop(name)
        await watched.child.stop(GRACE_SECONDS)

    async def leave_dead(self, name: str) -> None:
        """*name* is killed, and nobody brings it back."""
        watched = self._watched.pop(name)
        await watched.child.kill()

    async def stop(self) -> None:
        """All ended, the last started first.  Nothing is started again meanwhile."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
            self._watch = None
        while self._watched:
            _, watched = self._watched.popitem()
            await watched.child.stop(GRACE_SECONDS)

    async def _keep_alive(self) -> None:
        while True:
            for watched in list(self._watched.values()):
                if watched.restart and not watched.given_up and not watched.child.alive:
                    self._bring_back(watched)
            await asyncio.sleep(POLL_SECONDS)

    def _bring_back(self, watched: Watched) -> None:
        child, now = watched.child, self._now()
        said = {"process": child.name, "how": describe(child.exit_status), "last_lines": child.last_lines()}
        if len(watched.deaths) == RESTARTS_MAX and now - watched.deaths[0] < RESTARTS_WINDOW_SECONDS:
            watched.given_up = True
            log.error("given up: it dies again and again", **said)
            return
        watched.deaths.append(now)
        log.warning("died, started again", **said)
        child.start()
