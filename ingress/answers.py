"""Everything that Stripe's door can answer, and the number that goes with it.

A sender hears the number and no reason: reasons help those who try keys.  We count each reason under its own name.  2xx
means one thing only, that the broker has the event; everything that is our trouble is 503, so that Stripe sends again.
"""

from enum import StrEnum
from http import HTTPStatus
from typing import Final

from aiohttp import web


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


def response(answer: Answer, retry_after_seconds: int) -> web.Response:
    """The *answer* as HTTP says it, without a body and without the name of our software."""
    status = STATUS[answer]
    headers = {"Server": "billstream"}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(retry_after_seconds)
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = "POST"
    return web.Response(status=status, headers=headers)
