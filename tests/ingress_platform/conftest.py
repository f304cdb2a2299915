"""A shop for each test, on one database that is never emptied: each test has accounts of its own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ops.local.postgres import Role
from tests.ingress_platform.support import Shop, shop_on
from tests.support_store import Bench, bench_on
from tests.support_stripe import Pretend, pretending

SHARED = "platform_bench"


@pytest.fixture(scope="session")
def shared_database(postgres: Any, migrated_template: str) -> Iterator[tuple[str, str]]:
    name, template, owner = map(sql.Identifier, (SHARED, migrated_template, Role.OWNER))
    with psycopg.connect(postgres.url(Role.SUPERUSER, "postgres"), autocommit=True) as superuser:
        superuser.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(name, template, owner))
        superuser.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO PUBLIC").format(name))
        yield postgres.url(Role.APP, SHARED), postgres.url(Role.SUPERUSER, SHARED)
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
async def bench(shared_database: tuple[str, str], tmp_path: Path) -> AsyncIterator[Bench]:
    async with bench_on(*shared_database, tmp_path) as made:
        made.wipe()
        yield made


@pytest.fixture
async def pretend() -> AsyncIterator[Pretend]:
    async with pretending() as one:
        yield one


@pytest.fixture
async def shop(bench: Bench, pretend: Pretend) -> AsyncIterator[Shop]:
    async with shop_on(bench, pretend) as opened:
        yield opened


@pytest.fixture
async def shop_in_a_hurry(bench: Bench, pretend: Pretend) -> AsyncIterator[Shop]:
    """One that gives up early, so that no test waits long for that."""
    async with shop_on(bench, pretend, platform_seconds_max=0.5) as opened:
        yield opened
