"""Builders for tests of the store: facts as Stripe tells them, and a bench with a real database to take them on."""

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row

from models.base import Envelope, Source, headers_of
from models.catalog import Catalog
from runtime import clock
from runtime.failpoints import Failpoints
from runtime.keys import Keyring
from store import catalog
from store.apply import Tools
from store.intake import Bounds, Gap, GapJudge, Intake, Limits, Record
from store.positions import TopicPartition
from store.postgres import Database
from store.records import Reader

GROUP = "billing.books"
TOPIC = "stripe.events"
NOW = 1_790_000_000
OLD = "2024-06-20"
NEW = "2025-03-31.basil"
MONTH_SECONDS = 2_592_000
CATALOG = catalog.read(Path(__file__).parent.parent / "deploy" / "catalog.yaml")
PATIENT = Limits(
    retry_count_max=3,
    retry_pause_seconds_max=0.01,
    retry_seconds_max=20.0,
    parked_ratio_max=1.0,
    parked_roots_max=1_000,
    parked_window=1_000,
)
WARY = replace(PATIENT, parked_ratio_max=0.05, parked_roots_max=20)
"""As in production: above 5 % and 20 roots of the last 1,000 we are the bug."""

TABLES: dict[str, LiteralString] = {
    "customers": "SELECT * FROM customers ORDER BY customer_id",
    "accounts": "SELECT * FROM accounts ORDER BY account_id",
    "subscriptions": "SELECT * FROM subscriptions ORDER BY subscription_id",
    "versions": "SELECT * FROM subscription_versions ORDER BY subscription_id, ended, occurred_at, ordinal",
    "objects": "SELECT * FROM stripe_objects ORDER BY object_id",
    "object_versions": "SELECT * FROM stripe_object_versions ORDER BY object_id, ended, occurred_at, ordinal",
    "payments": "SELECT * FROM payments ORDER BY payment_id",
    "waiting": "SELECT * FROM waiting_facts ORDER BY source, fact_id",
    "journal": "SELECT * FROM journal ORDER BY account_id, account_seq, fact_id",
    "outbox": "SELECT * FROM outbox ORDER BY outbox_id",
    "sequences": "SELECT * FROM outbox_sequences ORDER BY account_id, topic",
    "inbox": "SELECT * FROM inbox ORDER BY source, fact_id",
    "parked": "SELECT * FROM parked_facts ORDER BY parked_id",
    "copies": "SELECT * FROM conflicting_copies ORDER BY source, fact_id, slice_sha256",
    "positions": "SELECT * FROM consumer_positions ORDER BY consumer_group, topic, partition",
}
VOLATILE = frozenset(
    {
        "committed_at",
        "written_at",
        "parked_at",
        "seen_at",
        "sent_at",
        "waiting_since",
        "outbox_id",
        "parked_id",
        "sealed",
        "key_id",
    }
)
"""Columns that hold the wall clock, a counter that never goes back, or chance."""

WIPE: LiteralString = """
    DELETE FROM subscriptions; DELETE FROM subscription_versions; DELETE FROM customers; DELETE FROM accounts;
    DELETE FROM journal; DELETE FROM outbox; DELETE FROM unsent_events; DELETE FROM outbox_sequences;
    DELETE FROM inbox; DELETE FROM parked_facts;
    DELETE FROM stripe_objects; DELETE FROM stripe_object_versions; DELETE FROM payments; DELETE FROM waiting_facts;
    DELETE FROM conflicting_copies; DELETE FROM consumer_positions; DELETE FROM intake_stops;
    DELETE FROM alarms; DELETE FROM bookmarks; DELETE FROM go_live
"""
FINGERPRINT: LiteralString = """
    SELECT md5(concat(
        ARRAY(SELECT t::text FROM customers AS t ORDER BY 1), ARRAY(SELECT t::text FROM accounts AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM subscriptions AS t ORDER BY 1), ARRAY(SELECT t::text FROM journal AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM subscription_versions AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM outbox AS t ORDER BY 1), ARRAY(SELECT t::text FROM unsent_events AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM outbox_sequences AS t ORDER BY 1), ARRAY(SELECT t::text FROM inbox AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM parked_facts AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM stripe_objects AS t ORDER BY 1), ARRAY(SELECT t::text FROM payments AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM stripe_object_versions AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM waiting_facts AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM intake_stops AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM conflicting_copies AS t ORDER BY 1),
        ARRAY(SELECT t::text FROM consumer_positions AS t ORDER BY 1))) AS print
"""

Json = dict[str, Any]
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Told:
    """One event as Stripe told it: the envelope that the edge made of it, and the bytes as signed."""

    envelope: Envelope
    body: bytes

    @property
    def id(self) -> str:
        return self.envelope.id


def subscription(
    *,
    sid: str = "sub_1",
    customer: str = "cus_1",
    account: str | None = None,
    status: str = "active",
    lookup_key: str = "mid_monthly",
    quantity: object = 1,
    start: int = NOW,
    api_version: str = OLD,
    **more: object,
) -> Json:
    """A subscription in the shape of *api_version*: before basil the period is its own, since then its items'."""
    period = {"current_period_start": start, "current_period_end": start + MONTH_SECONDS}
    item: Json = {"price": {"id": f"price_{lookup_key}", "lookup_key": lookup_key, "recurring": {"interval": "month"}}}
    item["quantity"] = quantity
    return {
        "id": sid,
        "customer": customer,
        "status": status,
        "livemode": False,
        "metadata": {"account_id": account} if account else {},
        "cancel_at_period_end": False,
        "items": {"data": [item | period if api_version == NEW else item]},
        **({} if api_version == NEW else period),
        **more,
    }


def told(
    kind: str,
    obj: Json,
    *,
    created: int = NOW,
    event_id: str = "evt_1",
    previous: Json | None = None,
    api_version: str = OLD,
    **rendering: object,
) -> Told:
    """The event of *kind* that shows *obj*; *rendering* is what a copy may lawfully differ in."""
    data = {"object": obj} | ({"previous_attributes": previous} if previous is not None else {})
    event = {"id": event_id, "type": kind, "created": created, "api_version": api_version, "livemode": False}
    envelope = Envelope(
        source=Source.STRIPE,
        id=event_id,
        type=kind,
        subject=obj["id"],
        customer=obj["id"] if kind.startswith("customer.") and "customer" not in obj else obj.get("customer"),
        account=obj.get("metadata", {}).get("account_id"),
        occurred_at=datetime.fromtimestamp(created, UTC),
        received_at=datetime.fromtimestamp(created + 1, UTC),
        api_version=api_version,
        livemode=False,
    )
    return Told(envelope, json.dumps(event | {"data": data} | rendering).encode())


def changed(
    event_id: str, created: int = NOW, *, kind: str = "updated", previous: Json | None = None, **obj: Any
) -> Told:
    """A `customer.subscription.*` event; the keywords are those of `subscription`."""
    api_version = obj.get("api_version", OLD)
    return told(
        f"customer.subscription.{kind}",
        subscription(**obj),
        created=created,
        event_id=event_id,
        previous=previous,
        api_version=api_version,
    )


def refused_by_postgres(event_id: str, created: int = NOW, **obj: Any) -> Told:
    """A fact that every check of ours passes and no text column takes: an interval with a NUL character in it."""
    price = {"id": "price_1", "lookup_key": "unheard_of", "recurring": {"interval": "mon\0th"}}
    return changed(event_id, created, items={"data": [{"price": price, "quantity": 1}]}, **obj)


def customer(
    event_id: str,
    created: int = NOW,
    *,
    kind: str = "updated",
    customer_id: str = "cus_1",
    account: str | None = None,
) -> Told:
    """A `customer.*` event, with the platform's name for the account or without."""
    obj = {"id": customer_id, "metadata": {"account_id": account} if account else {}}
    return told(f"customer.{kind}", obj, created=created, event_id=event_id)


class Judge:
    """Says the same of every gap, and remembers what it was asked."""

    def __init__(self, verdict: Gap = Gap.SKIPPED) -> None:
        self.verdict = verdict
        self.asked: list[tuple[str, int, int, int]] = []

    async def judge(self, topic: str, partition: int, expected: int, first: int) -> Gap:
        self.asked.append((topic, partition, expected, first))
        return self.verdict


class CannotRead(RuntimeError):
    """A bug of ours, put in on purpose."""


class BrokenCatalog:
    """The catalog, but for prices that make us stumble."""

    def __init__(self, *lookup_keys: str) -> None:
        self.lookup_keys = set(lookup_keys)

    def offer(self, *, lookup_key: str | None, **others: Any) -> Any:
        if lookup_key in self.lookup_keys:
            raise CannotRead(lookup_key)
        return CATALOG.offer(lookup_key=lookup_key, **others)


@dataclass
class Bench:
    """A migrated database of one test's own, keys, and the way in."""

    app_url: str
    superuser_url: str
    folder: Path
    edge_keys: Keyring
    store_keys: Keyring
    superuser: "psycopg.Connection[dict[str, Any]]"
    database: Database
    stack: AsyncExitStack
    ends: dict[TopicPartition, int] = field(default_factory=dict)

    def tools(
        self, *, database: Database | None = None, catalog: Any = CATALOG, edge_keys: Keyring | None = None
    ) -> Tools:
        assert isinstance(catalog, (Catalog, BrokenCatalog))
        return Tools(
            database or self.database,
            catalog,  # type: ignore[arg-type]  # A catalog with holes in it is one, as far as `offer` goes.
            Reader(edge_keys or self.edge_keys),
            self.store_keys,
            Failpoints(None),
        )

    async def intake(
        self,
        tools: Tools | None = None,
        *,
        limits: Limits = PATIENT,
        judge: GapJudge | None = None,
        partitions: Iterable[int] = (0,),
    ) -> Intake:
        """An intake that is open and has its positions."""
        intake = Intake(GROUP, tools or self.tools(), limits, judge or Judge())
        await intake.open()
        await intake.positions({(TOPIC, partition): Bounds(0, 1_000_000) for partition in partitions})
        return intake

    async def other_database(self, **options: Any) -> Database:
        """Connections of their own to the same database."""
        return await self.stack.enter_async_context(Database(self.app_url, application_name="another", **options))

    def record(self, one: Told, offset: int, partition: int = 0) -> Record:
        """What Kafka holds of an event: sealed, with the envelope in its headers."""
        written = one.envelope.written()
        key_id, sealed = self.edge_keys.encrypt(one.body, written)
        headers = dict(headers_of(written, one.envelope.id, key_id))
        return Record(TOPIC, partition, offset, one_second(one), b"key", sealed, headers)

    def records(self, tolds: Sequence[Told], *, partition: int = 0) -> list[Record]:
        """The events at the end of a partition's log, one offset after the other."""
        first = self.ends.get((TOPIC, partition), 0)
        self.ends[TOPIC, partition] = first + len(tolds)
        return [self.record(one, first + place, partition) for place, one in enumerate(tolds)]

    def sql(self, query: LiteralString, parameters: Mapping[str, Any] | None = None) -> Rows:
        """Rows as a superuser sees them."""
        cursor = self.superuser.execute(query, parameters)
        return cursor.fetchall() if cursor.description else []

    def table(self, name: str) -> Rows:
        """A table's rows in order, without what the wall clock and chance put there."""
        return [{key: value for key, value in row.items() if key not in VOLATILE} for row in self.sql(TABLES[name])]

    def tables(self, *, but: Iterable[str] = ()) -> dict[str, Rows]:
        """All that is in the database."""
        return {name: self.table(name) for name in TABLES if name not in set(but)}

    def fingerprint(self) -> str:
        """Changes with anything in the database."""
        return str(self.sql(FINGERPRINT)[0]["print"])

    def wipe(self) -> None:
        """Begin anew: an empty database and an empty log."""
        self.sql(WIPE)
        self.ends.clear()


def one_second(one: Told) -> int:
    return int(one.envelope.received_at.timestamp() * 1000)


@asynccontextmanager
async def bench_on(app_url: str, superuser_url: str, folder: Path) -> AsyncIterator[Bench]:
    """A bench on a migrated database; its connections are closed at the end."""
    keys = [folder / "edge.json", folder / "store.json"]
    for file in keys:
        Keyring.generate(file, clock.now())
    edge, store = (Keyring.from_file(file) for file in keys)
    async with AsyncExitStack() as stack:
        superuser = stack.enter_context(psycopg.connect(superuser_url, autocommit=True, row_factory=dict_row))
        database = await stack.enter_async_context(Database(app_url, application_name="tests"))
        yield Bench(app_url, superuser_url, folder, edge, store, superuser, database, stack)
