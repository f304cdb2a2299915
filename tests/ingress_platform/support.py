"""A shop: the platform's door before a pretend Stripe, with real books behind it that hear what Stripe tells."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

from ingress.platform.serving import serve
from models import api_keys, envelopes
from models.api_keys import ApiKey, Scope
from models.base import Envelope
from ops.local import ports
from ops.local.waiting import until
from runtime.keys import Keyring
from runtime.settings import PlatformSettings
from simulator.catalog import stock
from simulator.shapes import render
from store import api_keys as key_rows
from tests.support_store import Bench, Told
from tests.support_stripe import KEY, Pretend

ORIGIN = "https://shop.example"
DONE = f"{ORIGIN}/done?session={{CHECKOUT_SESSION_ID}}"
BACK = f"{ORIGIN}/back"
STRIPES_VERSION = "2025-03-31.basil"
PLAN = {"plan": "mid_monthly", "success_url": DONE, "cancel_url": BACK}
PACK = {"pack": "credits_1000", "success_url": DONE, "cancel_url": BACK}

_numbers = count(1)


@cache
def port(whose: str) -> int:
    """One for all tests: they come one after the other."""
    return ports.free_port()


def new_account() -> str:
    """An account that no other test knows."""
    return f"account-{os.getpid()}-{next(_numbers)}"


@dataclass(frozen=True, slots=True)
class Said:
    """What the door answered."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def problem(self) -> str:
        """The name of the problem."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        assert set(self.body) == {"type", "title", "status", "detail", "errors", "correlation_id"}
        assert self.body["status"] == self.status
        return str(self.body["type"]).removeprefix("urn:billstream:problem:")

    @property
    def wrong(self) -> set[str]:
        """The fields that were wrong."""
        return {one["field"] for one in self.body["errors"]}


@dataclass(slots=True)
class Shop:
    """Everything that a platform's service meets, and the ways to look behind it."""

    pretend: Pretend
    bench: Bench
    address: str
    http: aiohttp.ClientSession
    token: str
    heard: int = 0

    @property
    def metrics_port(self) -> int:
        """Where the process's own health and metrics are."""
        return port("metrics")

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> Said:
        """One request.  Headers are named with underscores; one that is empty is not sent."""
        named = {"Authorization": f"Bearer {self.token}"}
        if body is not None:
            named |= {"Content-Type": "application/json", "Idempotency-Key": f"request-{next(_numbers)}"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        kept = {name: value for name, value in named.items() if value}
        async with self.http.request(method, self.address + path, data=sent, headers=kept) as answer:
            text = await answer.text()
            return Said(answer.status, json.loads(text) if text.startswith(("{", "[")) else text, answer.headers)

    async def get(self, account: str, **headers: str) -> Said:
        """The account as the door shows it."""
        return await self.ask("GET", f"/v1/accounts/{account}", **headers)

    async def post(self, account: str, what: str, body: object, **headers: str) -> Said:
        """What is asked for an account."""
        return await self.ask("POST", f"/v1/accounts/{account}/{what}", body, **headers)

    async def refund(self, payment: str, body: object, **headers: str) -> Said:
        """What is asked for a payment."""
        return await self.ask("POST", f"/v1/payments/{payment}/refunds", body, **headers)

    async def key(self, *scopes: Scope, **more: Any) -> str:
        """A new key that allows these; all of them, when none is named."""
        token, made = new_key(frozenset(scopes or Scope), **more)
        claim = api_keys.read(token)
        assert claim is not None
        await key_rows.create(self.bench.database, made, claim.secret_sha256)
        return token

    async def pay(self, url: str, card: str = "4242424242424242") -> None:
        """Pay on a page of the pretend Stripe's."""
        said = {"action": "pay", "card": card, "email": "somebody@guest.example"}
        async with self.http.post(url, data=said, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()

    async def books_hear(self) -> None:
        """Let the books hear everything that Stripe has to tell."""
        happenings = self.pretend.desk.world.happenings[self.heard :]
        self.heard += len(happenings)
        tolds = [told(render(one, STRIPES_VERSION)) for one in happenings]
        intake = await self.bench.intake()
        if tolds:
            await intake.take(self.bench.records(tolds))

    async def buy(self, account: str, what: Mapping[str, Any] = PLAN, **more: Any) -> None:
        """Buy through the door, pay at Stripe, and let the books hear of it."""
        session = await self.post(account, "checkout-sessions", {**what, **more})
        assert session.status == 201, session
        await self.pay(session.body["url"])
        await self.books_hear()

    def things(self, kind: str, account: str) -> list[Any]:
        """What the pretend Stripe has of a kind for an account."""
        return [one for one in self.pretend.things(kind) if one["metadata"].get("account_id") == account]


def told(event: dict[str, Any]) -> Told:
    """An event as the edge would take it."""
    body = json.dumps(event).encode()
    written = envelopes.read(body, datetime.now(UTC), livemode=False)
    assert isinstance(written, envelopes.Written), written
    return Told(Envelope.read(written.text), body)


def new_key(scopes: frozenset[Scope], *, livemode: bool = False, lineage: str = "", **more: Any) -> tuple[str, ApiKey]:
    """A key, and what is kept of it."""
    token = api_keys.token(os.urandom(api_keys.ID_BYTES + api_keys.SECRET_BYTES), livemode=livemode)
    claim = api_keys.read(token)
    assert claim is not None
    about = {"created_at": datetime.now(UTC) - timedelta(days=1)} | more
    key_id = claim.key_id
    return token, ApiKey(
        key_id=key_id, lineage=lineage or key_id, name="a test's", livemode=livemode, scopes=scopes, **about
    )


def settings_for(bench: Bench, pretend: Pretend, **more: Any) -> PlatformSettings:
    """What the door is told."""
    return PlatformSettings(
        **{
            "stripe_api_key": KEY,
            "stripe_api_base": pretend.address,
            "stripe_requests_per_second": 100,
            "database_url": bench.app_url,
            "store_keys_file": bench.folder / "store.json",
            "metrics_port": port("metrics"),
            "platform_port": port("door"),
            "platform_return_origins": f"{ORIGIN},http://localhost:3000",
            "key_requests_per_minute": 100_000,
            "catalog_file": Path(__file__).parents[2] / "deploy" / "catalog.yaml",
            **more,
        }
    )


@asynccontextmanager
async def shop_on(bench: Bench, pretend: Pretend, **settings: Any) -> AsyncIterator[Shop]:
    """A shop for as long as the block runs."""
    stock(pretend.desk.world)
    told_settings = settings_for(bench, pretend, **settings)
    address = f"http://127.0.0.1:{told_settings.platform_port}"
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(told_settings, stop))
    async with aiohttp.ClientSession() as http:
        shop = Shop(pretend, bench, address, http, "")
        shop.token = await shop.key()
        await until(lambda: _is_open(http, address, serving), 20, every_seconds=0.005)
        yield shop
    stop.set()
    await serving


async def _is_open(http: aiohttp.ClientSession, address: str, serving: "asyncio.Task[None]") -> bool:
    if serving.done():
        serving.result()
    try:
        async with http.get(f"{address}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


def store_keys(folder: Path) -> Keyring:
    """What seals answers."""
    return Keyring.from_file(folder / "store.json")
