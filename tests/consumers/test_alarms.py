"""An endpoint that Stripe disables, and a silence, are noticed and said, and so is their end."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from consumers.alarms import Alarms
from models.events import Rule
from runtime.stripe_client import StripeClient
from store import alarms
from store.postgres import Database
from tests.conftest import Database as Own
from tests.consumers.support_shop import make
from tests.support_stripe import Pretend

NOW = datetime.now(UTC).replace(day=20, hour=12, minute=0, second=0, microsecond=0)
LATE = timedelta(seconds=120)


@pytest.fixture
async def books(database: Own) -> AsyncIterator[Database]:
    async with Database(database.app_url, application_name="test") as opened:
        yield opened


def said(database: Own) -> list[tuple[str, str]]:
    with psycopg.connect(database.owner_url) as connection:
        rows = connection.execute("SELECT type, data FROM outbox ORDER BY outbox_id").fetchall()
    return [(kind.split(".")[2], json.loads(data)["subject"]) for kind, data in rows]


async def test_a_disabled_endpoint_is_told_of_until_it_is_enabled_or_gone(
    pretend: Pretend, client: StripeClient, books: Database, database: Own
) -> None:
    ours = Alarms(client, books, lambda: NOW, LATE)
    shown = await make(client, "webhook_endpoints", url="https://platform.example/", enabled_events=["*"])
    endpoint: Any = pretend.desk.world.shelf.get("webhook_endpoint", shown["id"])
    await ours.look_at_endpoints()
    assert said(database) == []

    endpoint.update(disabled=True)
    await ours.look_at_endpoints()
    await ours.look_at_endpoints()
    assert said(database) == [("raised", shown["id"])]

    endpoint.update(disabled=False)
    await ours.look_at_endpoints()
    endpoint.update(disabled=True)
    await ours.look_at_endpoints()
    pretend.desk.world.shelf.remove(endpoint)
    await ours.look_at_endpoints()
    await ours.look_at_endpoints()
    assert said(database) == [(kind, shown["id"]) for kind in ("raised", "cleared", "raised", "cleared")]


async def test_a_silence_is_told_of_until_webhooks_come_again(
    client: StripeClient, books: Database, database: Own
) -> None:
    moments = [NOW - timedelta(days=ago, seconds=second * 10) for ago in range(1, 8) for second in range(60)]
    now = [NOW]
    ours = Alarms(client, books, lambda: now[0], LATE)

    heard(database, [*moments, NOW - timedelta(days=8)])
    await ours.listen()
    await ours.listen()
    assert said(database) == [("raised", "webhooks")]
    assert await alarms.on(books, Rule.WEBHOOKS_SILENT) == ["webhooks"]

    heard(database, [NOW - timedelta(seconds=second * 10) for second in range(60)])
    await ours.listen()
    await ours.listen()
    assert said(database) == [("raised", "webhooks"), ("cleared", "webhooks")]


def heard(database: Own, moments: list[datetime]) -> None:
    """Webhooks that were committed in these moments."""
    with psycopg.connect(database.owner_url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            """
            INSERT INTO journal (committed_at, received_at, occurred_at, source, fact_id, type, livemode,
                                 schema_version, outcome, caused)
            VALUES (%s, %s, %s, 'stripe', %s, 'invoice.paid', false, 1, 'applied', '{}')
            """,
            [(moment, moment, moment, f"evt_{moment.timestamp()}") for moment in moments],
        )
