"""Idempotency keys as Stripe keeps them: the first answer is the answer, for a day of the world's clock.

What was begun is saved, a 500 included; what was refused before it began (a wrong parameter, a limit) is not.  They are
the account's, whichever API key it asks with: rotating that does nothing twice.
"""

from dataclasses import dataclass, field
from typing import Final

from simulator.clock import DAY_SECONDS
from simulator.refusals import Refused

KEY_LENGTH_MAX: Final = 255
KEPT_SECONDS: Final = DAY_SECONDS
KEYS_MAX: Final = 50_000


@dataclass(frozen=True, slots=True)
class Saved:
    """An answer that is given again."""

    status: int
    body: bytes
    request_id: str


@dataclass(slots=True)
class _Kept:
    since: int
    asked: str
    saved: Saved | None = None  # None while the request is in flight.


@dataclass(slots=True)
class IdempotencyKeys:
    """Every key that was used within the last day."""

    _kept: dict[str, _Kept] = field(default_factory=dict)

    def claim(self, key: str, asked: str, now: int) -> Saved | None:
        """Begin the request *asked* under *key*, or give what was answered when it came first."""
        if len(key) > KEY_LENGTH_MAX:
            raise _refused(f"Idempotency keys are {KEY_LENGTH_MAX} characters at most.", 400)
        kept = self._kept.get(key)
        if kept is None or kept.since + KEPT_SECONDS <= now:
            self._keep(key, _Kept(now, asked))
            return None
        if kept.asked != asked:
            raise _refused(
                "Keys for idempotent requests can only be used with the same parameters they were first used with. Try "
                f"using a key other than '{key}' if you meant to execute a different request.",
                400,
            )
        if kept.saved is None:
            raise _refused(
                "There is currently another in-progress request using this Idempotent Key (that probably means you "
                f"submitted twice, and the other request is still going through): {key}. Please try again later.",
                409,
                "idempotency_key_in_use",
            )
        return kept.saved

    def _keep(self, key: str, kept: _Kept) -> None:
        self._kept.pop(key, None)
        self._kept[key] = kept
        if len(self._kept) > KEYS_MAX:
            del self._kept[next(iter(self._kept))]  # The oldest: they lie in the order in which they came.

    def save(self, key: str, saved: Saved) -> None:
        """Keep the answer of a request that was begun."""
        kept = self._kept.get(key)
        if kept:  # Nobody waits so long that it was forgotten meanwhile; but if somebody does, there is no harm.
            kept.saved = saved

    def release(self, key: str) -> None:
        """Forget a key whose request never began."""
        kept = self._kept.get(key)
        if kept and kept.saved is None:
            del self._kept[key]


def _refused(message: str, status: int, code: str | None = None) -> Refused:
    return Refused(message, type="idempotency_error", code=code, status=status)
