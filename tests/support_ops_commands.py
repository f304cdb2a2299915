"""The `billing` command as an operator types it, and the books as a worker keeps them, driven by hand."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from click.testing import Result
from msgspec import structs
from psycopg.rows import dict_row
from typer.testing import CliRunner

from models.base import Envelope, Source, headers_of
from models.catalog import Catalog, Offer
from ops import cli, tools
from ops.tools import ToolsSettings
from runtime.keys import Keyring
from store.apply import Tools
from store.intake import Bounds, Gap, Intake, Limits, Record
from store.records import Arrival, Reader

TOPIC = "stripe.events"
GROUP = "billing.books"
FIRST_SECOND = 1_790_000_000
LIMITS = Limits(
    retry_count_max=3,
    retry_pause_seconds_max=0.05,
    retry_seconds_max=1.0,
    parked_ratio_max=0.5,
    parked_roots_max=20,
    parked_window=1_000,
)


async def billing(*arguments: str) -> Result:
    """What `billing ARGUMENTS` does.  In a thread: it has an event loop of its own, and so has the test."""
    return await asyncio.to_thread(CliRunner().invoke, cli.app(), list(arguments))


async def billing_json(*arguments: str) -> Any:
    """What `billing ARGUMENTS --json` says, exit status aside."""
    answer = await billing(*arguments, "--json")
    return json.loads(answer.stdout)


class CatalogOfABadRelease(Catalog):
    """Our own bug: this release cannot look up one price, whatever else it does right."""

    def offer(
        self, *, lookup_key: str | None, price_id: str, plan_hint: str | None, interval: str | None
    ) -> Offer | None:
        if lookup_key == "high_monthly":
            raise KeyError("the customer's secret")
        return super().offer(lookup_key=lookup_key, price_id=price_id, plan_hint=plan_hint, interval=interval)


class ReaderOfABadRelease(Reader):
    """Our own bug: this release takes one price for nonsense, whatever else it reads right."""

    def read(self, record: Record) -> Arrival:
        arrival = super().read(record)
        if b"high_monthly" not in arrival.body:
            return arrival
        return structs.replace(arrival, fact=None, trouble="unreadable body: a price of the future")


class NoGaps:
    """These topics have no gaps to judge."""

    async def judge(self, topic: str, partition: int, expected: int, first: int) -> Gap:
        raise AssertionError(f"no gap was made: {topic}/{partition} [{expected}, {first})")


@dataclass
class Shop:
    """Somebody whose subscribers make facts, and a worker that takes them into the books."""

    tools: Tools
    edge_keys: Keyring
    app_url: str
    next_offset: int = 0

    def record(
        self, fact_id: str, *, customer: str = "cus_1", price: str = "mid_monthly", **subscription: Any
    ) -> Record:
        """The next record of the topic: a subscription that was updated in the second of its offset."""
        offset, self.next_offset = self.next_offset, self.next_offset + 1
        second = FIRST_SECOND + offset
        body = _event(fact_id, second, customer, price, subscription)
        envelope = Envelope(
            source=Source.STRIPE,
            id=fact_id,
            type="customer.subscription.updated",
            subject=f"sub_of_{customer}",
            customer=customer,
            occurred_at=datetime.fromtimestamp(second, UTC),
            received_at=datetime.fromtimestamp(second, UTC),
            livemode=False,
            api_version="2024-06-20",
        )
        written = envelope.written()
        key_id, sealed = self.edge_keys.encrypt(json.dumps(body).encode(), written)
        headers = dict(headers_of(written, envelope.id, key_id))
        return Record(TOPIC, 0, offset, second * 1000, customer.encode(), sealed, headers)

    async def worker(self, *, of_a_bad_release: bool = False) -> Intake:
        """A worker that was assigned the topic's partition."""
        bad = replace(self.tools, reader=ReaderOfABadRelease(self.edge_keys))
        intake = Intake(GROUP, bad if of_a_bad_release else self.tools, LIMITS, NoGaps())
        await intake.open()
        await intake.positions({(TOPIC, 0): Bounds(0, 1_000_000)})
        return intake

    def with_a_bad_catalog(self) -> Tools:
        """The tools of a release whose code still fails."""
        return replace(self.tools, catalog=CatalogOfABadRelease.model_validate(self.tools.catalog.model_dump()))

    async def facts(self) -> dict[str, dict[str, Any]]:
        """`reports.facts` by id."""
        found = await rows(self.app_url, "SELECT * FROM reports.facts")
        return {row["fact_id"]: row for row in found}

    async def in_order(self, customer: str = "cus_1") -> list[str]:
        """The ids that a customer's account has heard, in the account's own order."""
        query = "SELECT fact_id FROM journal WHERE customer_id = %s ORDER BY account_seq"
        return [row["fact_id"] for row in await rows(self.app_url, query, customer)]


@asynccontextmanager
async def shop(app_url: str, edge_keys: Path, store_keys: Path, catalog: Path) -> AsyncIterator[Shop]:
    """A shop with an empty past."""
    settings = ToolsSettings(
        database_url=app_url, edge_keys_file=edge_keys, store_keys_file=store_keys, catalog_file=catalog
    )
    async with tools.connected(settings) as ours:
        yield Shop(ours, Keyring.from_file(edge_keys), app_url)


async def rows(url: str, query: str, *parameters: object) -> list[dict[str, Any]]:
    """What a query finds."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True, row_factory=dict_row) as connection:
        return await (await connection.execute(query.encode(), parameters)).fetchall()


async def execute(url: str, statement: str, *parameters: object) -> None:
    """Carry out a statement."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement.encode(), parameters)


def widest(lines: Iterable[str]) -> int:
    """The columns that a text needs."""
    return max((len(line.rstrip()) for line in lines), default=0)


def _event(fact_id: str, second: int, customer: str, price: str, subscription: dict[str, Any]) -> dict[str, Any]:
    item = {"price": {"id": "price_1", "lookup_key": price, "recurring": {"interval": "month"}}, "quantity": 1}
    shown = {
        "id": f"sub_of_{customer}",
        "customer": customer,
        "status": "active",
        "livemode": False,
        "cancel_at_period_end": False,
        "items": {"data": [item]},
        "current_period_start": second,
        "current_period_end": second + 2_592_000,
    }
    return {
        "id": fact_id,
        "type": "customer.subscription.updated",
        "created": second,
        "livemode": False,
        "data": {"object": shown | subscription},
    }
