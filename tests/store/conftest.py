"""A bench for each test: a database, keys, and the way in."""

import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from psycopg import sql

from ops.local.postgres import Role
from tests.support_store import Bench, bench_on

SHARED = "store_bench"


@pytest.fixture(scope="session", autouse=True)
def quiet() -> None:
    """Parking logs each traceback, and structlog's own way of drawing one takes a second."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture(scope="session")
def shared_database(postgres: Any, migrated_template: str) -> Iterator[tuple[str, str]]:
    """One database for all tests that only fill it: emptying takes a hundredth of the time of making."""
    name, template, owner = map(sql.Identifier, (SHARED, migrated_template, Role.OWNER))
    with psycopg.connect(postgres.url(Role.SUPERUSER, "postgres"), autocommit=True) as superuser:
        superuser.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(name, template, owner))
        superuser.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO PUBLIC").format(name))
        yield postgres.url(Role.APP, SHARED), postgres.url(Role.SUPERUSER, SHARED)
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture
async def bench(shared_database: tuple[str, str], tmp_path: Path) -> AsyncIterator[Bench]:
    """An empty database that nobody else uses at the time; its schema stays as it is."""
    async with bench_on(*shared_database, tmp_path) as made:
        made.wipe()
        yield made


@pytest.fixture
async def own_bench(database: Any, tmp_path: Path) -> AsyncIterator[Bench]:
    """A database of this test's own, whose schema and roles it may change."""
    async with bench_on(database.app_url, database.superuser_url, tmp_path) as made:
        yield made
