import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.failpoints import Failpoints

REACH = """
import sys
from pathlib import Path
from runtime.failpoints import Failpoints
Failpoints(Path(sys.argv[1])).reach(sys.argv[2], sys.argv[3:])
"""


def _reach(folder: Path, name: str, *fact_ids: str) -> int:
    return subprocess.run([sys.executable, "-c", REACH, str(folder), name, *fact_ids], check=False).returncode


@pytest.mark.parametrize("content", ["", "evt_2\n"])
def test_an_armed_failpoint_kills_once_and_without_warning(tmp_path: Path, content: str) -> None:
    (tmp_path / "after_commit").write_text(content)

    assert _reach(tmp_path, "after_commit", "evt_1", "evt_2") == -signal.SIGKILL
    assert _reach(tmp_path, "after_commit", "evt_1", "evt_2") == 0


def test_a_failpoint_armed_for_another_fact_stays_armed(tmp_path: Path) -> None:
    (tmp_path / "after_commit").write_text("evt_3")

    assert _reach(tmp_path, "after_commit", "evt_1") == 0
    assert (tmp_path / "after_commit").exists()


def test_only_the_failpoint_that_is_armed_kills(tmp_path: Path) -> None:
    (tmp_path / "after_commit").touch()

    assert _reach(tmp_path, "after_verify", "evt_1") == 0


def test_the_trace_tells_the_point_that_was_reached_last_and_idle_when_its_work_is_done(tmp_path: Path) -> None:
    failpoints, trace = Failpoints(tmp_path), tmp_path / f"reached.{os.getpid()}"

    told = []
    for name in ("after_produce_ack", "after_verify"):
        failpoints.reach(name, ())
        told.append(trace.read_text().strip())
    failpoints.rest()
    told.append(trace.read_text().strip())

    assert told == ["after_produce_ack", "after_verify", "idle"]


def test_without_a_folder_nothing_happens_and_the_facts_are_not_even_listed() -> None:
    facts = (pytest.fail("somebody looked") for _ in range(1))

    Failpoints(None).reach("after_commit", facts)
    Failpoints(None).rest()
