"""The stage: a pretend Stripe at an address, asked through the `stripe` library as a platform would, and its pages."""

from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import stripe

from simulator.happenings import Json

KEY: Final = "sk_test_pretend"
HOME: Final = "https://platform.example"


class Declined(Exception):
    """Stripe, or its page, would not."""


class Stage:
    """Where a scenario is played."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._http: aiohttp.ClientSession | None = None
        self._stripe: stripe.StripeClient | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(self.address, timeout=aiohttp.ClientTimeout(total=None))
        self._stripe = stripe.StripeClient(
            KEY,
            base_addresses={"api": self.address},
            http_client=stripe.AIOHTTPClient(session=self._http),
            max_network_retries=0,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._http is not None, "it was entered"
        await self._http.close()

    async def ask(self, method: str, path: str, **params: Any) -> Json:
        """What the API answers.  Raises Declined for what it refuses."""
        assert self._stripe is not None, "it is asked while it is open"
        try:
            response = await self._stripe.raw_request_async(method, path, **params)
        except (stripe.CardError, stripe.InvalidRequestError) as refused:
            raise Declined(refused.code or refused.user_message or "refused") from None
        told: Json = response.data
        return told

    async def each(self, path: str, **params: Any) -> list[Json]:
        """The first page of a list, the newest first."""
        found: list[Json] = (await self.ask("get", path, limit=100, **params))["data"]
        return found

    async def page(self, url: str, **form: str) -> int:
        """Fill in the form of a hosted page; the status: 303 leads back to the platform."""
        assert self._http is not None, "it is asked while it is open"
        async with self._http.post(url.removeprefix(self.address), data=form, allow_redirects=False) as answer:
            return answer.status

    async def pretend(self, path: str, **words: Any) -> Any:
        """Pull one of the strings behind the stage.  Raises Declined."""
        assert self._http is not None, "it is asked while it is open"
        async with self._http.post(f"/_pretend/{path}", json=words) as answer:
            if not answer.ok:
                raise Declined(await answer.text())
            return await answer.json()

    async def now(self) -> int:
        """The world's second."""
        assert self._http is not None, "it is asked while it is open"
        async with self._http.get("/_pretend/now") as answer:
            return int((await answer.json())["now"])
