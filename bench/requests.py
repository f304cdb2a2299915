"""Requests as bytes: an event and its copies, signed just before they go, in the order in which they are sent."""

import hmac
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from bench.corpus import Event

COPY_DISTANCE: Final = 97
"""So many requests later its copy follows: by then the first one is on its way into the books, or in them."""


@dataclass(frozen=True, slots=True)
class Post:
    """One request to be made: the place of its event among all events, and whether it was sent before."""

    event: int
    copy: bool
    content: Event


def with_copies(events: Iterable[Event], share: float) -> Iterator[Post]:
    """Each event once, and evenly *share* of them a second time, a little later."""
    waiting: deque[tuple[int, Post]] = deque()
    sent = 0
    for place, event in enumerate(events):
        while waiting and waiting[0][0] <= sent:
            sent += 1
            yield waiting.popleft()[1]
        sent += 1
        yield Post(place, copy=False, content=event)
        if int((place + 1) * share) > int(place * share):
            waiting.append((sent + COPY_DISTANCE, Post(place, copy=True, content=event)))
    yield from (post for _, post in waiting)


class Renderer:
    """Turns events into the bytes of a request, as Stripe would send it at this moment."""

    def __init__(self, host: str, path: str, secret: bytes, now: Callable[[], float]) -> None:
        self._now = now
        self._hmac = hmac.new(secret, digestmod=sha256)  # Copied for each body: the key is prepared once.
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nAccept: */*; q=0.5, application/xml\r\n"
            "Cache-Control: no-cache\r\nContent-Type: application/json; charset=utf-8\r\n"
            "User-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
        ).encode()

    def render(self, body: bytes) -> bytes:
        """The whole request, signed now."""
        stamp = b"%d" % int(self._now())
        signature = self._hmac.copy()
        signature.update(stamp + b".")
        signature.update(body)
        return b"%bContent-Length: %d\r\nStripe-Signature: t=%b,v1=%b\r\n\r\n%b" % (
            self._head,
            len(body),
            stamp,
            signature.hexdigest().encode(),
            body,
        )
