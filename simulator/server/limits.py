"""How fast one may ask: a bucket of tokens that fills by the wall clock.  Time comes in."""

from collections.abc import Callable
from typing import Final

SANDBOX_RATE_PER_SECOND: Final = 25.0
"""Stripe's limit in a sandbox; live mode has 100."""


class Bucket:
    """Lets through *rate_per_second* in the long run, and one second's worth at once.  A rate of 0 lets all through."""

    def __init__(self, rate_per_second: float, monotonic: Callable[[], float]) -> None:
        self._rate = rate_per_second
        self._monotonic = monotonic
        self._tokens = rate_per_second
        self._since = monotonic()

    def lets_through(self) -> bool:
        """Whether one more may pass now; it has, then."""
        if not self._rate:
            return True
        now = self._monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._since) * self._rate)
        self._since = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
