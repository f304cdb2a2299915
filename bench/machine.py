"""Where and with what it was measured: a figure without its machine is a rumour."""

import platform
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

import psutil

from ops.local import command, java
from ops.local.folders import PROJECT
from runtime import clock

PACKAGES: Final = (
    "aiohttp aiokafka cryptography faust-streaming mode-streaming msgspec orjson psycopg pydantic pydantic-core stripe "
    "uvloop"
).split()
"""Whose code is on the path of an event, ours or the bare one."""

CPUINFO: Final = Path("/proc/cpuinfo")
ASK_SECONDS_MAX: Final = 20.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What somebody would need to know who measures again and finds something else."""

    at: str  # ISO 8601, UTC.
    commit: str
    dirty: bool  # Whether files of the checkout differed from the commit.
    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    load_1_minute: float  # Before the run: what else the machine was doing.
    python: str
    java: str
    servers: dict[str, str] = field(default_factory=dict)  # PostgreSQL's and Kafka's versions, fsync.
    packages: dict[str, str] = field(default_factory=dict)


def describe(servers: dict[str, str] | None = None) -> Machine:
    """This machine, now; *servers* says what the servers said of themselves."""
    return Machine(
        at=clock.now().isoformat(timespec="seconds"),
        commit=commit(),
        dirty=bool(_git("status", "--porcelain", "--untracked-files=no")),
        cpu=cpu_model(CPUINFO.read_text(encoding="utf-8") if CPUINFO.exists() else ""),
        cores=psutil.cpu_count() or 0,
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        kernel=platform.release(),
        load_1_minute=round(psutil.getloadavg()[0], 2),
        python=platform.python_version(),
        java=_java(),
        servers=servers or {},
        packages=packages(),
    )


def commit() -> str:
    """The short name of the commit that is checked out; "unknown" where there is no git."""
    return _git("rev-parse", "--short", "HEAD") or "unknown"


def cpu_model(cpuinfo: str) -> str:
    """The processor's name out of /proc/cpuinfo; the architecture where that names none."""
    names = (line.partition(":")[2].strip() for line in cpuinfo.splitlines() if line.startswith("model name"))
    return next(names, platform.machine())


def packages() -> dict[str, str]:
    """The versions of what is installed of PACKAGES."""
    return {name: version for name in PACKAGES if (version := _version(name))}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str:
    asked = command.run(["git", "-C", str(PROJECT), *arguments], seconds_max=ASK_SECONDS_MAX)
    return asked.said.strip() if asked.succeeded else ""


def _java() -> str:
    program = java.program()
    if program is None:
        return "none (a container's)"
    asked = command.run([program, "-version"], seconds_max=ASK_SECONDS_MAX)
    return asked.said.partition("\n")[0].strip()
