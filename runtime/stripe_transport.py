"""How the `stripe` library's requests travel: over aiohttp, which is here already, and so that we know what was sent.

The library brings an aiohttp client of its own.  It does not say whether a request that failed had been sent, which is
all the difference between "again" and "unknown"; it leaves a connection to the garbage collector when its caller runs
out of time; and it waits for 80 s.  So this is one of ours, in the place that the library has for it.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Final

import stripe
from aiohttp import (
    ClientConnectionError,
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    TCPConnector,
)

CONNECTIONS_MAX: Final = 32
CONNECT_SECONDS_MAX: Final = 3.0
KEEP_ALIVE_SECONDS: Final = 30.0

Answer = tuple[bytes, int, Mapping[str, str]]


class Disconnected(stripe.APIConnectionError):
    """There is no answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)  # type: ignore[no-untyped-call]  # The library's own.


class NotSent(Disconnected):
    """There was no connection, so Stripe cannot have heard of it."""


class Transport(stripe.HTTPClient):
    """The library's HTTP client.  It never asks twice by itself: who does, and when, is `StripeClient`'s to say."""

    name: ClassVar[str] = "aiohttp"

    def __init__(self) -> None:
        super().__init__()
        self._session: ClientSession | None = None

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | None = None
    ) -> Answer:
        """Stripe's answer, whatever it is.  Raises NotSent, or Disconnected when it may have been heard."""
        try:
            asking = self._opened().request(method, url, headers=headers, data=post_data, allow_redirects=False)
            async with asking as response:
                return await response.read(), response.status, response.headers
        except (ClientConnectorError, ConnectionTimeoutError) as error:
            raise NotSent(type(error).__name__) from error
        except (ClientError, OSError) as error:
            raise Disconnected(type(error).__name__) from error

    async def close_async(self) -> None:
        """Close the connections."""
        if self._session is not None:
            session, self._session = self._session, None
            with suppress(ClientConnectionError):
                await session.close()

    def _opened(self) -> ClientSession:
        """The session, made on the loop that uses it.  How long an answer may take is the caller's to say."""
        if self._session is None:
            self._session = ClientSession(
                connector=TCPConnector(limit=CONNECTIONS_MAX, keepalive_timeout=KEEP_ALIVE_SECONDS),
                timeout=ClientTimeout(total=None, sock_connect=CONNECT_SECONDS_MAX),
            )
        return self._session

    def sleep_async(self, secs: float) -> Any:
        """The library's own pauses are never used."""
        raise AssertionError(f"a pause of {secs} s is not the library's to make")
