"""Reads a request's body as far as needed, and no further: so many bytes, so long, so many bodies at once."""

import asyncio
from types import TracebackType
from typing import Final, Self

from aiohttp import HttpVersion11, web

from ingress.answers import Answer

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Bodies:
    """The bodies in hand, and what they may take together."""

    def __init__(self, bytes_max: int, together_bytes_max: int, seconds_max: float) -> None:
        self.bytes_max = bytes_max
        self.seconds_max = seconds_max
        self._together_bytes_max = together_bytes_max
        self._held_bytes = 0

    def at_first_sight(self, request: web.BaseRequest) -> Answer | None:
        """The refusal that the headers alone deserve, if any."""
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            return Answer.ENCODED
        if (request.content_length or 0) > self.bytes_max:
            return Answer.TOO_LARGE
        return None

    def holding(self) -> "Body":
        """An empty body to read into; its memory counts until the end of the block, not only until it is read."""
        return Body(self)

    def make_room(self, size: int) -> bool:
        """Whether *size* more bytes fit; if they do, they are held."""
        if self._held_bytes + size > self._together_bytes_max:
            return False
        self._held_bytes += size
        return True

    def give_back(self, size: int) -> None:
        """*size* bytes are held no more."""
        self._held_bytes -= size


class Body:
    """One body, as far as it has come.  A class that is entered and left: a generator costs twice as much."""

    def __init__(self, bodies: Bodies) -> None:
        self.held_bytes = 0
        self._bodies = bodies
        self._pieces: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bodies.give_back(self.held_bytes)

    def whole(self) -> bytes:
        """All that was read."""
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    async def read(self, request: web.BaseRequest) -> Answer | None:
        """Read all of it; the answer, if it cannot be read to its end."""
        if request.content.is_eof() and not request.content.exception():  # It came with its headers, as most do.
            return self._add(request.content.read_nowait())
        try:
            async with asyncio.timeout(self._bodies.seconds_max):
                await _invite(request)
                return await self._gather(request)
        except TimeoutError:
            return Answer.TOO_SLOW
        except (web.RequestPayloadError, ConnectionError):
            return Answer.BROKEN_HTTP

    async def _gather(self, request: web.BaseRequest) -> Answer | None:
        async for piece in request.content.iter_any():
            if refused := self._add(piece):
                return refused
        return None

    def _add(self, piece: bytes) -> Answer | None:
        if self.held_bytes + len(piece) > self._bodies.bytes_max:
            return Answer.TOO_LARGE
        if not self._bodies.make_room(len(piece)):
            return Answer.CROWDED
        self.held_bytes += len(piece)
        self._pieces.append(piece)
        return None


async def _invite(request: web.BaseRequest) -> None:
    """Tell a sender who waits to be asked that we will hear the body."""
    if request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        writer = request.writer
        await writer.write(CONTINUE)
        writer.output_size = 0  # It was no answer yet.
