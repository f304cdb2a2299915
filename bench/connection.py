"""One HTTP connection of the generator: a plain protocol, because a client library costs more than the side it asks."""

import asyncio
from collections.abc import Callable
from typing import cast

from bench.answers import NO_ANSWER
from bench.requests import Post


class Connection(asyncio.Protocol):
    """A connection that is kept alive, with one request on it at a time."""

    def __init__(self, on_answer: Callable[["Connection", int], None]) -> None:
        self._on_answer = on_answer
        self._transport: asyncio.Transport | None = None
        self._answer = b""
        self.post: Post | None = None  # What is under way on it.
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for a request."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class.

    @property
    def open(self) -> bool:
        """Whether a request can be sent by it."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, post: Post, request: bytes, due: float) -> None:
        """Send a whole request."""
        assert self._transport is not None, "only an open connection is given work"
        self.post, self.due = post, due
        self._transport.write(request)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Read on until the answer is whole."""
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        if end and len(body) >= _content_length(head):
            self._answer = b""
            self._on_answer(self, int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        """A request that was under way has no answer."""
        del exc
        self._transport = None
        if self.post is not None:
            self._on_answer(self, NO_ANSWER)


def _content_length(head: bytes) -> int:
    _, named, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0]) if named else 0
