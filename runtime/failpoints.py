"""Named places where a test may have this process killed, so that a crash there is an experiment and not a rumour.

A failpoint is armed from outside, by a file of its name in the folder FAILPOINTS_DIR; settings refuse that folder in
production.  SIGKILL leaves no time for politeness, which is the point: nothing is flushed, closed or committed.

While the folder is there each process also leaves in `reached.<pid>` the last point that it reached, and "idle" once
the work that took it there is done, so that whoever kills it at a random moment can tell in which phase it died.
"""

import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Final

NAMES: Final = frozenset(
    {
        "after_verify",
        "after_produce_ack",
        "after_consume",
        "in_transaction",
        "after_commit",
        "outbox_claimed",
        "outbox_sent",
    }
)

IDLE: Final = "idle"
TRACE_CHARS: Final = max(len(name) for name in NAMES)  # One length for all: a write replaces the whole of the last one.


class Failpoints:
    """The failpoints of one process.  Without a folder, reaching one costs a comparison and does nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._trace: int | None = None

    @property
    def armed(self) -> bool:
        """Whether any failpoint could be armed at all."""
        return self._folder is not None

    def reach(self, name: str, fact_ids: Iterable[str]) -> None:
        """Die here by SIGKILL, once, when the file *name* is there and is empty or holds one of *fact_ids*."""
        if self._folder is None:
            return
        assert name in NAMES, f"{name} is not a failpoint"
        self._reached(self._folder, name)
        if self._disarm(self._folder / name, frozenset(fact_ids)):
            os.kill(os.getpid(), signal.SIGKILL)

    def rest(self) -> None:
        """Nothing is in hand any more: dying now would interrupt nothing."""
        if self._folder is not None:
            self._reached(self._folder, IDLE)

    def _reached(self, folder: Path, name: str) -> None:
        if self._trace is None:
            self._trace = os.open(folder / f"reached.{os.getpid()}", os.O_WRONLY | os.O_CREAT, 0o600)
        os.pwrite(self._trace, name.ljust(TRACE_CHARS).encode(), 0)

    def _disarm(self, armed: Path, fact_ids: frozenset[str]) -> bool:
        """Whether the file was meant for these facts, and was ours to remove: of two processes only one dies."""
        try:
            wanted = armed.read_text().strip()
            if wanted and wanted not in fact_ids:
                return False
            armed.unlink()
        except FileNotFoundError:
            return False
        return True
