"""Who dies is brought back at once, unless it dies again and again; who is stopped stays so."""

import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from ops.local.child import Child, is_running
from ops.local.supervisor import RESTARTS_MAX, Supervisor
from ops.local.waiting import until

SLEEPS = "import time; time.sleep(600)"
TELLS_ITS_END = """
import signal, sys, time

def end(*_):
    with open({told!r}, "a") as told:
        told.write({name!r} + " ")
    sys.exit()

signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    await supervisor.stop()


@pytest.fixture
def child(tmp_path: Path) -> Callable[..., Child]:
    def make(name: str, code: str = SLEEPS) -> Child:
        return Child(name, [sys.executable, "-c", code], log=tmp_path / f"{name}.log")

    return make


async def test_a_process_that_is_killed_is_back_at_once(supervisor: Supervisor, child: Callable[..., Child]) -> None:
    supervisor.start(child("worker"), restart=True)

    before = supervisor.kill("worker")

    await until(lambda: supervisor.pid("worker") != before, 1)
    assert not is_running(before)
    assert is_running(supervisor.pid("worker"))


async def test_a_process_that_was_never_ready_is_not_brought_back(
    supervisor: Supervisor, child: Callable[..., Child]
) -> None:
    supervisor.start(child("fails", "raise SystemExit(2)"))
    supervisor.start(child("witness"), restart=True)
    await supervisor.child("fails").wait()

    # The same round of the watch that brings the witness back has looked at the one that failed.
    before = supervisor.kill("witness")
    await until(lambda: supervisor.pid("witness") != before, 5)

    assert supervisor.child("fails").exit_status == 2


async def test_a_process_that_dies_again_and_again_is_given_up(
    supervisor: Supervisor, child: Callable[..., Child], tmp_path: Path
) -> None:
    supervisor.start(child("fails", "print('tried', flush=True)"), restart=True)

    await until(lambda: supervisor.gave_up("fails"), 60)

    assert (tmp_path / "fails.log").read_text().count("tried") == RESTARTS_MAX + 1
    assert not supervisor.child("fails").alive


async def test_the_last_started_is_stopped_first(
    supervisor: Supervisor, child: Callable[..., Child], tmp_path: Path
) -> None:
    told = tmp_path / "told"
    for name in ("first", "second", "third"):
        one = child(name, TELLS_ITS_END.format(told=str(told), name=name))
        supervisor.start(one, restart=True)
        await one.until(lambda one=one: "ready" in one.last_lines(), 10)

    await supervisor.stop()

    assert told.read_text().split() == ["third", "second", "first"]


async def test_who_is_retired_stays_so(supervisor: Supervisor, child: Callable[..., Child]) -> None:
    supervisor.start(child("worker"), restart=True)
    pid = supervisor.pid("worker")

    await supervisor.retire("worker")

    assert not is_running(pid)
    assert supervisor.children == []
