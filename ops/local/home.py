"""The folder a stack lives in: taken by one supervisor at a time, and empty when the stack is gone."""

import fcntl
import os
import signal
from pathlib import Path
from typing import Final

import psutil

from ops.local import folders, state
from ops.local.errors import CannotStart
from ops.local.postgres import LocalPostgres
from ops.local.waiting import until

STOP_SECONDS_MAX: Final = 60.0
_DATA: Final = ("kafka", "secrets")  # PostgreSQL's is beside them, and may lie elsewhere.
_TRACES: Final = ("logs", "run", "failpoints")


class Home:
    """One home.  The lock goes with the process that holds it, however that ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    def take(self) -> None:
        """Ours, or CannotStart when a supervisor has it."""
        folders.private_folder(self.folder / "run")
        lock = os.open(self.folder / "run" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise CannotStart(
                f"A stack runs in {self.folder} already: `make status` shows it, `make down` ends it."
            ) from None
        self._lock = lock

    @property
    def has_data(self) -> bool:
        """Whether a stack before left what it had."""
        return any((self.folder / name).exists() for name in ("kafka", "postgres"))

    def leave(self) -> None:
        """Anybody's; the state that was kept here is gone."""
        state.path(self.folder).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def clear(self, *, keep_data: bool = False) -> None:
        """Nothing of a stack is left here, but its data and secrets if they are to be kept."""
        if not keep_data:
            LocalPostgres(self.folder / "postgres").remove()
        for name in _TRACES if keep_data else (*_DATA, *_TRACES):
            folders.remove(self.folder / name)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    async def end(self) -> bool:
        """The stack that runs here has ended, whether or not its supervisor still lived; False when there was none."""
        found = state.read(self.folder)
        if found is None:
            return False
        if found.supervisor.alive:  # Never so while we have the home: then it left us orphans at most.
            os.kill(found.supervisor.pid, signal.SIGTERM)
            await until(lambda: not found.supervisor.alive, STOP_SECONDS_MAX)
        # What its supervisor did not end: it was killed, and the kernel's own signal may still be on its way.
        for orphan in (process for process in found.processes[::-1] if process.alive):
            psutil.Process(orphan.pid).kill()
        await until(lambda: not any(process.alive for process in found.processes), STOP_SECONDS_MAX)
        return True
