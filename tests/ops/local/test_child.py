"""A child cannot outlive us, and its death is never a silence."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ops.local.child import Child, describe, is_running
from ops.local.errors import CannotStart
from ops.local.waiting import until

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(grandchild.pid, flush=True)
time.sleep(600)
"""

PARENT = """
import asyncio, sys
from pathlib import Path
from ops.local.child import Child

child = Child("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"], log=Path(sys.argv[1]))
child.start()
print(child.pid, flush=True)
asyncio.run(child.wait())
"""


def _child(log: Path, code: str) -> Child:
    return Child("child", [sys.executable, "-c", code], log=log)


@pytest.fixture
def zombie() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    yield process.pid
    process.wait()


async def test_a_zombie_is_dead(zombie: int) -> None:
    await until(lambda: psutil.Process(zombie).status() == psutil.STATUS_ZOMBIE, 10)

    assert not is_running(zombie)


def test_a_process_id_that_is_somebody_elses_by_now_is_not_ours() -> None:
    ours = psutil.Process()

    assert is_running(ours.pid, ours.create_time())
    assert not is_running(ours.pid, ours.create_time() - 3600)


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", PARENT, tmp_path / "log"], stdout=subprocess.PIPE, text=True) as one:
        yield one


async def test_no_child_survives_the_sigkill_of_its_parent(parent: subprocess.Popen[str]) -> None:
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_running(child)

    parent.kill()

    await until(lambda: not is_running(child), 10)


async def test_a_child_that_ignores_sigterm_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    child = _child(tmp_path / "log", STUBBORN)
    child.start()
    await child.until(lambda: child.last_lines() != "", 10)
    grandchild = int(child.last_lines())

    await child.stop(grace_seconds=0.2)

    assert child.exit_status == -signal.SIGKILL
    await until(lambda: not is_running(grandchild), 10)


async def test_a_child_that_dies_while_it_is_awaited_says_its_last_lines(tmp_path: Path) -> None:
    child = _child(tmp_path / "log", "print('the port is taken'); raise SystemExit(3)")
    child.start()

    with pytest.raises(CannotStart, match=r"(?s)exit status 3.*the port is taken"):
        await child.until(lambda: False, 10)


async def test_a_child_that_never_becomes_ready_is_not_awaited_for_ever(tmp_path: Path) -> None:
    child = _child(tmp_path / "log", "import time; time.sleep(600)")
    child.start()
    try:
        with pytest.raises(CannotStart, match="was not ready after"):
            await child.until(lambda: False, 0.1)
    finally:
        await child.kill()


async def test_a_child_is_told_nothing_of_our_environment_but_what_programs_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "a secret of ours")
    child = Child(
        "child",
        [sys.executable, "-c", "import os; print(sorted(os.environ))"],
        log=tmp_path / "log",
        environment={"TOLD": "1"},
    )
    child.start()
    await asyncio.wait_for(child.wait(), 10)

    assert "TOLD" in child.last_lines()
    assert "PATH" in child.last_lines()
    assert "STRIPE_API_KEY" not in child.last_lines()


def test_an_end_is_described_in_words() -> None:
    assert describe(None) == "running"
    assert describe(2) == "exit status 2"
    assert describe(-9) == "killed by SIGKILL"
