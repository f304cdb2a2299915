"""A whole pipeline under test, seen from outside: a sender that behaves as Stripe does, and a judge.

The judge shares no code with the pipeline: it reads PostgreSQL and Kafka as they are, does sets and sums, and holds
the rows to what an oracle of its own makes of the bodies that were accepted.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from psycopg.rows import dict_row

from ops import lag
from ops.local.errors import CannotStart
from ops.local.postgres import Role
from ops.local.stack import EVERYTHING, Stack
from store.postgres import Database
from tests.support_shown import HISTORY, PRESENT, lasts_of, lines_of_history, lines_of_oracle, presents_of

Body = Mapping[str, Any]
T = TypeVar("T")

SENT_TOPICS = (
    *("billing.subscriptions", "billing.payments", "billing.stripe-requests", "billing.alerts", "billing.parked"),
)
OK_MAX = 299
IDLE, START = "idle", "start"
BUSY_EVERY_SECONDS = 0.001


def subscription_event(
    event_id: str,
    *,
    created: int,
    subscription: str,
    customer: str,
    kind: str = "updated",
    status: str = "active",
    lookup_key: str = "mid_monthly",
) -> Body:
    """One event in the shape before basil, with just what the pipeline reads."""
    price = {"id": f"price_{lookup_key}", "lookup_key": lookup_key, "recurring": {"interval": "month"}}
    return {
        "id": event_id,
        "object": "event",
        "api_version": "2024-06-20",
        "type": f"customer.subscription.{kind}",
        "created": created,
        "livemode": False,
        "data": {
            "object": {
                "id": subscription,
                "object": "subscription",
                "customer": customer,
                "status": status,
                "livemode": False,
                "metadata": {},
                "cancel_at": None,
                "cancel_at_period_end": False,
                "canceled_at": None,
                "pause_collection": None,
                "trial_end": None,
                "items": {"data": [{"price": price, "quantity": 1}]},
                "current_period_start": created,
                "current_period_end": created + 2_592_000,
            }
        },
    }


async def until(seen: Callable[[], Awaitable[T]], seconds_max: float, what: str) -> T:
    """The first truthy thing that *seen* gives; fails with *what* when it takes too long."""
    ends = time.monotonic() + seconds_max
    while not (found := await seen()):
        assert time.monotonic() < ends, f"not within {seconds_max} s: {what}"
        await asyncio.sleep(0.02)
    return found


@dataclass(slots=True)
class Pipeline:
    """A running stack, what was sent to it, and what it answered."""

    stack: Stack
    failpoints: Path
    http: aiohttp.ClientSession
    accepted: dict[str, float] = field(default_factory=dict)  # When each event had its first 2xx, in wall time.
    bodies: dict[str, Body] = field(default_factory=dict)  # The first content that was accepted under each id.

    @property
    def database_url(self) -> str:
        return self.stack.postgres.url(Role.OWNER)

    async def post(self, body: Body | bytes, *, secret: str | None = None, at: int | None = None) -> int:
        """One try, signed now; the status, or 0 when there was no answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        stamp = int(time.time()) if at is None else at
        key = (self.stack.webhook_secret if secret is None else secret).encode()
        signature = hmac.new(key, f"{stamp}.".encode() + raw, hashlib.sha256).hexdigest()
        headers = {"Stripe-Signature": f"t={stamp},v1={signature}"}
        try:
            async with self.http.post(self.stack.webhook_url, data=raw, headers=headers) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def deliver(self, body: Body) -> None:
        """Try until it is accepted, signed anew each time, as Stripe does over three days."""

        async def once() -> bool:
            return 0 < await self.post(body) <= OK_MAX

        await until(once, 60, f"{body['id']} is accepted")
        self.has_accepted(body)

    def has_accepted(self, body: Body, at: float | None = None) -> None:
        """Remember an event that had its 2xx; of two contents under one id the first counts."""
        self.accepted.setdefault(str(body["id"]), time.time() if at is None else at)
        self.bodies.setdefault(str(body["id"]), body)

    async def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        async with await psycopg.AsyncConnection.connect(self.database_url, row_factory=dict_row) as connection:
            return await (await connection.execute(query, parameters)).fetchall()

    async def known(self, fact_ids: Iterable[str]) -> bool:
        """Whether each of these has been heard or parked."""
        wanted = list(fact_ids)
        found = await self.rows("SELECT fact_id FROM reports.facts WHERE fact_id = ANY(%(wanted)s)", wanted=wanted)
        return {row["fact_id"] for row in found} == set(wanted)

    async def drained(self, seconds_max: float = 60) -> None:
        """All that was accepted is in, and all that is to be said is said."""

        async def all_in() -> bool:
            try:
                if not await self.known(self.accepted):
                    return False
                return not await self.rows("SELECT 1 FROM unsent_events LIMIT 1")
            except psycopg.OperationalError:  # The server itself may be what was killed.
                return False

        await until(all_in, seconds_max, "the pipeline is drained")

    async def at_rest(self, seconds_max: float = 90) -> None:
        """All is heard, every question to Stripe is answered, and nobody waits: two looks in a row."""
        looks: list[bool] = []

        async def at_rest() -> bool:
            asked = await self._unread("billing.stripe-requests", "billing.stripe-requests")
            async with Database(self.database_url, application_name="test") as database:
                behind = await lag.measure(self.stack.kafka_options, database)
            waits = await self.rows("SELECT 1 FROM waiting_facts LIMIT 1")
            looks.append(not asked and not behind.exceeds(0, None) and not waits)
            return looks[-2:] == [True, True]

        await until(at_rest, seconds_max, "the pipeline is at rest")

    async def _unread(self, group: str, topic: str) -> int:
        """How many records of a topic a group of Kafka's own has still to read."""
        consumer = AIOKafkaConsumer(topic, group_id=None, **self.stack.kafka_options)
        admin = AIOKafkaAdminClient(**self.stack.kafka_options)
        await consumer.start()
        await admin.start()
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            taken = await admin.list_consumer_group_offsets(group)
            return sum(end - taken[part].offset if part in taken else end for part, end in ends.items())
        finally:
            await admin.close()
            await consumer.stop()

    def arm(self, failpoint: str) -> None:
        (self.failpoints / failpoint).touch()

    async def fired(self, failpoint: str) -> None:
        async def gone() -> bool:
            return not (self.failpoints / failpoint).exists()

        await until(gone, 20, f"{failpoint} is reached")
        self._deaths_were_wanted()

    async def died_at(self, failpoint: str) -> tuple[str, int]:
        """Who died at an armed failpoint, and the process id that it had; another one is in its place."""
        before = {child.name: child.pid for child in self.stack.supervisor.children}
        self.arm(failpoint)
        await self.fired(failpoint)

        async def replaced() -> list[str]:
            return [child.name for child in self.stack.supervisor.children if child.pid != before[child.name]]

        (name,) = await until(replaced, 30, f"who died at {failpoint} is brought back")
        return name, before[name]

    async def all_ready(self) -> None:
        for child in self.stack.supervisor.children:
            await until(partial(self._is_ready, child.name), 60, f"{child.name} is ready")

    async def _is_ready(self, name: str) -> bool:
        """Ready, even if it has just died and is about to be brought back."""
        try:
            await self.stack.ready(name)
        except CannotStart:
            return False
        return True

    async def ended(self, name: str, pid: int) -> None:
        """The process that was *name* is gone, and another one is in its place."""

        async def replaced() -> bool:
            return self.stack.supervisor.pid(name) != pid

        await until(replaced, 30, f"{name} is brought back")
        self._deaths_were_wanted()

    def _deaths_were_wanted(self) -> None:
        """The supervisor gives up on what dies again and again; what a test kills it shall not count."""
        for watched in self.stack.supervisor._watched.values():
            watched.deaths.clear()

    def phase_of(self, pid: int) -> str:
        """The failpoint that a process has reached and not left behind; "idle" between two, "start" before any."""
        trace = self.failpoints / f"reached.{pid}"
        return (trace.read_text().strip() if trace.exists() else "") or START

    async def busy(self, pid: int, seconds_max: float) -> None:
        """Back as soon as a process is between two of its failpoints, or after *seconds_max*."""
        for _ in range(round(seconds_max / BUSY_EVERY_SECONDS)):
            if self.phase_of(pid) not in {IDLE, START}:
                return
            await asyncio.sleep(BUSY_EVERY_SECONDS)

    async def check(self) -> None:
        """I3, I4, I5, I7 and I9, on everything since the stack began."""
        await self.check_all_but_state()
        await self._state_is_the_oracles_fold()

    async def check_all_but_state(self) -> None:
        """I3, I5, I7 and I9: for who knows better than the accepted events what the state is to be."""
        await self._every_fact_once()
        await self._journal_is_gapless()
        await self._everything_said_in_order()

    async def _every_fact_once(self) -> None:
        facts = [row["fact_id"] for row in await self.rows("SELECT fact_id FROM reports.facts")]
        assert len(facts) == len(set(facts)), "a fact has two rows"
        assert set(self.accepted) <= set(facts), f"lost: {set(self.accepted) - set(facts)}"
        inbox = {row["fact_id"] for row in await self.rows("SELECT fact_id FROM inbox")}
        assert inbox == set(facts), "the inbox and the reports differ"
        heard = await self.rows("SELECT fact_id FROM journal WHERE slice::jsonb -> 'after' IS NOT NULL")
        versions = await self.rows(
            "SELECT fact_id FROM subscription_versions UNION ALL SELECT fact_id FROM stripe_object_versions"
        )
        assert sorted(row["fact_id"] for row in heard) == sorted(row["fact_id"] for row in versions), "effects differ"

    async def _state_is_the_oracles_fold(self) -> None:
        """Of everything accepted but what is parked: rows, versions and their order, value by value."""
        assert set(self.bodies) == set(self.accepted), "an event was accepted whose body nobody noted"
        parked = {row["fact_id"] for row in await self.rows("SELECT fact_id FROM parked_facts")}
        expected = lines_of_oracle(dict(body) for name, body in self.bodies.items() if name not in parked)
        presents, lines = presents_of(await self.rows(PRESENT)), lines_of_history(await self.rows(HISTORY))
        assert lines == expected, "the history is not the oracle's"
        assert presents == lasts_of(expected), "the present is not the last version"

    async def _journal_is_gapless(self) -> None:
        seqs = defaultdict(list)
        for row in await self.rows("SELECT account_id, account_seq FROM journal WHERE account_id IS NOT NULL"):
            seqs[row["account_id"]].append(row["account_seq"])
        lasts = {row["account_id"]: row["last_seq"] for row in await self.rows("SELECT * FROM accounts")}
        for account_id, found in seqs.items():
            assert sorted(found) == list(range(1, lasts[account_id] + 1)), f"{account_id}: {sorted(found)}"

    async def _everything_said_in_order(self) -> None:
        outbox = await self.rows("SELECT event_id, sent_at FROM outbox")
        assert all(row["sent_at"] for row in outbox), "a relay of the release before would send it again"
        assert not await self.rows("SELECT outbox_id FROM unsent_events"), "something is not said"
        said = await self.said()
        unheard = {row["event_id"] for row in outbox} - {one.id for one in said}
        assert not unheard, f"taken for sent and not in Kafka: {unheard}"
        assert {one.id for one in said} <= {row["event_id"] for row in outbox}, "Kafka has what nobody decided"
        assert len(outbox) == len({row["event_id"] for row in outbox}), "one event was decided twice"
        heard: dict[str, None] = {}
        orders: dict[tuple[str, str], list[int]] = defaultdict(list)
        for one in said:
            if one.id not in heard and one.sequence is not None:
                orders[one.topic, one.account].append(one.sequence)
            heard[one.id] = None
        for at, order in orders.items():
            if at[0] != "billing.alerts":  # Keyed by rule: an account's alerts lie in several partitions.
                assert order == list(range(1, len(order) + 1)), f"{at}: {order}"

    async def said(self) -> list["Message"]:
        """Every message of our topics, from the beginning to the end of now, partition by partition."""
        servers = self.stack.kafka.bootstrap_servers
        parts = await _partitions(servers)
        consumer = AIOKafkaConsumer(bootstrap_servers=servers, enable_auto_commit=False, fetch_max_wait_ms=10)
        await consumer.start()
        try:
            consumer.assign(parts)
            return [message for part in parts async for message in _messages(consumer, part)]
        finally:
            await consumer.stop()


@dataclass(frozen=True, slots=True)
class Message:
    """What another service would have read."""

    topic: str
    id: str
    type: str
    subject: str
    account: str
    sequence: int | None
    data: Mapping[str, Any]


async def _messages(consumer: AIOKafkaConsumer, part: TopicPartition) -> AsyncIterator[Message]:
    end = (await consumer.end_offsets([part]))[part]
    consumer.seek(part, 0)
    while await consumer.position(part) < end:
        for record in (await consumer.getmany(part, timeout_ms=1_000)).get(part, []):
            headers = {name: value.decode() for name, value in record.headers}
            data = json.loads(record.value)
            yield Message(
                topic=record.topic,
                id=headers["ce_id"],
                type=headers["ce_type"],
                subject=headers["ce_subject"],
                account=data.get("account_id") or "",
                sequence=int(headers["sequence"]) if "sequence" in headers else None,
                data=data,
            )


async def _partitions(bootstrap_servers: str) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        described = await admin.describe_topics(list(SENT_TOPICS))
    finally:
        await admin.close()
    return [TopicPartition(topic["topic"], one["partition"]) for topic in described for one in topic["partitions"]]


@asynccontextmanager
async def running(
    home: Path, *, names: Sequence[str] = EVERYTHING, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Pipeline]:
    """A whole stack in *home*, with failpoints that can be armed."""
    failpoints = home / "failpoints"
    failpoints.mkdir(parents=True)
    told = {"FAILPOINTS_DIR": str(failpoints), "BILLING_ENVIRONMENT": "test"} | dict(settings or {})
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        Stack(home, names=names, settings=told, durable=False) as stack,
        aiohttp.ClientSession(timeout=timeout) as http,
    ):
        yield Pipeline(stack, failpoints, http)
