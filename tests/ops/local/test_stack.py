"""A stack from its first start to its last trace."""

import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from models.topics import TOPICS
from ops.local import state
from ops.local.child import is_running
from ops.local.errors import CannotStart
from ops.local.home import Home
from ops.local.postgres import Role
from ops.local.stack import Stack
from ops.local.state import Phase
from ops.local.waiting import until

Make = Callable[..., Awaitable[Stack]]


def _billing(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *words], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "home"
    yield folder
    _billing("down", "--home", folder)


def _up(home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ops.cli", "up", "--home", home, *words], stdout=subprocess.DEVNULL, text=True
    )


def _left_in(home: Path) -> list[Path]:
    return list(home.rglob("*"))


def _is_at(home: Path, phase: Phase) -> bool:
    found = state.read(home)
    return found is not None and found.phase is phase


def _assert_down_leaves_nothing(home: Path) -> None:
    assert _billing("down", "--home", home).returncode == 0
    assert not home.exists()


def _processes(report: dict[str, Any]) -> dict[str, int]:
    return {process["name"]: process["pid"] for process in report["processes"]}


@pytest.mark.e2e
def test_a_detached_stack_is_whole_when_up_comes_back_and_leaves_nothing_after_down(home: Path) -> None:
    began = _billing("up", "--detach", "--json", "--home", home)
    assert began.returncode == 0, began.stderr
    report = json.loads(began.stdout)
    pids = _processes(report)

    assert set(pids) == {"kafka", "postgres", "ingress", "books-0", "books-1", "relay", "clock"}
    assert all(process["health"] == "ready" for process in report["processes"])
    assert Path(report["webhook_secret_file"]).read_text().startswith("whsec_")
    with psycopg.connect(report["postgres_readonly_url"]) as reader:
        assert reader.execute("SELECT count(*) FROM reports.facts").fetchone() == (0,)
    second = _billing("up", "--detach", "--home", home)
    assert second.returncode == 1
    assert "already" in second.stderr
    assert _billing("status", "--home", home).returncode == 0

    assert _billing("down", "--home", home).returncode == 0

    assert not any(is_running(pid) for pid in pids.values())
    assert not home.exists()
    assert _billing("status", "--home", home).returncode == 1


@pytest.mark.e2e
async def test_nothing_survives_the_sigkill_of_the_supervisor_and_down_clears_up_after_it(home: Path) -> None:
    began = _billing("up", "--detach", "--json", "--home", home)
    assert began.returncode == 0, began.stderr
    pids = _processes(json.loads(began.stdout))
    found = state.read(home)
    assert found is not None

    psutil.Process(found.supervisor.pid).kill()

    await until(lambda: not any(is_running(pid) for pid in pids.values()), 15)
    assert _billing("status", "--home", home).returncode == 1
    _assert_down_leaves_nothing(home)


@pytest.mark.e2e
@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.READY])
async def test_ctrl_c_ends_a_stack_however_far_it_has_come_and_leaves_nothing(home: Path, phase: Phase) -> None:
    with _up(home) as terminal:
        await until(lambda: _is_at(home, phase), 120)

        terminal.send_signal(signal.SIGINT)

        assert terminal.wait(60) == 0
    assert not _left_in(home)


@pytest.mark.e2e
async def test_ctrl_c_while_a_detached_stack_starts_ends_it_and_leaves_nothing(home: Path) -> None:
    with _up(home, "--detach") as terminal:
        await until(lambda: _is_at(home, Phase.STARTING), 120)

        terminal.send_signal(signal.SIGINT)

        assert terminal.wait(60) != 0
    assert not _left_in(home)


async def test_a_process_that_dies_is_ready_again_on_the_same_port_and_the_state_names_it_anew(
    stack_factory: Make,
) -> None:
    stack = await stack_factory(names=["ingress"])
    url = stack.url("ingress")

    before = stack.supervisor.kill("ingress")
    await until(lambda: stack.supervisor.pid("ingress") != before, 5)
    await stack.ready("ingress")

    def named() -> int | None:
        found = state.read(stack.home.folder)
        assert found is not None
        return next((process.pid for process in found.processes if process.name == "ingress"), None)

    await until(lambda: named() == stack.supervisor.pid("ingress"), 5)
    assert stack.url("ingress") == url


async def test_stacks_side_by_side_share_nothing(stack_factory: Make) -> None:
    one, other = await stack_factory(names=[]), await stack_factory(names=[])

    assert one.kafka.bootstrap_servers != other.kafka.bootstrap_servers
    assert one.postgres.url(Role.APP) != other.postgres.url(Role.APP)


async def test_a_stack_has_every_topic_of_the_list(stack_factory: Make) -> None:
    stack = await stack_factory(names=[])
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka.bootstrap_servers)
    await admin.start()
    try:
        assert {topic.name for topic in TOPICS} <= set(await admin.list_topics())
    finally:
        await admin.close()


async def test_a_home_has_one_supervisor_at_a_time(stack_factory: Make) -> None:
    stack = await stack_factory(names=[])

    with pytest.raises(CannotStart, match="already"):
        await Stack(stack.home.folder, names=[]).up()

    assert stack.kafka.pid is not None
    assert is_running(stack.kafka.pid)


async def test_data_that_is_kept_is_there_when_the_stack_comes_back_on_other_ports(tmp_path: Path) -> None:
    first = Stack(tmp_path / "home", names=[], durable=False)
    await first.up()
    with psycopg.connect(first.postgres.url(Role.OWNER)) as owner:
        owner.execute("CREATE TABLE kept ()")
    await first.down(keep_data=True)

    second = Stack(tmp_path / "home", names=[], durable=False)
    async with second:
        assert second.kafka.bootstrap_servers != first.kafka.bootstrap_servers
        with psycopg.connect(second.postgres.url(Role.OWNER)) as owner:
            assert owner.execute("SELECT to_regclass('kept') IS NOT NULL").fetchone() == (True,)

    assert not (tmp_path / "home").exists()


async def test_a_stack_that_cannot_start_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    stack = Stack(tmp_path / "home", names=["ingress"], settings={"INGRESS_PORT": "no port"}, durable=False)

    with pytest.raises(CannotStart, match="INGRESS_PORT"):
        await stack.up()

    assert not (tmp_path / "home").exists()
    assert stack.kafka.pid is not None
    assert not is_running(stack.kafka.pid)


async def test_nobody_but_its_owner_reads_a_secret_of_a_stack(stack_factory: Make) -> None:
    stack = await stack_factory(names=["ingress"])
    folder = stack.home.folder
    secrets = [path for path in (folder / "secrets").rglob("*") if path.is_file()]

    assert len(secrets) > 5
    assert {path.stat().st_mode & 0o077 for path in [*secrets, state.path(folder)]} == {0}


async def test_the_door_is_given_its_secret_and_not_the_database(stack_factory: Make) -> None:
    stack = await stack_factory(names=["ingress"])
    given = stack.home.folder / "secrets" / "processes" / "ingress"

    assert {path.name for path in given.iterdir()} == {"stripe_webhook_secrets"}


async def test_a_home_that_nobody_uses_has_nothing_to_end(tmp_path: Path) -> None:
    assert not await Home(tmp_path).end()
