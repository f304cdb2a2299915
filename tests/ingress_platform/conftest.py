"""A shop for each test, on one database that is emptied before each."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from psycopg import sql

from ingress.platform import serving
from ops.local.postgres import Role
from runtime.settings import StripeSettings
from runtime.stripe_circuit import Circuit
from runtime.stripe_client import Limits, StripeClient
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
        made.sql("DELETE FROM api_keys; DELETE FROM door_requests; DELETE FROM door_customers")
        yield made


@pytest.fixture
async def pretend() -> AsyncIterator[Pretend]:
    async with pretending() as one:
        yield one


@pytest.fixture
def open_seconds() -> float:
    """How long Stripe is left alone when it fails: no test waits long for the end of that."""
    return 0.3


@pytest.fixture(autouse=True)
def forgiving(monkeypatch: pytest.MonkeyPatch, open_seconds: float) -> None:
    """The circuit closes soon again."""

    class Forgiving(StripeClient):
        @classmethod
        def of(cls, settings: StripeSettings) -> Self:
            circuit = partial(Circuit, open_seconds=open_seconds)
            limits = Limits(settings.stripe_requests_per_second, settings.stripe_try_seconds_max, circuit=circuit)
            return cls(settings.stripe_api_key.get_secret_value(), settings.stripe_api_base, limits)

    monkeypatch.setattr(serving, "StripeClient", Forgiving)


@pytest.fixture
async def shop(bench: Bench, pretend: Pretend) -> AsyncIterator[Shop]:
    async with shop_on(bench, pretend) as opened:
        yield opened


@pytest.fixture
async def shop_in_a_hurry(bench: Bench, pretend: Pretend) -> AsyncIterator[Shop]:
    """One that gives up early, so that no test waits long for that."""
    async with shop_on(bench, pretend, platform_seconds_max=0.5) as opened:
        yield opened
