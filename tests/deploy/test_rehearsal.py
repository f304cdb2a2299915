import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import psycopg
import pytest
import stripe

from ops.local import ports
from ops.local.kafka import LocalKafka
from ops.local.postgres import LocalPostgres
from ops.local.waiting import until
from tests.support_compose import ONE_SHOTS, ROOT, SERVICES, environment_of, make_secrets
from tests.support_roles import run_roles_sql, start_bare

pytestmark = pytest.mark.e2e

READY_SECONDS_MAX: Final = 60
COMMITTED_SECONDS_MAX: Final = 30
IN_THE_ORDER_OF_COMPOSE: Final = (
    *("keys", "migrate", "topics"),
    *("ingress", "worker-0", "worker-1", "relay", "clock", "stripe-requests", "sweep", "platform"),
)


@dataclass(frozen=True, slots=True)
class Host:
    """A machine without an engine: the servers, the secrets, and what compose's paths and names mean on it."""

    folder: Path
    kafka: LocalKafka
    postgres: LocalPostgres

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    def environment(self, name: str) -> dict[str, str]:
        """The service's variables, with the addresses and folders of this machine for the containers' own."""
        here = {
            "kafka:9092": self.kafka.bootstrap_servers,
            "/run/secrets": str(self.secrets),
            "/run/keys": str(self.folder / "keys"),
        }
        told = environment_of(name) | {"CATALOG_FILE": str(ROOT / "deploy/catalog.yaml")}
        told |= {variable: ports.HOST for variable in ("INGRESS_HOST", "PLATFORM_HOST") if variable in told}
        open_at = ("INGRESS_PORT", "PLATFORM_PORT", "METRICS_PORT")
        told |= {variable: str(ports.free_port()) for variable in open_at if variable in told}
        for theirs, ours in here.items():
            told = {variable: value.replace(theirs, ours) for variable, value in told.items()}
        return {"PATH": os.environ["PATH"], **told}

    def command(self, name: str) -> list[str]:
        program, *words = SERVICES[name]["command"]
        return [str(Path(sys.executable).with_name(program)), *words]

    def run_once(self, name: str) -> None:
        done = subprocess.run(
            self.command(name),
            env=self.environment(name),
            cwd=self.scratch(name),
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{name}: {done.stderr}"

    def scratch(self, name: str) -> Path:
        """The folder that the image's working folder stands for: it need not hold anything."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def query(self, question: str) -> list[tuple[Any, ...]]:
        password = (self.secrets / "billing_reader_password").read_text()
        address = {"host": ports.HOST, "port": self.postgres.port, "dbname": "billing"}
        with psycopg.connect(**address, user="billing_reader", password=password) as connection:  # type: ignore[arg-type]  # A dict of two types.
            return connection.execute(question.encode()).fetchall()


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    (tmp_path / "keys").mkdir(mode=0o700)
    secrets = make_secrets(tmp_path / "secrets")
    kafka, postgres = LocalKafka(tmp_path / "kafka"), await start_bare(tmp_path / "postgres")
    await kafka.start()
    assert run_roles_sql(postgres, secrets).returncode == 0
    for url in secrets.glob("database_url_*"):
        url.chmod(0o600)
        url.write_text(url.read_text().replace("@postgres:5432/", f"@{ports.HOST}:{postgres.port}/"))
    yield Host(tmp_path, kafka, postgres)
    await kafka.stop()
    await postgres.stop()
    kafka.remove()
    postgres.remove()


def subscription_created(at: int) -> bytes:
    price = {"id": "price_1", "lookup_key": "mid_monthly", "recurring": {"interval": "month"}, "product": "prod_1"}
    item = {
        "id": "si_1",
        "price": price,
        "quantity": 1,
        "current_period_start": at,
        "current_period_end": at + 2_592_000,
    }
    subscription = {
        "id": "sub_1",
        "object": "subscription",
        "customer": "cus_1",
        "status": "active",
        "items": {"object": "list", "data": [item]},
        "cancel_at_period_end": False,
        "livemode": False,
        "metadata": {"account_id": "team-1"},
    }
    event = {
        "id": "evt_1",
        "object": "event",
        "type": "customer.subscription.created",
        "created": at,
        "livemode": False,
        "api_version": "2025-03-31.basil",
        "data": {"object": subscription},
    }
    return json.dumps(event).encode()


def signed(body: bytes, secret: str, at: int) -> dict[str, str]:
    signature = stripe.WebhookSignature._compute_signature(f"{at}.{body.decode()}", secret)
    return {"Stripe-Signature": f"t={at},v1={signature}", "Content-Type": "application/json"}


async def test_the_services_as_compose_starts_them_take_a_webhook_to_the_reports(host: Host) -> None:
    assert set(IN_THE_ORDER_OF_COMPOSE) == set(SERVICES) - {"kafka", "postgres"}
    staying: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
    try:
        for name in IN_THE_ORDER_OF_COMPOSE:
            if name in ONE_SHOTS:
                await asyncio.to_thread(host.run_once, name)
            else:
                staying[name] = start(host, name)
        async with aiohttp.ClientSession() as client:
            for process, port in staying.values():
                await until(partial(is_ready, client, process, port), READY_SECONDS_MAX)
            await deliver(client, host, staying["ingress"][1])
        present = "SELECT subscription_id, status, plan FROM reports.subscriptions"
        await until(lambda: host.query(present) == [("sub_1", "active", "mid")], COMMITTED_SECONDS_MAX)
    finally:
        for process, _ in staying.values():
            process.terminate()
        ended = {name: await asyncio.to_thread(process.wait, 30) for name, (process, _) in staying.items()}

    assert ended == dict.fromkeys(staying, 0), "asked to end, every process ends in order"


def start(host: Host, name: str) -> tuple[subprocess.Popen[bytes], int]:
    """The service's process, and the port where its probe asks."""
    told = host.environment(name)
    with (host.folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(host.command(name), env=told, cwd=host.scratch(name), stdout=log, stderr=log)
    return process, int(told.get("INGRESS_PORT") or told["METRICS_PORT"])


async def is_ready(client: aiohttp.ClientSession, process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, f"ended before it was ready: {process.args!r}"
    try:
        async with client.get(f"http://{ports.HOST}:{port}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def deliver(client: aiohttp.ClientSession, host: Host, port: int) -> None:
    at = int(time.time())
    body = subscription_created(at)
    headers = signed(body, (host.secrets / "stripe_webhook_secrets").read_text(), at)
    async with client.post(f"http://{ports.HOST}:{port}/webhooks/stripe", data=body, headers=headers) as answer:
        assert answer.status == 200
