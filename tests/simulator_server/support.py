"""What the tests of the pretend Stripe's API share: the real library, in front of a real server."""

from dataclasses import dataclass
from typing import Any

import aiohttp
import stripe

from ops.local.waiting import until
from simulator.server.desk import Desk

KEY = "sk_test_pretend"


@dataclass(frozen=True, slots=True)
class Pretend:
    """A server that runs, and the ways to ask it."""

    desk: Desk
    address: str
    stripe: stripe.StripeClient
    http: aiohttp.ClientSession

    async def ask(self, method: str, path: str, form: str = "", **headers: str) -> tuple[int, Any, dict[str, str]]:
        """One request without the library, and its status, body and headers."""
        known = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/x-www-form-urlencoded"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.http.request(method, path, data=form or None, headers=known | named) as answer:
            told = {name.lower(): value for name, value in answer.headers.items()}
            return answer.status, await answer.json(content_type=None), told

    async def fault(self, **rule: object) -> None:
        """Let something go wrong."""
        async with self.http.post("/_pretend/faults", json=rule) as answer:
            assert answer.status == 200, await answer.text()

    async def fate(self, kind: str, thing_id: str, deed: str, **words: object) -> Any:
        """Let a bank or a cardholder decide."""
        async with self.http.post(f"/_pretend/{kind}/{thing_id}/{deed}", json=words) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def until_struck(self) -> None:
        """Come back when a fault has struck a request."""
        await until(lambda: any(entry.fault for entry in self.desk.journal.entries), 10, every_seconds=0.001)

    async def advance(self, **how: int) -> None:
        """Let time pass."""
        async with self.http.post("/_pretend/advance", json=how) as answer:
            assert answer.status == 200, await answer.text()


def client_of(address: str, http: aiohttp.ClientSession, **options: Any) -> stripe.StripeClient:
    """The library as anybody would configure it, but that it talks to *address* and tries once."""
    return stripe.StripeClient(
        KEY,
        base_addresses={"api": address},
        http_client=stripe.AIOHTTPClient(session=http),
        max_network_retries=0,
        **options,
    )
