"""The door while Kafka comes and goes, and while it dies itself."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from ops.local.kafka import LocalKafka
from ops.local.providers import KafkaServer
from tests.ingress.support import Door, event, post, provision, published, ready, sign, until


@pytest.fixture
async def own_kafka(tmp_path: Path) -> AsyncIterator[LocalKafka]:
    """A broker that the test may kill."""
    server = LocalKafka(tmp_path / "kafka")
    await server.start()
    await provision(server.bootstrap_servers)
    yield server
    await server.stop()
    server.remove()


async def test_nothing_is_acknowledged_while_the_broker_is_away_and_all_is_well_when_it_is_back(
    own_door: Callable[..., Door], own_kafka: LocalKafka, client: aiohttp.ClientSession
) -> None:
    door = own_door(bootstrap_servers=own_kafka.bootstrap_servers)
    await ready(client, door)
    assert await post(client, door, event("evt_before")) == 200

    await own_kafka.kill()
    began = time.monotonic()
    async with client.post(
        door.url, data=event("evt_during"), headers={"Stripe-Signature": sign(event("evt_during"))}
    ) as answer:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
    assert time.monotonic() - began < 4
    during = await asyncio.gather(*(post(client, door, event(f"evt_during_{n}", 100_000)) for n in range(50)))
    assert set(during) == {503}
    async with client.get(f"http://127.0.0.1:{door.port}/livez") as answer:
        assert answer.status == 200
    async with client.get(f"http://127.0.0.1:{door.port}/readyz") as answer:
        assert answer.status == 503

    await own_kafka.restart()
    await until(lambda: post(client, door, event("evt_after")), 200, seconds_max=15)

    held = await published(own_kafka.bootstrap_servers, door.keys, ["evt_before", "evt_after"])
    assert len(held) == 2
    assert door.close() == [0]


async def test_the_door_opens_before_kafka_does_and_finds_it_later(
    own_door: Callable[..., Door], tmp_path: Path, client: aiohttp.ClientSession
) -> None:
    server = LocalKafka(tmp_path / "kafka")
    door = own_door(bootstrap_servers=server.bootstrap_servers)
    assert await post(client, door, event("evt_early")) == 503

    await server.start()
    try:
        await provision(server.bootstrap_servers)
        await until(lambda: post(client, door, event("evt_found")), 200, seconds_max=15)
        await ready(client, door)
        assert door.close() == [0]
    finally:
        await server.stop()
        server.remove()


async def test_a_broker_that_hangs_is_no_reason_to_hang(
    own_door: Callable[..., Door], own_kafka: LocalKafka, client: aiohttp.ClientSession
) -> None:
    door = own_door(bootstrap_servers=own_kafka.bootstrap_servers)
    await ready(client, door)
    os.kill(own_kafka.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert await post(client, door, event("evt_hung")) == 503
        assert time.monotonic() - began < 3
    finally:
        os.kill(own_kafka.pid, signal.SIGCONT)
    await until(lambda: post(client, door, event("evt_awake")), 200, seconds_max=15)
    assert door.close() == [0]


@pytest.mark.parametrize("failpoint", ["after_verify", "after_produce_ack"])
async def test_killed_before_the_answer_the_door_hears_the_event_again_and_it_is_there(
    own_door: Callable[..., Door],
    tmp_path: Path,
    events_topic: KafkaServer,
    client: aiohttp.ClientSession,
    failpoint: str,
) -> None:
    (tmp_path / "failpoints").mkdir()
    (tmp_path / "failpoints" / failpoint).write_text(f"evt_{failpoint}")
    settings = {"FAILPOINTS_DIR": str(tmp_path / "failpoints")}
    door = own_door(**settings)
    await ready(client, door)
    assert await post(client, door, event("evt_another")) == 200

    with pytest.raises(aiohttp.ClientConnectionError):
        await post(client, door, event(f"evt_{failpoint}"))
    assert door.processes[0].wait(5) == -signal.SIGKILL

    again = own_door(**settings)
    await ready(client, again)
    assert await post(client, again, event(f"evt_{failpoint}")) == 200
    await published(events_topic.bootstrap_servers, again.keys, [f"evt_{failpoint}"])
    assert again.close() == [0]
