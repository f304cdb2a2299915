"""A door to knock at: the real process, on a real Kafka, with limits that a test can wait for."""

import asyncio
import hashlib
import hmac
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from models.base import Envelope
from models.topics import STRIPE_EVENTS
from ops.local import ports
from runtime.keys import Keyring

SECRET = "whsec_0123456789abcdef0123456789abcdef"
OTHER_SECRET = "whsec_fedcba9876543210fedcba9876543210"
START_SECONDS_MAX = 30.0
MIB = 1024 * 1024


def sign(body: bytes, secret: str = SECRET, at: float | None = None) -> str:
    """The header as Stripe writes it; a signature of our own making, so that the checker judges itself by nobody."""
    timestamp = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), b"%d.%s" % (timestamp, body), hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def event(event_id: str, size: int = 0, **fields: object) -> bytes:
    """An event of Stripe's, at least *size* bytes long."""
    said = {
        "id": event_id,
        "object": "event",
        "api_version": "2025-03-31.basil",
        "created": 1_767_225_600,
        "data": {"object": {"id": "sub_1", "object": "subscription", "customer": "cus_1", "metadata": {"pad": ""}}},
        "livemode": False,
        "type": "customer.subscription.updated",
        **fields,
    }
    body = json.dumps(said)
    return body.replace('"pad": ""', f'"pad": "{"x" * max(0, size - len(body))}"').encode()


def mutated(body: bytes, chance: random.Random) -> bytes:
    """The *body* with a few bytes lost, added or changed."""
    changed = bytearray(body)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(changed))
        changed[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    return bytes(changed)


@dataclass
class Door:
    """One or more processes of the ingress that share a port."""

    processes: list[subprocess.Popen[bytes]]
    port: int
    keys: Path
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks/stripe"

    @property
    def rss_bytes(self) -> int:
        return sum(psutil.Process(process.pid).memory_info().rss for process in self.processes)

    def wait_until_open(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while self.log.read_text().count("the door is open") < len(self.processes):
            assert all(process.poll() is None for process in self.processes), self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.02)

    def close(self) -> list[int]:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        return [process.wait(20) for process in self.processes]


def open_door(home: Path, bootstrap_servers: str, processes: int = 1, **settings: str) -> Door:
    """The door as an operator starts it, by its command and the environment alone."""
    port = ports.free_port()
    keys, log = home / "edge.json", home / f"ingress-{port}.log"
    if not keys.exists():
        Keyring.generate(keys, datetime.now(UTC))
    environment = {
        "PATH": os.environ["PATH"],
        "BILLING_ENVIRONMENT": "test",
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
        "STRIPE_WEBHOOK_SECRETS": SECRET,
        "EDGE_KEYS_FILE": str(keys),
        "INGRESS_PORT": str(port),
        **settings,
    }
    command = [sys.executable, "-m", "ingress.webhook"]
    with log.open("ab") as out:
        started = [subprocess.Popen(command, env=environment, stderr=out) for _ in range(processes)]
    door = Door(started, port, keys, log)
    door.wait_until_open()
    return door


async def provision(bootstrap_servers: str) -> None:
    """The topic, once."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        if STRIPE_EVENTS.name not in await admin.list_topics():
            await admin.create_topics([NewTopic(STRIPE_EVENTS.name, 3, 1)])
    finally:
        await admin.close()


async def post(session: aiohttp.ClientSession, door: Door, body: bytes, signature: str | None = None, **kw: Any) -> int:
    """The status that a signed *body* is answered with."""
    headers = {"Stripe-Signature": sign(body) if signature is None else signature, **kw.pop("headers", {})}
    async with session.post(door.url, data=body, headers=headers, **kw) as answer:
        assert await answer.read() == b"", "the door says nothing but a number"
        return answer.status


async def ready(session: aiohttp.ClientSession, door: Door) -> None:
    """Return once the door has found Kafka."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while True:
        async with session.get(f"http://127.0.0.1:{door.port}/readyz") as answer:
            if answer.status == 200:
                return
        assert time.monotonic() < deadline, door.log.read_text()


@dataclass(frozen=True)
class Published:
    """A record of the topic, opened."""

    key: bytes
    envelope: Envelope
    body: bytes
    sealed: bytes
    key_id: str


async def published(bootstrap_servers: str, keys: Path, fact_ids: Iterable[str]) -> Mapping[str, Published]:
    """What the topic holds of *fact_ids*; fails when one of them does not come."""
    missing, found, keyring = set(fact_ids), {}, Keyring.from_file(keys)
    # Of no group, so it has every partition, however many there are: another test may have made the topic.
    consumer = AIOKafkaConsumer(STRIPE_EVENTS.name, bootstrap_servers=bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        while missing:
            records = await consumer.getmany(timeout_ms=10_000)
            assert records, f"{len(missing)} facts never came, such as {min(missing)}"
            for record in (record for batch in records.values() for record in batch):
                headers = dict(record.headers)
                envelope, key_id = Envelope.from_headers(headers), headers["key_id"].decode()
                if envelope.id in missing:
                    body = keyring.decrypt(key_id, record.value, headers["fact"])
                    found[envelope.id] = Published(record.key, envelope, body, record.value, key_id)
                    missing.discard(envelope.id)
    finally:
        await consumer.stop()
    return found


@asynccontextmanager
async def knock(door: Door) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection, gone at the end whatever happened."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


def head_of(door: Door, *lines: str, end: str = "\r\n") -> bytes:
    """The head of a request to the door."""
    said = ["POST /webhooks/stripe HTTP/1.1", f"Host: 127.0.0.1:{door.port}", *lines]
    return ("\r\n".join(said) + "\r\n" + end).encode()


async def metrics(client: aiohttp.ClientSession, door: Door) -> str:
    """What `/metrics` shows."""
    async with client.get(f"http://127.0.0.1:{door.port}/metrics") as answer:
        return await answer.text()


async def counted(client: aiohttp.ClientSession, door: Door, series: str) -> float:
    """The sum of the series that begin like this."""
    lines = (await metrics(client, door)).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(series))


async def until(ask: Callable[[], "asyncio.Future[object]"], wanted: object, seconds_max: float) -> None:
    """Return once what is asked for is *wanted*."""
    deadline = time.monotonic() + seconds_max
    while (got := await ask()) != wanted:
        assert time.monotonic() < deadline, f"still {got}"
