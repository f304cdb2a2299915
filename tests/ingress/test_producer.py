import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from ingress.producer import SILENCE_SECONDS_MAX, Producer, Unacknowledged
from models.topics import STRIPE_EVENTS
from ops.local.kafka import LocalKafka
from tests.ingress.support import provision

HEADERS = [("fact_id", b"evt_1")]


@pytest.fixture
async def own_kafka(tmp_path: Path) -> AsyncIterator[LocalKafka]:
    server = LocalKafka(tmp_path / "kafka")
    await server.start()
    yield server
    await server.stop()
    server.remove()


async def _until_acknowledged(producer: Producer) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return await producer.publish(b"cus_1", b"sealed", HEADERS)
        except Unacknowledged:
            assert time.monotonic() < deadline
            await asyncio.sleep(0)  # Without a client the answer comes at once, and nobody else would have a turn.


async def test_a_producer_that_is_not_answered_for_long_is_replaced_by_a_fresh_one(own_kafka: LocalKafka) -> None:
    clock = [1.0]
    options = {"bootstrap_servers": own_kafka.bootstrap_servers}
    producer = Producer(options, seconds_max=0.5, monotonic=lambda: clock[0])
    await producer.start()
    first = producer._client
    assert first is not None

    with pytest.raises(Unacknowledged):  # There is no topic yet.
        await producer.publish(b"cus_1", b"sealed", HEADERS)
    assert producer._client is first
    clock[0] += SILENCE_SECONDS_MAX + 1
    with pytest.raises(Unacknowledged):
        await producer.publish(b"cus_1", b"sealed", HEADERS)

    await provision(own_kafka.bootstrap_servers)
    await _until_acknowledged(producer)
    assert producer._client is not first
    await producer.stop(seconds_max=2)


async def test_a_topic_that_was_made_anew_is_found_again(own_kafka: LocalKafka) -> None:
    await provision(own_kafka.bootstrap_servers)
    producer = Producer({"bootstrap_servers": own_kafka.bootstrap_servers}, seconds_max=2, monotonic=time.monotonic)
    await producer.start()
    for _ in range(10):
        await producer.publish(b"cus_1", b"sealed", HEADERS)

    admin = AIOKafkaAdminClient(bootstrap_servers=own_kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([STRIPE_EVENTS.name])
    await admin.close()
    await provision(own_kafka.bootstrap_servers)

    await _until_acknowledged(producer)
    await producer.stop(seconds_max=2)


async def test_without_a_broker_the_answer_comes_at_once_and_stopping_does_not_wait(free_port: object) -> None:
    assert callable(free_port)
    producer = Producer({"bootstrap_servers": f"127.0.0.1:{free_port()}"}, seconds_max=2, monotonic=time.monotonic)

    async with asyncio.timeout(5):
        await producer.start()
        with pytest.raises(Unacknowledged):
            await producer.publish(b"cus_1", b"sealed", HEADERS)
        await producer.stop(seconds_max=2)


async def test_a_client_that_gave_up_for_good_is_replaced_by_a_fresh_one(own_kafka: LocalKafka) -> None:
    await provision(own_kafka.bootstrap_servers)
    producer = Producer({"bootstrap_servers": own_kafka.bootstrap_servers}, seconds_max=2, monotonic=time.monotonic)
    await producer.start()
    await producer.publish(b"cus_1", b"sealed", HEADERS)
    first = producer._client
    assert first is not None

    for partition in range(3):  # As if batches had been lost: the broker refuses what follows, and the client despairs.
        first._txn_manager.increment_sequence_number(TopicPartition(STRIPE_EVENTS.name, partition), 7)
    with pytest.raises(Unacknowledged):
        await producer.publish(b"cus_1", b"sealed", HEADERS)

    await _until_acknowledged(producer)
    assert producer._client is not first
    await producer.stop(seconds_max=2)
