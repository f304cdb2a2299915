"""The two servers of the local stack, as tests and the demo lean on them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from psycopg import errors

from ops.local.kafka import LocalKafka
from ops.local.postgres import LocalPostgres, Role
from tests.conftest import Database

# Five seconds are the promise.  A machine that runs other tests beside this one is given three times as much.
IN_TIME = pytest.mark.parametrize("seconds_max", [15.0, pytest.param(5.0, marks=pytest.mark.long)])


@asynccontextmanager
async def _admin(kafka: LocalKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _published(bootstrap_servers: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all") as producer:
        await producer.send_and_wait(topic, value)


async def _first_value(bootstrap_servers: str, topic: str) -> bytes:
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap_servers) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        record = await consumer.getone()
        return record.value


@IN_TIME
async def test_what_kafka_acknowledged_is_there_again_soon_after_its_sigkill(
    tmp_path: Path, seconds_max: float
) -> None:
    kafka = LocalKafka(tmp_path / "kafka")
    await kafka.start()
    await kafka.restart()  # Warm from here on: the first stop makes the class data archive, once a machine.
    try:
        async with _admin(kafka) as admin:
            await admin.create_topics([NewTopic("kept", 1, 1)])
        await _published(kafka.bootstrap_servers, "kept", b"said once")
        address, before = kafka.bootstrap_servers, kafka.pid

        began = time.monotonic()
        await kafka.kill()
        await kafka.start()

        assert time.monotonic() - began < seconds_max
        assert kafka.bootstrap_servers == address
        assert kafka.pid != before
        assert await _first_value(address, "kept") == b"said once"
    finally:
        await kafka.kill()


def test_a_migrated_database_is_fresh_for_each_test_and_readers_cannot_make_anything(database: Database) -> None:
    with psycopg.connect(database.reader_url) as reader, pytest.raises(errors.InsufficientPrivilege):
        reader.execute("CREATE TABLE mine ()")


@IN_TIME
async def test_postgres_keeps_what_was_committed_when_it_is_killed_and_comes_back_where_it_was(
    tmp_path: Path, seconds_max: float
) -> None:
    postgres = LocalPostgres(tmp_path / "postgres", durable=False)
    await postgres.start()
    try:
        url = postgres.url(Role.OWNER)
        with psycopg.connect(url) as owner:
            owner.execute("CREATE TABLE said (words text)")
            owner.execute("INSERT INTO said VALUES ('once')")

        began = time.monotonic()
        await postgres.kill()
        await postgres.start()

        assert time.monotonic() - began < seconds_max
        with psycopg.connect(url) as owner:
            assert owner.execute("SELECT words FROM said").fetchall() == [("once",)]
    finally:
        await postgres.stop()
        postgres.remove()
    assert not postgres.home.exists()
    assert not postgres.data.exists()


@pytest.fixture
def closed_folder(tmp_path: Path) -> Path:
    """As many people's homes are: no unprivileged user can enter."""
    tmp_path.chmod(0o700)
    return tmp_path


async def test_postgres_on_a_closed_path_leaves_no_folder_elsewhere_behind(closed_folder: Path) -> None:
    postgres = LocalPostgres(closed_folder / "postgres", durable=False)
    await postgres.start()
    data = postgres.data

    await postgres.stop()
    postgres.remove()

    assert not data.parent.exists()
