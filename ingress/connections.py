"""Connections, none of which is held for ever, and no more of which than were meant.

aiohttp limits silence, not slowness: who sends a byte now and then may take long to finish its headers, and who never
reads keeps an answer waiting, even beyond `close()`.  Here each of the two has a limit: a timer of ours for the
headers, the kernel's for the answer.  And aiohttp, told to close, no longer hears the body of a request in hand: here
it does.  Errors below the handler are answered as barely as all others.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from aiohttp import web
from prometheus_client import Counter, Gauge

from ingress.answers import Answer, Words
from runtime.logs import get_logger
from runtime.settings import DoorSettings

IDLE_SECONDS_MAX: Final = 75.0
"""Between two requests: longer than the idle time of common load balancers (60 s), so that they hang up first."""

LINGER_SECONDS: Final = 2.0
"""How long the rest of a refused body is read and dropped, so that its sender hears the answer and not a reset."""

HEADER_BYTES_MAX: Final = 8_190

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

OPEN = Gauge("ingress_connections", "Connections that are open")
CUT = Counter("ingress_connections_cut_total", "Connections that we ended, by the limit they met", ["limit"])

log = get_logger(__name__)


class Server(web.Server):
    """Makes a `Connection` for each caller."""

    def __init__(self, handler: Handler, settings: DoorSettings) -> None:
        super().__init__(handler)
        self.settings = settings
        self.words = Words(settings.retry_after_seconds)
        self.open_count = 0
        self._in_hand = 0
        self._nothing_in_hand = asyncio.Event()
        self._nothing_in_hand.set()

    def __call__(self) -> web.RequestHandler:
        """A protocol for a new connection."""
        return Connection(self)

    def take(self, change: int) -> None:
        """Count a request into our hands, or out of them."""
        self._in_hand += change
        if self._in_hand:
            self._nothing_in_hand.clear()
        else:
            self._nothing_in_hand.set()

    async def finish(self, seconds_max: float) -> None:
        """Take no further request, and return when those in hand are answered, or are not within *seconds_max*."""
        self.pre_shutdown()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._nothing_in_hand.wait(), seconds_max)


class Connection(web.RequestHandler):
    """One caller's connection, with its limits."""

    __slots__ = ("_answering", "_counted", "_server", "_slow", "leaving")

    def __init__(self, server: Server) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=IDLE_SECONDS_MAX,
            lingering_time=LINGER_SECONDS,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp spells "no access log".
        )
        self._server = server
        self._slow: asyncio.TimerHandle | None = None
        self._answering = False
        self._counted = False
        self.leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, unless there are too many."""
        if self._server.open_count >= self._server.settings.connections_max:
            CUT.labels("count").inc()
            assert isinstance(transport, asyncio.Transport)
            transport.abort()
            return
        self._counted = True
        self._count(+1)
        self._limit_answers(transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection and its limits."""
        if not self._counted:
            return
        self._counted = False
        self._count(-1)
        self._headers_are_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The first byte of a request starts the clock for its headers, unless it brings them all, as most do."""
        super().data_received(data)
        if self._slow is None and not self._answering and not self._messages:
            limit = self._server.settings.headers_seconds_max
            self._slow = asyncio.get_running_loop().call_later(limit, self._cut, "headers")

    async def answer(self, handle: Callable[[], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        """What *handle* answers to a request whose headers are here; the clock for headers rests meanwhile."""
        self._headers_are_here()
        self._answering = True
        self._server.take(+1)
        try:
            return await handle()
        finally:
            self._answering = False
            self._server.take(-1)
            if self.leaving:
                super().close()

    def close(self) -> None:
        """Take no further request; the one in hand is still heard to its end."""
        self.leaving = True
        if not self._answering:
            super().close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The bare answer to what is not HTTP; a bug of ours is 503 and logged where it is caught, never 500."""
        del request, message
        answer = Answer.BROKEN_HTTP if status < 500 else Answer.OUR_BUG  # noqa: PLR2004  # HTTP's own border.
        log.info("not http" if answer is Answer.BROKEN_HTTP else "bug", error=type(exc).__name__)
        return self._server.words.last(answer)

    def _headers_are_here(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None

    def _cut(self, limit: str) -> None:
        CUT.labels(limit).inc()
        self.force_close()

    def _limit_answers(self, transport: asyncio.BaseTransport) -> None:
        """Have the kernel reset the connection when what we sent is not taken in time."""
        milliseconds = int(self._server.settings.answer_seconds_max * 1000)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def _count(self, change: int) -> None:
        self._server.open_count += change
        OPEN.set(self._server.open_count)


def connection_of(request: web.BaseRequest) -> Connection:
    """The connection that a request came by."""
    connection: Any = request.protocol
    assert isinstance(connection, Connection), "only our server makes our requests"
    return connection
