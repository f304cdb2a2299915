"""The servers that tests run on: real ones, started when the first test asks, and a fresh corner for each test.

A test that kills a server brings up its own (`stack_factory`, or a LocalKafka in tmp_path); the session's are shared.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from _pytest.terminal import TerminalReporter
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from psycopg import sql

from ops.local import ports, providers
from ops.local.postgres import Role
from ops.local.providers import KafkaServer, PostgresServer
from ops.local.stack import Stack
from ops.local.waiting import until
from tests.support_figures import FIGURE

TEMPLATE = "billing_template"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database of one test's own, as each role sees it."""

    name: str
    app_url: str
    owner_url: str
    reader_url: str
    superuser_url: str


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    server = providers.kafka(tmp_path_factory.mktemp("kafka"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())
    server.remove()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = providers.postgres(tmp_path_factory.mktemp("postgres"), durable=False)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())
    server.remove()


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    """A database that is migrated once and copied for each test: a copy takes a tenth of the migrations' time."""
    from store import migrate  # Late: whoever tests ops alone needs no database.

    _as_superuser(postgres, _drop(TEMPLATE), *_create(TEMPLATE))
    migrate.apply(postgres.url(Role.OWNER, TEMPLATE))
    return TEMPLATE


@pytest.fixture
def empty_database(postgres: PostgresServer) -> Iterator[Database]:
    """A database of this test's own with nothing in it: for tests of the migrations."""
    yield from _database(postgres, template="template1")


@pytest.fixture
def database(postgres: PostgresServer, migrated_template: str) -> Iterator[Database]:
    """A migrated database of this test's own."""
    yield from _database(postgres, template=migrated_template)


@pytest.fixture
async def topic(kafka: KafkaServer) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Makes topics that no other test uses: `await topic(partitions=3)`, or `await topic(name="orders")`."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    made: list[str] = []

    async def make(partitions: int = 1, name: str | None = None, **configs: str) -> str:
        unique = name or f"test-{next(_numbers)}-{ports.free_port()}"
        await admin.create_topics([NewTopic(unique, partitions, 1, topic_configs=configs)])
        made.append(unique)
        await until(lambda: _is_seen(admin, unique), 30)
        return unique

    yield make
    if made:
        await admin.delete_topics(made)
    await admin.close()


@pytest.fixture
async def stack_factory(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Stack]]]:
    """Whole stacks of this test's own, to be broken at will: `stack = await stack_factory(names=["ingress"])`.

    Takes what `Stack` takes but the home.  The servers are the test's own too, unless their addresses were given.
    """
    async with AsyncExitStack() as stacks:

        async def make(**options: Any) -> Stack:
            home = tmp_path / f"stack-{next(_numbers)}"
            return await stacks.enter_async_context(Stack(home, durable=False, **options))

        yield make


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Ports of this test's own: `free_port()`."""
    return ports.free_port


async def _is_seen(admin: AIOKafkaAdminClient, topic: str) -> bool:
    """The controller answers before the broker has heard of it, and a producer that asks too early waits long."""
    described = {found["topic"]: found for found in await admin.describe_topics()}
    return topic in described and all(partition["leader"] >= 0 for partition in described[topic]["partitions"])


def _database(server: PostgresServer, template: str) -> Iterator[Database]:
    name = f"test_{next(_numbers)}"
    _as_superuser(server, _drop(name), *_create(name, template))
    yield Database(
        name=name,
        app_url=server.url(Role.APP, name),
        owner_url=server.url(Role.OWNER, name),
        reader_url=server.url(Role.READER, name),
        superuser_url=server.url(Role.SUPERUSER, name),
    )
    _as_superuser(server, _drop(name))


def _create(name: str, template: str = "template1") -> list[sql.Composed]:
    """As `ops.local.postgres` makes the product's own database."""
    database, owner = sql.Identifier(name), sql.Identifier(Role.OWNER)
    others = sql.SQL(", ").join([sql.Identifier(Role.APP), sql.Identifier(Role.READER)])
    return [
        sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(database, sql.Identifier(template), owner),
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, others),
    ]


def _drop(name: str) -> sql.Composed:
    """Whoever is still connected: a test that ends badly must not spoil the next."""
    return sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))


def _as_superuser(server: PostgresServer, *statements: sql.Composed) -> None:
    with psycopg.connect(server.url(Role.SUPERUSER, "postgres"), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """What end-to-end tests measured stands at the end of the run."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    told = [(report.nodeid, line) for report in reports for name, line in report.user_properties if name == FIGURE]
    if told:
        terminalreporter.section("figures")
    for test in dict.fromkeys(test for test, _ in told):
        terminalreporter.write_line(test.rpartition("::")[2])
        for line in dict.fromkeys(line for told_by, line in told if told_by == test):
            terminalreporter.write_line(f"    {line}")
