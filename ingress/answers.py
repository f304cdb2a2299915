"""Everything that Stripe's door can answer, and the number that goes with it.

A sender hears the number and no reason: reasons help those who try keys.  We count each reason under its own name.  2xx
means one thing only, that the broker has the event; everything that is our trouble is 503, so that Stripe sends again.
"""

from email.utils import formatdate
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

from runtime import clock


class Answer(StrEnum):
    """What became of a request."""

    ACCEPTED = "accepted"  # The broker has it.
    UNSIGNED = "unsigned"  # Not signed, or not believed.
    UNREADABLE = "unreadable"  # Signed, and yet no event.
    OTHER_MODE = "other_mode"  # A live event at a sandbox's door, or the reverse.
    BROKEN_HTTP = "broken_http"  # A body that breaks off or is framed wrongly.
    ENCODED = "encoded"  # Says that it is compressed.  Stripe never is; a bomb might be.
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    NO_SUCH_PLACE = "no_such_place"
    NO_SUCH_METHOD = "no_such_method"
    CROWDED = "crowded"  # The bodies in hand are as many as memory is meant to hold.
    UNACKNOWLEDGED = "unacknowledged"  # The broker did not say in time that it has it.
    OUR_BUG = "our_bug"


STATUS: Final = {
    Answer.ACCEPTED: HTTPStatus.OK,
    Answer.UNSIGNED: HTTPStatus.BAD_REQUEST,
    Answer.UNREADABLE: HTTPStatus.BAD_REQUEST,
    Answer.OTHER_MODE: HTTPStatus.BAD_REQUEST,
    Answer.BROKEN_HTTP: HTTPStatus.BAD_REQUEST,
    Answer.ENCODED: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Answer.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Answer.TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    Answer.NO_SUCH_PLACE: HTTPStatus.NOT_FOUND,
    Answer.NO_SUCH_METHOD: HTTPStatus.METHOD_NOT_ALLOWED,
    Answer.CROWDED: HTTPStatus.SERVICE_UNAVAILABLE,
    Answer.UNACKNOWLEDGED: HTTPStatus.SERVICE_UNAVAILABLE,
    Answer.OUR_BUG: HTTPStatus.SERVICE_UNAVAILABLE,
}
assert set(STATUS) == set(Answer), "every answer has its number"


class Words:
    """All that the door can say, put into bytes before anybody asks."""

    def __init__(self, retry_after_seconds: int) -> None:
        self._going_on = {answer: Said(answer, retry_after_seconds, last=False) for answer in Answer}
        self._last = {answer: Said(answer, retry_after_seconds, last=True) for answer in Answer}

    def to(self, request: web.BaseRequest, answer: Answer) -> "Said":
        """The *answer*, after which the connection is as the request wants it."""
        goes_on = request.keep_alive and request.version >= HttpVersion11
        return self._going_on[answer] if goes_on else self._last[answer]

    def last(self, answer: Answer) -> "Said":
        """The *answer*, after which the connection ends."""
        return self._last[answer]


class Said(web.StreamResponse):
    """One answer as HTTP says it (RFC 9112), without a body and without the name of our software.

    It holds nothing of any request, so that one object answers all of them; only its `Date` changes, once a second.
    aiohttp's own response takes six times as long, for headers that never differ.
    """

    def __init__(self, answer: Answer, retry_after_seconds: int, *, last: bool) -> None:
        status = STATUS[answer]
        super().__init__(status=status)
        self._last = last
        self._second = 0
        self._head = b""
        lines = [f"HTTP/1.1 {status.value} {status.phrase}", "Server: billstream", "Content-Length: 0"]
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            lines.append(f"Retry-After: {retry_after_seconds}")
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            lines.append("Allow: POST")
        if last:
            lines.append("Connection: close")
        self._lines = "\r\n".join(lines)

    @property
    def keep_alive(self) -> bool:
        """Whether another request may come by this connection."""
        return not self._last

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Say all of it: there is nothing left for `write_eof`."""
        second = int(clock.now().timestamp())
        if second != self._second:
            self._head = f"{self._lines}\r\nDate: {formatdate(second, usegmt=True)}\r\n\r\n".encode()
            self._second = second
        await request.writer.write(self._head)
        await request.writer.write_eof()
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        """It was said."""
        assert not data, "an answer has no body"
