"""What a running stack says about itself: one file that a script of somebody else's can read.

It holds a password (the read-only role's URL), so only its owner may read it.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil
from pydantic import Field, ValidationError

from models.base import Model
from ops.local import folders
from ops.local.child import is_running


class Phase(StrEnum):
    """How far a stack has come."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


class Process(Model):
    """A process of the stack, and when it started: a process id alone may be somebody else's by now."""

    name: str
    pid: int
    started: float
    address: str | None = None  # `http://host:port` of `/readyz` and `/metrics`, else `host:port`.

    @property
    def alive(self) -> bool:
        """Whether that very process runs.  A zombie does not."""
        return is_running(self.pid, self.started)


class State(Model):
    """A stack, as its supervisor last saw it."""

    phase: Phase
    supervisor: Process
    names: tuple[str, ...] = ()  # Of all processes that should be there; a dead one is missing below.
    processes: tuple[Process, ...] = ()
    addresses: dict[str, str] = Field(default_factory=dict)  # As `billing status --json` gives them.
    settings: dict[str, str] = Field(default_factory=dict)  # What `billing`'s commands are told, by field name.

    @property
    def running(self) -> bool:
        """Whether somebody supervises it."""
        return self.supervisor.alive


def process(name: str, pid: int, address: str | None = None) -> Process | None:
    """The process as it is now; None when it is gone already."""
    try:
        return Process(name=name, pid=pid, started=psutil.Process(pid).create_time(), address=address)
    except psutil.NoSuchProcess:
        return None


def path(home: Path) -> Path:
    """Where the state of the stack in *home* is kept."""
    return home / "run" / "state.json"


def read(home: Path) -> State | None:
    """What was last written; None when there is no stack, or none that this version can read."""
    try:
        return State.model_validate_json(path(home).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def write(home: Path, state: State) -> None:
    """*state*, whole or not at all."""
    folders.write_privately(path(home), state.model_dump_json(indent=2))


def running(home: Path = folders.DEFAULT_HOME) -> State | None:
    """The stack in *home* if it runs."""
    found = read(home)
    return found if found is not None and found.running else None


def settings_of(home: Path = folders.DEFAULT_HOME) -> dict[str, Any]:
    """What the stack in *home* would tell `billing`'s commands; empty when none runs."""
    found = running(home)
    return dict(found.settings) if found is not None else {}
