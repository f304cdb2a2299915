"""`python -m streams.books` as whoever supervises it sees it: started, asked, stopped, stuck."""

import asyncio
import json
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ops.local.kafka import LocalKafka
from runtime import clock
from runtime.keys import Keyring
from store import postgres, stops
from streams.ending import EXIT_STATUS
from tests.conftest import Database
from tests.streams.support import new_group, produce, until

FAUST_WEB_PORT = 6066
EXIT_SECONDS_MAX = 30
CATALOG = Path(__file__).parents[2] / "deploy" / "catalog.yaml"


@pytest.fixture
async def own_kafka(tmp_path: Path) -> AsyncIterator[LocalKafka]:
    """The books read `stripe.events`, and that name is everybody's: so a broker of this test's own."""
    kafka = LocalKafka(tmp_path / "kafka")
    await kafka.start()
    yield kafka
    await kafka.kill()


@asynccontextmanager
async def admin(kafka: LocalKafka) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def provision(kafka: LocalKafka) -> None:
    async with admin(kafka) as client:
        await client.create_topics([NewTopic("stripe.events", 2, 1)])


class Started:
    """A process of the books, and how it is asked."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, log: Path, cwd: Path) -> None:
        self.process = process
        self.port = port
        self.log = log
        self.cwd = cwd

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=3) as answer:
                return answer.status == 200
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    async def until_ready(self) -> None:
        await until(lambda: self.ready() or self.process.returncode is not None)
        assert self.process.returncode is None, self.log.read_text()

    async def ends(self) -> int:
        async with asyncio.timeout(EXIT_SECONDS_MAX):
            return await self.process.wait()

    def counted(self, name: str) -> float:
        """What a counter without labels stands at."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=3) as answer:
            lines = [line.split() for line in answer.read().decode().splitlines()]
        (value,) = [float(line[1]) for line in lines if line[0] == name]
        return value

    def reasons(self) -> list[str]:
        return [str(line["reason"]) for line in self.lines("process ends")]

    def lines(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@asynccontextmanager
async def books(
    kafka: LocalKafka, database: Database, port: int, folder: Path, **others: str
) -> AsyncIterator[Started]:
    keys, cwd, log = folder / "keys.json", folder / "cwd", folder / "books.log"
    cwd.mkdir(exist_ok=True)
    if not keys.exists():
        Keyring.generate(keys, clock.now())
    with log.open("w") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "streams.books",
            cwd=cwd,
            stderr=errors,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(CATALOG.parents[1]),
                "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "KAFKA_GROUP": new_group(),
                "DATABASE_URL": database.app_url,
                "EDGE_KEYS_FILE": str(keys),
                "STORE_KEYS_FILE": str(keys),
                "CATALOG_FILE": str(CATALOG),
                "METRICS_PORT": str(port),
                **others,
            },
        )
    try:
        yield Started(process, port, log, cwd)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def facts(database: Database) -> int:
    with psycopg.connect(database.owner_url) as connection:
        found = connection.execute("SELECT count(*) FROM reports.facts").fetchone()
    assert found
    return int(found[0])


async def test_a_worker_becomes_ready_takes_what_comes_and_stops_in_order_leaving_nothing_behind(
    own_kafka: LocalKafka, database: Database, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    await provision(own_kafka)
    async with books(own_kafka, database, free_port(), tmp_path) as started:
        await started.until_ready()
        await produce(own_kafka, "stripe.events", [b"not a fact", None])
        await until(lambda: facts(database) == 2)

        with socket.socket() as faust_web:
            assert faust_web.connect_ex(("127.0.0.1", FAUST_WEB_PORT)) != 0

        started.process.send_signal(signal.SIGTERM)
        assert await started.ends() == 0
    assert list(started.cwd.iterdir()) == []
    assert started.reasons() == []


async def test_the_watchdog_ends_a_worker_whose_topic_was_deleted(
    own_kafka: LocalKafka, database: Database, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    await provision(own_kafka)
    quick = {"WATCHDOG_SECONDS": "3", "RETRY_SECONDS_MAX": "1"}
    async with books(own_kafka, database, free_port(), tmp_path, **quick) as started:
        await started.until_ready()
        async with admin(own_kafka) as client:
            await client.delete_topics(["stripe.events"])

        assert await started.ends() == EXIT_STATUS
    assert "TopicMissing(topic='stripe.events')" in started.reasons()[0]


async def test_a_worker_that_cannot_reach_its_database_ends_with_its_offset_unmoved(
    own_kafka: LocalKafka, database: Database, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    await provision(own_kafka)
    nowhere = {"DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/none", "RETRY_SECONDS_MAX": "1"}
    async with books(own_kafka, database, free_port(), tmp_path, **nowhere) as started:
        assert await started.ends() == EXIT_STATUS
    assert "the world stayed away" in started.reasons()[0]


async def test_a_worker_that_is_started_before_its_broker_waits_for_it(
    tmp_path: Path, database: Database, free_port: Callable[[], int]
) -> None:
    kafka = LocalKafka(tmp_path / "kafka")
    await kafka.start()
    await provision(kafka)
    await kafka.kill()
    try:
        async with books(kafka, database, free_port(), tmp_path) as started:
            await until(lambda: "waiting for the broker" in started.log.read_text())
            await kafka.start()
            await started.until_ready()
            started.process.send_signal(signal.SIGTERM)
            assert await started.ends() == 0
    finally:
        await kafka.kill()


async def test_a_hole_where_a_transactions_marker_lies_stops_nobody(
    own_kafka: LocalKafka, database: Database, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    await provision(own_kafka)
    await produce_in_transaction(own_kafka, b"not a fact")
    async with books(own_kafka, database, free_port(), tmp_path) as started:
        await started.until_ready()
        await until(lambda: facts(database) == 1)
        assert started.counted("intake_holes_total") == 0

        await produce(own_kafka, "stripe.events", [b"not a fact either"])

        await until(lambda: facts(database) == 2 or started.process.returncode is not None)
        assert started.process.returncode is None, started.log.read_text()
        assert started.counted("intake_holes_total") == 1
    assert started.reasons() == []


async def test_a_worker_stops_where_a_record_was_skipped_and_takes_it_when_it_is_started_again(
    own_kafka: LocalKafka, database: Database, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """A collector of traces that is away changes nothing of it."""
    await provision(own_kafka)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    sampled = [("fact_id", b"evt_1"), ("traceparent", f"00-{trace_id}-b7ad6b7169203331-01".encode())]
    same = {"KAFKA_GROUP": new_group(), "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    async with books(own_kafka, database, free_port(), tmp_path, **same) as started:
        await started.until_ready()
        await produce(own_kafka, "stripe.events", [b"not a fact"])
        await until(lambda: facts(database) == 1)
        # As if the record had never come: the application's role may not, so the superuser does.
        superuser(database, "UPDATE consumer_positions SET next_offset = 0 WHERE topic = 'stripe.events'")

        await produce(own_kafka, "stripe.events", [b"not a fact either"], headers=sampled)

        assert await started.ends() == EXIT_STATUS
    (gap,) = started.lines("gap")
    beyond = {"topic": "stripe.events", "partition": 0, "offset": 1, "fact_id": "evt_1", "trace_id": trace_id}
    assert {"found": "skipped", "expected_offset": 0, **beyond}.items() <= gap.items()
    assert started.reasons() == ["gap in stripe.events/0, skipped: expected offset 0, got 1"]
    assert facts(database) == 1

    async with books(own_kafka, database, free_port(), tmp_path, **same) as next_one:
        await until(lambda: facts(database) == 2)
        assert next_one.process.returncode is None


async def test_a_stopped_group_stays_stopped_until_an_operator_resumes_it(
    own_kafka: LocalKafka, database: Database, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    await provision(own_kafka)
    group = new_group()
    async with postgres.Database(database.app_url, application_name="test") as connections:
        await stops.stop(connections, group, "too much was parked")
        for _ in range(2):
            async with books(own_kafka, database, free_port(), tmp_path, KAFKA_GROUP=group) as stopped:
                assert await stopped.ends() == EXIT_STATUS
            assert f"{group} is stopped: too much was parked" in stopped.reasons()[0]

        await stops.clear(connections, group, "mended")

    async with books(own_kafka, database, free_port(), tmp_path, KAFKA_GROUP=group) as started:
        await started.until_ready()


async def produce_in_transaction(kafka: LocalKafka, value: bytes) -> None:
    """A record, and behind it the transaction's marker, which takes an offset too."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id="somebody")
    async with producer, producer.transaction():
        await producer.send_and_wait("stripe.events", value, partition=0)


def superuser(database: Database, statement: LiteralString) -> None:
    with psycopg.connect(database.superuser_url) as connection:
        connection.execute(statement)
