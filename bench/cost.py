"""What processes take from the machine: processor time and memory, read from /proc.

PostgreSQL is its postmaster with all of its children, those that have ended among them; its memory is counted so that
what the children share is counted once (PSS).  Whoever looks on by a connection of its own has its backend left out.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

MB: Final = 1_000_000
FAMILY: Final = "postgres"


@dataclass(frozen=True, slots=True)
class Cost:
    """What had been taken at one moment."""

    cpu_seconds: dict[str, float]
    rss_mb: dict[str, float]


def read(pids: Mapping[str, Sequence[int]], *, looking_on: int | None = None) -> Cost:
    """What the processes of *pids* have taken so far, by name; the backend *looking_on* left out."""
    cost = Cost({}, {})
    for name, pid in ((name, pid) for name, several in pids.items() for pid in several):
        with suppress(psutil.NoSuchProcess):  # It ended: its side says so as a problem.
            cpu, rss = _family(pid, looking_on) if name == FAMILY else _single(psutil.Process(pid))
            cost.cpu_seconds[name] = cost.cpu_seconds.get(name, 0.0) + cpu
            cost.rss_mb[name] = cost.rss_mb.get(name, 0.0) + rss
    return cost


def cpu_us_per_event(before: Cost, after: Cost, events: int) -> dict[str, float]:
    """The processor's microseconds between two moments, by process, for each of *events*."""
    both = before.cpu_seconds.keys() & after.cpu_seconds.keys()
    taken = {name: after.cpu_seconds[name] - before.cpu_seconds[name] for name in sorted(both)}
    return {name: seconds * 1e6 / max(events, 1) for name, seconds in taken.items()}


def _single(process: psutil.Process) -> tuple[float, float]:
    times = process.cpu_times()
    return times.user + times.system, process.memory_info().rss / MB


def _family(pid: int, looking_on: int | None) -> tuple[float, float]:
    parent = psutil.Process(pid)
    times = parent.cpu_times()
    cpu = times.user + times.system + times.children_user + times.children_system
    memory = _shared_once(parent)
    for child in parent.children():
        with suppress(psutil.NoSuchProcess):  # A worker that came and went.
            if child.pid != looking_on:
                cpu += _single(child)[0]
                memory += _shared_once(child)
    return cpu, memory / MB


def _shared_once(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss)
