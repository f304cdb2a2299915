"""What is said is said at least once, in order per account, and never twice under two ids."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumers.reader import Event, Ledger, read_all
from ops.local.kafka import LocalKafka
from ops.local.providers import KafkaServer
from runtime.failpoints import Failpoints
from runtime.tracing import Tracer
from store import postgres
from store.outbox import Outbox
from streams.publisher import Publisher
from streams.relay import Relay
from tests.conftest import Database
from tests.streams.support import until

MakeTopic = Callable[..., Awaitable[str]]
WAIT_SECONDS_MAX = 30

SAY = """
    WITH said AS (
        INSERT INTO outbox (written_at, topic, key, account_id, account_seq, sequence, event_id, type, subject,
                            occurred_at, data, sent_at)
        VALUES (now(), %(topic)s, %(account)s, %(account)s, %(sequence)s, %(sequence)s, %(id)s, 'billing.test.v1',
                'sub_1', now(), '{"said": true}', now())
        RETURNING outbox_id, written_at
    )
    INSERT INTO unsent_events (outbox_id, written_at) SELECT outbox_id, written_at FROM said
"""


def say(database: Database, topic: str, account: str, sequences: Iterable[int]) -> None:
    with psycopg.connect(database.owner_url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            SAY,
            [
                {"topic": topic, "account": account, "sequence": sequence, "id": f"{account}/{sequence}"}
                for sequence in sequences
            ],
        )


def unsent(database: Database) -> int:
    with psycopg.connect(database.owner_url) as connection:
        found = connection.execute("SELECT count(*) FROM unsent_events").fetchone()
    assert found
    return int(found[0])


async def until_all_is_said(database: Database) -> None:
    await until(lambda: not unsent(database))


async def heard(kafka: KafkaServer, topic: str) -> list[Event]:
    return await read_all({"bootstrap_servers": kafka.bootstrap_servers}, [topic])


@asynccontextmanager
async def relaying(
    bootstrap_servers: str, database: Database, batch_max: int = 500, tracer: Tracer | None = None
) -> AsyncIterator[Relay]:
    stopping = asyncio.Event()
    async with (
        postgres.Database(database.app_url, application_name="relay") as connections,
        Publisher({"bootstrap_servers": bootstrap_servers}, tracer) as publisher,
    ):
        relay = Relay(Outbox(connections), publisher, Failpoints(None), batch_max)
        running = asyncio.create_task(relay.run(stopping, poll_seconds=0.02))
        try:
            yield relay
        finally:
            stopping.set()
            await running


@asynccontextmanager
async def relay_process(
    kafka: KafkaServer, database: Database, port: int, failpoints: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "streams.relay",
        env={
            "PATH": os.environ["PATH"],
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "DATABASE_URL": database.app_url,
            "METRICS_PORT": str(port),
            "FAILPOINTS_DIR": str(failpoints),
        },
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_every_account_is_heard_in_order_with_two_relays_at_once(
    kafka: KafkaServer, database: Database, topic: MakeTopic
) -> None:
    name = await topic(partitions=3)
    for first in range(1, 101, 20):
        for account in ("acct_a", "acct_b", "acct_c"):
            say(database, name, account, range(first, first + 20))

    async with relaying(kafka.bootstrap_servers, database, 7), relaying(kafka.bootstrap_servers, database, 11):
        say(database, name, "acct_a", range(101, 121))
        await until_all_is_said(database)

    events, ledger = await heard(kafka, name), Ledger()
    assert all(ledger.is_news(event) for event in events), "two relays took the same row"
    assert len(events) == 320
    assert ledger.gaps == []
    assert {event.partition for event in events if event.key == "acct_a"} == {
        next(event.partition for event in events if event.key == "acct_a")
    }


@pytest.mark.parametrize(("failpoint", "copies"), [("outbox_claimed", 1), ("outbox_sent", 2)])
async def test_a_relay_that_dies_sends_again_under_the_same_ids(  # noqa: PLR0917  # pytest passes them by name.
    kafka: KafkaServer,
    database: Database,
    topic: MakeTopic,
    tmp_path: Path,
    free_port: Callable[[], int],
    failpoint: str,
    copies: int,
) -> None:
    name = await topic()
    say(database, name, "acct_a", range(1, 6))
    (tmp_path / failpoint).touch()

    async with relay_process(kafka, database, free_port(), tmp_path) as dying, asyncio.timeout(WAIT_SECONDS_MAX):
        assert await dying.wait() == -signal.SIGKILL
    assert unsent(database) == 5
    async with relay_process(kafka, database, free_port(), tmp_path) as next_one:
        await until_all_is_said(database)
        next_one.terminate()
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            assert await next_one.wait() == 0

    events, ledger = await heard(kafka, name), Ledger()
    assert [event.id for event in events] == [f"acct_a/{sequence}" for sequence in range(1, 6)] * copies
    assert [event.sequence for event in events if ledger.is_news(event)] == [1, 2, 3, 4, 5]
    assert ledger.gaps == []


async def test_a_relay_outlives_its_broker_and_says_everything_in_order_when_it_is_back(
    database: Database, tmp_path: Path
) -> None:
    kafka = LocalKafka(tmp_path / "kafka")
    await kafka.start()
    try:
        name = "billing.subscriptions"
        await _make_topic(kafka, name)
        say(database, name, "acct_a", [1])
        async with relaying(kafka.bootstrap_servers, database):
            await until_all_is_said(database)
            await kafka.kill()
            say(database, name, "acct_a", range(2, 30))
            await kafka.start()
            await until_all_is_said(database)

        events, ledger = await heard(kafka, name), Ledger()
        assert [event.sequence for event in events if ledger.is_news(event)] == list(range(1, 30))
        assert ledger.gaps == []
    finally:
        await kafka.kill()


async def test_rows_that_the_broker_did_not_take_are_not_marked(
    database: Database, free_port: Callable[[], int]
) -> None:
    say(database, "billing.subscriptions", "acct_a", [1])

    async with (
        postgres.Database(database.app_url, application_name="relay") as connections,
        Publisher({"bootstrap_servers": f"127.0.0.1:{free_port()}"}) as publisher,
    ):
        outbox = Outbox(connections)
        with pytest.raises(KafkaConnectionError):
            await Relay(outbox, publisher, Failpoints(None), 500).relay_batch()
        assert await outbox.oldest_unsent_age_seconds() > 0

    assert unsent(database) == 1


async def test_a_relay_outlives_its_database(kafka: KafkaServer, database: Database, topic: MakeTopic) -> None:
    name = await topic()
    async with relaying(kafka.bootstrap_servers, database):
        say(database, name, "acct_a", [1])
        await until_all_is_said(database)
        with psycopg.connect(database.superuser_url) as superuser:
            superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'relay'")
        say(database, name, "acct_a", [2])
        await until_all_is_said(database)

    assert [event.sequence for event in await heard(kafka, name)] == [1, 2]


PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("traced", [True, False])
async def test_an_event_goes_on_with_its_facts_trace_where_the_relay_is_told_to_trace(
    kafka: KafkaServer, database: Database, topic: MakeTopic, *, traced: bool
) -> None:
    name, exporter = await topic(), InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    say(database, name, "acct_a", [1, 2])
    with psycopg.connect(database.owner_url) as connection:
        connection.execute("UPDATE outbox SET traceparent = %s WHERE event_id = 'acct_a/2'", [PARENT])

    async with relaying(kafka.bootstrap_servers, database, tracer=Tracer(provider, 0.0) if traced else None):
        await until_all_is_said(database)

    spans = exporter.get_finished_spans()
    assert await traceparents(kafka, name) == [None, child_of_parent(spans) if traced else None]
    assert [(span.attributes or {})["messaging.kafka.offset"] for span in spans] == ([1] if traced else [])


def child_of_parent(spans: Sequence[ReadableSpan]) -> str:
    (span,) = spans
    version, trace_id, _, flags = PARENT.split("-")
    return f"{version}-{trace_id}-{span.context.span_id:016x}-{flags}"


async def traceparents(kafka: KafkaServer, topic: str) -> list[str | None]:
    """Of both messages of a topic with one partition."""
    options = {"bootstrap_servers": kafka.bootstrap_servers, "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(topic, **options) as consumer, asyncio.timeout(WAIT_SECONDS_MAX):
        found = [dict((await consumer.getone()).headers).get("traceparent") for _ in range(2)]
    return [value and value.decode() for value in found]


async def _make_topic(kafka: LocalKafka, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()
