"""A stack that stays when its terminal goes: a supervisor in a session of its own, and the wait until it is ready."""

import subprocess
import sys
from pathlib import Path
from typing import BinaryIO, Final

from ops.local import folders, state
from ops.local.errors import CannotStart
from ops.local.home import Home
from ops.local.state import Phase
from ops.local.waiting import until

SECONDS_MAX: Final = 900.0  # The first time, Kafka's jars are fetched.
_SAID_BYTES_MAX: Final = 4000


async def start(home: Path, *words: str) -> None:
    """Back when the stack in *home* is ready.  *words* go to `billing up`, which is what supervises it."""
    logs = folders.private_folder(home / "logs")
    with (logs / "stack.log").open("w+b") as log:
        supervisor = _supervisor(home, words, log)
        try:
            await until(lambda: supervisor.poll() is not None or _is_ready(home, supervisor.pid), SECONDS_MAX)
        except BaseException:  # Ctrl-C, or too long: what was begun here is ended here.
            supervisor.terminate()
            supervisor.wait()
            Home(home).clear(keep_data=True)
            raise
        if supervisor.returncode is not None:
            raise CannotStart(f"The stack did not start.\n{_end_of(log)}")


def _supervisor(home: Path, words: tuple[str, ...], log: BinaryIO) -> subprocess.Popen[bytes]:
    """This very command in the foreground, but for the terminal; it has our environment, given addresses included.

    It keeps the data when it ends: whether that is removed is what `billing down` is told.
    """
    return subprocess.Popen(  # noqa: S603  # Our own argv, never a shell.
        [sys.executable, "-m", "ops.cli", "up", "--home", str(home), "--keep-data", *words],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        cwd=folders.PROJECT,
        start_new_session=True,
    )


def _is_ready(home: Path, pid: int) -> bool:
    found = state.read(home)
    return found is not None and found.supervisor.pid == pid and found.phase is Phase.READY


def _end_of(log: BinaryIO) -> str:
    """Read through the file in hand: a stack that cannot start removes its home, log and all."""
    log.seek(0)
    return log.read()[-_SAID_BYTES_MAX:].decode(errors="replace").strip()
