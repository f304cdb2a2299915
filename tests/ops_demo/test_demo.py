"""The demo as a new user meets it: a process on a terminal, and one in a script.  Real servers, real processes."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from ops.demo_verdict import COMPARED

pytestmark = pytest.mark.e2e

DEMO = (
    sys.executable,
    "-c",
    "import typer; from ops.demo import demo; typer.run(demo)",
    "--subscribers",
    "24",
    "--days",
    "60",
)
ENVIRONMENT = os.environ | {"COLUMNS": "80", "LINES": "50", "TERM": "xterm-256color"}
CONTROL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def test_in_a_script_it_ends_by_itself_and_its_numbers_agree(tmp_path: Path) -> None:
    home = tmp_path / "home"

    ended = subprocess.run(
        [*DEMO, "--seed", "5", "--json", "--home", str(home)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=ENVIRONMENT,
        timeout=240,
        check=False,
    )

    verdict = json.loads(ended.stdout)
    assert verdict["problems"] == []
    assert ended.returncode == 0
    assert verdict["lost"] == verdict["double_effects"] == 0
    assert verdict["accepted_distinct"] == verdict["committed"] > 200
    assert verdict["duplicates_dropped"] > 0
    assert {one["report"]: one["wrong"] for one in verdict["compared"]} == dict.fromkeys(COMPARED, 0)
    found = {one["report"]: one["found"] for one in verdict["compared"]}
    assert min(found[report] for report in ("subscriptions", "payments", "invoices", "customers")) > 10
    assert b"killed with SIGKILL" in ended.stderr
    assert not home.exists()


def test_in_a_script_it_says_how_far_it_is_and_sigterm_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = [*DEMO, "--days", "365", "--seed", "5", "--home", str(home)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True) as process:
        assert process.stdout is not None

        said = next((line for line in process.stdout if "facts committed" in line), "")

        assert re.fullmatch(r"\d{4}-\d\d-\d\d: \d+ webhooks accepted, \d+ facts committed\.\n", said)
        servants = family(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 1
        assert not any(servant.is_running() for servant in servants)
    assert not home.exists()


def test_a_database_without_a_login_that_only_reads_is_refused_before_anything_starts(tmp_path: Path) -> None:
    home = tmp_path / "home"
    given = {"DATABASE_URL": "postgresql://writer:hunter22@127.0.0.1:1/billing"}

    ended = subprocess.run(
        [*DEMO, "--home", str(home)], capture_output=True, env=ENVIRONMENT | given, text=True, timeout=60, check=False
    )

    assert ended.returncode == 1
    assert "Give DATABASE_READER_URL too" in ended.stderr
    assert not home.exists()


@contextmanager
def on_a_terminal(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*DEMO, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=ENVIRONMENT, start_new_session=True
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)


def read_until(terminal: int, words: str, seconds: float) -> str:
    """What the terminal shows until *words* are on it."""
    text, deadline = "", time.monotonic() + seconds
    while words not in text and time.monotonic() < deadline:
        try:
            text += os.read(terminal, 65_536).decode(errors="replace")
        except OSError:  # The other side has gone.
            break
    return text


def test_on_a_terminal_it_fits_eighty_columns_stays_up_and_leaves_nothing_on_ctrl_c(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with on_a_terminal("--seed", "6", "--home", str(home)) as (process, terminal):
        text = CONTROL_CODES.sub("", read_until(terminal, "until Ctrl-C", 240))

        assert "The numbers agree." in text
        assert "until Ctrl-C" in text
        widest = max(re.split(r"[\r\n]+", text), key=len)
        assert len(widest) <= 80, widest

        servants = family(process.pid)
        assert servants
        process.send_signal(signal.SIGINT)
        read_until(terminal, "\0", 60)
        assert process.wait(60) == 0
        psutil.wait_procs(servants, timeout=10)
        assert not any(servant.is_running() for servant in servants)
        assert not home.exists()
