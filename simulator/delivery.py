"""One webhook by hand: signed now, and posted once, as Stripe would."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import aiohttp

from simulator.signing import signature_header

Now = Callable[[], float]
"""Wall time in seconds since 1970: signatures speak of it.  It comes in, like everything else."""

HEADERS: Final = {
    "Accept": "*/*; q=0.5, application/xml",
    "Cache-Control": "no-cache",
    "Content-Type": "application/json; charset=utf-8",
    "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
}
ANSWER_SECONDS_MAX: Final = 10.0


@dataclass(frozen=True, slots=True)
class Try:
    """One post, and what came back: a status and its text, or the error that kept it away."""

    sent_at: float
    answered_at: float
    status: int | None
    text: str = ""
    error: str | None = None

    @property
    def accepted(self) -> bool:
        """Whether the endpoint took the event: any 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004  HTTP's own numbers.


async def post(url: str, secret: str, body: bytes, now: Now) -> Try:
    """Sign *body* and post it to *url*."""
    sent_at = now()
    headers = HEADERS | {"Stripe-Signature": signature_header(body, (secret,), int(sent_at))}
    status, error, text = None, None, ""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)) as session:
        try:
            async with session.post(url, data=body, headers=headers) as answer:
                status, text = answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError) as failure:
            error = type(failure).__name__
    return Try(sent_at, now(), status, text, error)
