"""`billing topics` as a person and a pipeline of somebody else's use it."""

import json
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from typer.testing import CliRunner, Result

from models.topics import PARKED
from ops.cli import app
from ops.local.stack import Stack
from ops.local.waiting import until

Make = Callable[..., Awaitable[Stack]]


@pytest.fixture
async def servers(stack_factory: Make) -> Stack:
    """A Kafka of this test's own: what other tests make is no drift here."""
    return await stack_factory(names=[])


@pytest.fixture
async def without_parked(servers: Stack) -> str:
    async def is_gone() -> bool:
        return PARKED.name not in await admin.list_topics()

    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([PARKED.name])
    await until(is_gone, 10)
    await admin.close()
    return servers.kafka.bootstrap_servers


def _topics(bootstrap_servers: str, *words: str) -> Result:
    return CliRunner().invoke(app(), ["topics", *words], env={"KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers})


def test_drift_is_an_exit_status_until_apply_has_put_it_right(without_parked: str) -> None:
    drifted = _topics(without_parked, "drift", "--json")
    assert drifted.exit_code == 1
    assert [(step["kind"], step["topic"]) for step in json.loads(drifted.stdout)] == [("create", PARKED.name)]
    assert "create" in _topics(without_parked, "plan").stdout

    assert _topics(without_parked, "apply").exit_code == 0

    settled = _topics(without_parked, "drift")
    assert settled.exit_code == 0
    assert "as listed" in settled.stdout
    assert json.loads(_topics(without_parked, "plan", "--json").stdout) == []


def test_a_kafka_that_does_not_answer_is_a_sentence_and_no_traceback(free_port: Callable[[], int]) -> None:
    asked = _topics(f"127.0.0.1:{free_port()}", "plan")

    assert asked.exit_code == 1
    assert "Kafka" in asked.stderr
    assert "Traceback" not in asked.output
