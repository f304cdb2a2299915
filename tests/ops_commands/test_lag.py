"""How far behind everybody is, from outside: Kafka's ends against the positions in the database."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete

from ops import lag
from ops.local.providers import KafkaServer
from tests.conftest import Database
from tests.support_ops_commands import Shop, billing, billing_json, execute, widest

Make = Callable[..., Awaitable[str]]
Produce = Callable[[str, int, float], Awaitable[None]]

POSITION = "INSERT INTO consumer_positions (consumer_group, topic, partition, next_offset) VALUES (%s, %s, %s, %s)"
UNSENT = "INSERT INTO unsent_events (outbox_id, written_at) VALUES (1, now())"
UNMARKED = """
    INSERT INTO outbox (written_at, topic, key, event_id, type, subject, occurred_at, data)
    VALUES (now() - make_interval(secs => 1), 'billing.alerts', 'k', 'e', 't', 's', now(), '{}')
"""
"""As the release before writes it."""


@pytest.fixture
def cluster(shell: pytest.MonkeyPatch, kafka: KafkaServer) -> pytest.MonkeyPatch:
    shell.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    return shell


@pytest.fixture
async def produce(kafka: KafkaServer) -> AsyncIterator[Produce]:
    """Writes a record that is so many seconds old."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, acks="all")
    await producer.start()

    async def write(topic: str, partition: int, age_seconds: float) -> None:
        at_ms = int((time.time() - age_seconds) * 1000)
        await producer.send_and_wait(topic, b"x", partition=partition, timestamp_ms=at_ms)

    yield write
    await producer.stop()


@pytest.fixture
async def behind(cluster: pytest.MonkeyPatch, database: Database, topic: Make, produce: Produce) -> str:
    """A topic of which `a.group` has taken two of five records in partition 0, and all of partition 1."""
    name = await topic(partitions=2)
    for age in (500, 400, 300, 200, 100):
        await produce(name, 0, age)
    await produce(name, 1, 1_000)
    await execute(database.app_url, POSITION, "a.group", name, 0, 2)
    await execute(database.app_url, POSITION, "a.group", name, 1, 1)
    return name


async def test_records_are_counted_and_seconds_are_the_age_of_the_first_one_not_taken(behind: str) -> None:
    told = await billing_json("lag", "--group", "a.group")

    waiting, done = told["partitions"]
    assert (waiting["topic"], waiting["position"], waiting["end"], waiting["records"]) == (behind, 2, 5, 3)
    assert waiting["seconds"] == pytest.approx(300, abs=30)
    assert (done["partition"], done["records"], done["seconds"]) == (1, 0, 0.0)


@pytest.mark.parametrize(
    ("limits", "exit_status"),
    [
        ((), 0),
        (("--max-records", "3"), 0),
        (("--max-records", "2"), 1),
        (("--max-seconds", "600"), 0),
        (("--max-seconds", "200"), 1),
        (("--max-records", "3", "--max-seconds", "200"), 1),
    ],
)
async def test_the_exit_status_says_whether_a_limit_is_exceeded(
    behind: str, limits: tuple[str, ...], exit_status: int
) -> None:
    assert (await billing("lag", "--group", "a.group", *limits)).exit_code == exit_status


async def test_limits_hold_for_a_group_as_a_whole(behind: str, produce: Produce) -> None:
    await produce(behind, 1, 1)

    assert (await billing("lag", "--group", "a.group", "--max-records", "3")).exit_code == 1


async def test_a_partition_without_a_position_counts_from_its_beginning(behind: str, database: Database) -> None:
    await execute(
        database.superuser_url, "DELETE FROM consumer_positions WHERE consumer_group = 'a.group' AND partition = 0"
    )

    waiting = (await billing_json("lag", "--group", "a.group"))["partitions"][0]

    assert (waiting["position"], waiting["records"]) == (None, 5)
    assert waiting["seconds"] == pytest.approx(500, abs=30)


async def test_a_group_that_never_began_is_behind_by_all_that_it_should_read(
    books: Shop, kafka: KafkaServer, topic: Make, produce: Produce
) -> None:
    name = await topic(partitions=3)
    await produce(name, 2, 50)
    options = {"bootstrap_servers": kafka.bootstrap_servers}

    found = await lag.measure(options, books.tools.database, readers={"new.group": (name,)}, readers_by_kafka={})

    assert [(one.group, one.position, one.records) for one in found.partitions] == [
        ("new.group", None, 0),
        ("new.group", None, 0),
        ("new.group", None, 1),
    ]


async def test_a_group_whose_positions_kafka_keeps_is_shown_beside_the_others(
    books: Shop, kafka: KafkaServer, topic: Make, produce: Produce
) -> None:
    name, group = await topic(partitions=2), f"asks-{time.monotonic_ns()}"
    for age in (300, 200, 100):
        await produce(name, 0, age)
    await produce(name, 1, 50)
    options = {"bootstrap_servers": kafka.bootstrap_servers}
    async with AIOKafkaConsumer(**options, group_id=group, enable_auto_commit=False) as consumer:
        consumer.assign([TopicPartition(name, 0)])
        await consumer.commit({TopicPartition(name, 0): 1})

    found = await lag.measure(options, books.tools.database, readers={}, readers_by_kafka={group: (name,)})

    first, second = found.partitions
    assert (first.group, first.position, first.records) == (group, 1, 2)
    assert first.seconds == pytest.approx(200, abs=30)
    assert (second.position, second.records) == (None, 1)


async def test_what_the_log_lost_before_it_was_taken_is_told(behind: str, kafka: KafkaServer) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(behind, 0): RecordsToDelete(before_offset=4)})
    await admin.close()

    waiting = (await billing_json("lag", "--group", "a.group"))["partitions"][0]

    assert (waiting["records"], waiting["lost"]) == (3, 2)
    assert waiting["seconds"] == pytest.approx(100, abs=30)
    assert "lost 2 records" in (await billing("lag", "--group", "a.group")).stderr


async def test_what_is_still_to_be_said_counts_too(behind: str, database: Database) -> None:
    await execute(database.superuser_url, UNSENT)
    await execute(database.superuser_url, UNMARKED)

    told = await billing_json("lag", "--group", "a.group")

    assert told["outbox"]["events"] == 2
    assert told["outbox"]["seconds"] == pytest.approx(1, abs=30)
    assert told["outbox"]["seconds"] >= 1
    await execute(database.superuser_url, "DELETE FROM consumer_positions WHERE partition = 0")
    await execute(database.superuser_url, POSITION, "a.group", behind, 0, 5)
    assert (await billing("lag", "--group", "a.group", "--max-records", "1")).exit_code == 1
    assert (await billing("lag", "--group", "a.group", "--max-seconds", "0.5")).exit_code == 1
    assert (await billing("lag", "--group", "a.group", "--max-records", "2")).exit_code == 0


async def test_a_topic_made_anew_is_nothing_that_can_be_told(behind: str, database: Database) -> None:
    await execute(database.app_url, "UPDATE consumer_positions SET next_offset = 99 WHERE partition = 0")

    answer = await billing("lag", "--group", "a.group", "--json")

    assert answer.exit_code == 2
    assert json.loads(answer.stdout)["partitions"][0]["records"] is None


async def test_a_topic_that_is_gone_is_nothing_that_can_be_told(
    cluster: pytest.MonkeyPatch, database: Database
) -> None:
    await execute(database.app_url, POSITION, "a.group", "no-such-topic", 0, 2)

    answer = await billing("lag", "--group", "a.group")

    assert answer.exit_code == 2
    assert "no topic no-such-topic" in answer.stderr


async def test_a_group_that_nobody_knows_is_nothing_that_can_be_told(cluster: pytest.MonkeyPatch) -> None:
    answer = await billing("lag", "--group", "nobody")

    assert answer.exit_code == 2
    assert "No group nobody is known" in answer.stderr


@pytest.mark.parametrize("away", ["Kafka", "PostgreSQL"])
async def test_whoever_is_away_is_named_in_one_sentence(
    behind: str, cluster: pytest.MonkeyPatch, free_port: Callable[[], int], away: str
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    if away == "Kafka":
        cluster.setenv("KAFKA_BOOTSTRAP_SERVERS", nowhere)
    else:
        cluster.setenv("DATABASE_URL", f"postgresql://billing_app:hush@{nowhere}/billing")

    answer = await billing("lag", "--group", "a.group", "--max-records", "0")

    assert answer.exit_code == 2
    assert answer.stderr.startswith(away)
    assert answer.stdout == ""
    assert "hush" not in answer.output


async def test_the_table_holds_at_80_columns_and_gives_each_partition_one_line(behind: str, database: Database) -> None:
    long = "a.group.with.as.long.a.name.as.most"
    await execute(database.app_url, POSITION, long, behind, 0, 2)
    await execute(database.app_url, POSITION, long, behind, 1, 1)

    text = (await billing("lag", "--group", long)).stdout

    assert f"{long}, of {behind}:" in text.splitlines()
    assert "The outbox holds 0 unsent" in text
    assert widest(text.splitlines()) <= 80
    rows = [line.split() for line in text.splitlines()]
    assert [row[:4] for row in rows if len(row) == 5 and row[0].isdigit()] == [
        ["0", "2", "5", "3"],
        ["1", "1", "1", "0"],
    ]
