"""A pretend Stripe beside a stack: `python -m simulator.server`, and the strings behind its stage.

async with PretendStripe(seed=7) as pretend:
    await pretend.listen(stack.webhook_url, stack.webhook_secret)
    await pretend.advance(days=30)
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from ops.local import folders
from ops.local.errors import CannotStart

KEY: Final = "sk_test_pretend"
GOODBYE_SECONDS_MAX: Final = 10.0
WORDS_BYTES_MAX: Final = 1 << 16


class PretendStripe:
    """One that runs for as long as the block does.  *subscribers* live in it by themselves."""

    def __init__(self, seed: int, *, subscribers: int = 0, rate_per_second: float = 0) -> None:
        said = {"--seed": seed, "--subscribers": subscribers, "--rate-per-second": rate_per_second}
        self._words = [word for name, value in said.items() for word in (name, str(value))]
        self._process: asyncio.subprocess.Process | None = None
        self._http: aiohttp.ClientSession | None = None
        self.address = ""

    async def __aenter__(self) -> Self:
        command = (sys.executable, "-m", "simulator.server", *self._words)
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=PIPE, cwd=folders.PROJECT, limit=WORDS_BYTES_MAX, start_new_session=True
        )
        assert self._process.stdout is not None
        said = await self._process.stdout.readline()
        if not said:
            raise CannotStart(f"The pretend Stripe ended at once: try `{' '.join(command[1:])}` by hand.")
        self.address = json.loads(said)["address"]
        self._http = aiohttp.ClientSession(
            self.address, headers={"Authorization": f"Bearer {KEY}"}, timeout=aiohttp.ClientTimeout(total=None)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), GOODBYE_SECONDS_MAX)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()

    async def listen(self, url: str, secret: str) -> str:
        """Have everything that happens from now on sent to *url*, signed with *secret*; the endpoint's id."""
        endpoint = await self._ask("POST", "/v1/webhook_endpoints", data={"url": url, "enabled_events[]": "*"})
        await self.fate("webhook_endpoint", endpoint["id"], "take_secret", secret=secret)
        return str(endpoint["id"])

    async def fate(self, kind: str, thing_id: str, deed: str, **words: object) -> Any:
        """Let a bank, a cardholder or chance decide."""
        return await self._ask("POST", f"/_pretend/{kind}/{thing_id}/{deed}", json=words)

    async def fault(self, rule: dict[str, object]) -> None:
        """Let requests go wrong from now on, by `simulator.server.faults.Fault`; rules add up until `heal`."""
        await self._ask("POST", "/_pretend/faults", json=rule)

    async def heal(self) -> None:
        """Let all requests go well again."""
        await self._ask("DELETE", "/_pretend/faults")

    async def disturb(self, **disorder: float) -> None:
        """Let deliveries go wrong from now on, by `simulator.webhooks.Disorder`."""
        await self._ask("POST", "/_pretend/disorder", json=disorder)

    async def advance(self, **how: int) -> int:
        """Let time pass, by `seconds`, `days` or up `to` a second; the world's second then."""
        return int((await self._ask("POST", "/_pretend/advance", json=how))["now"])

    async def now(self) -> int:
        """The world's second."""
        return int((await self._ask("GET", "/_pretend/now"))["now"])

    async def counted(self) -> dict[str, int]:
        """How many events there were, and what became of their deliveries."""
        counts: dict[str, int] = await self._ask("GET", "/_pretend/deliveries/summary")
        return counts

    async def books(self) -> Any:
        """How everything truly stands, by its own books."""
        return await self._ask("GET", "/_pretend/books")

    async def tries(self, after: int = 0) -> list[dict[str, Any]]:
        """Every delivery that was tried, the oldest first."""
        tried: list[dict[str, Any]] = await self._ask("GET", f"/_pretend/deliveries?after={after}")
        return tried

    async def _ask(self, method: str, path: str, **said: Any) -> Any:
        assert self._http is not None, "it is asked while it runs"
        async with self._http.request(method, path, **said) as answer:
            if not answer.ok:
                raise CannotStart(f"The pretend Stripe says {answer.status} to {path}: {await answer.text()}")
            return await answer.json()
