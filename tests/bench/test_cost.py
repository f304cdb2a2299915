"""What a process took is what the kernel says that it took."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench import cost
from bench.cost import FAMILY, Cost

BURN = "import time\nwhile time.process_time() < 0.3: pass\n"
BURN_AND_STAY = f"{BURN}print('burnt', flush=True)\ninput()"
HAVE_BURNT_AND_STAY = f"""
import subprocess, sys
subprocess.run([sys.executable, '-c', {BURN!r}])
print('burnt', flush=True)
input()
"""


@contextmanager
def running(program: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has burnt its 0.3 s, and stays."""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "burnt\n"
        try:
            yield process
        finally:
            process.communicate("\n")


def test_the_processor_time_of_a_process_is_counted() -> None:
    with running(BURN_AND_STAY) as process:
        seen = cost.read({"books": [process.pid]})

    assert 0.29 <= seen.cpu_seconds["books"] < 0.6
    assert seen.rss_mb["books"] > 1


def test_several_processes_of_one_name_are_added_up() -> None:
    with running(BURN_AND_STAY) as one, running(BURN_AND_STAY) as other:
        seen = cost.read({"books": [one.pid, other.pid]})

    assert 0.58 <= seen.cpu_seconds["books"] < 1.2


def test_of_postgres_the_children_count_those_that_have_ended_too() -> None:
    with running(HAVE_BURNT_AND_STAY) as parent:
        family = cost.read({FAMILY: [parent.pid]}).cpu_seconds[FAMILY]
        alone = cost.read({"other": [parent.pid]}).cpu_seconds["other"]

    assert family - alone >= 0.29


def test_a_process_that_is_gone_costs_nothing_that_is_known() -> None:
    with running(BURN_AND_STAY) as process:
        pid = process.pid

    assert cost.read({"books": [pid]}) == Cost({}, {})


def test_the_cost_is_of_the_time_between_and_of_each_event() -> None:
    before = Cost({"books": 1.0, "gone": 1.0}, {})
    after = Cost({"books": 1.5, "new": 1.0}, {})

    assert cost.cpu_us_per_event(before, after, 1_000) == {"books": pytest.approx(500)}
