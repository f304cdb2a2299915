"""Who asks: a bearer key that is valid now and allows what is asked for, and not too often."""

import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Final

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from prometheus_client import Counter

from ingress.platform.calls import Caller
from ingress.platform.problems import Problem, Word
from ingress.platform.tables import Tables
from models import api_keys
from models.api_keys import ApiKey, Claim, KeyRefusal, Scope
from runtime.logs import get_logger
from store import api_keys as rows

SCHEME: Final = "bearer"
REFUSED: Final = Counter("platform_keys_refused", "Requests without a valid key, by what was wrong with it", ["reason"])

log = get_logger(__name__)


class Callers:
    """Knows callers by their keys.  Each request asks the table, so a key that is revoked opens nothing any more."""

    def __init__(self, tables: Tables, now: Callable[[], datetime], *, livemode: bool) -> None:
        self._tables = tables
        self._now = now
        self._livemode = livemode

    async def identify(self, authorization: str | None, scope: Scope) -> Caller:
        """Who asks.  Raises a problem that says nothing of what is wrong with the key: that would help who guesses."""
        claim = _claim(authorization)
        if claim is None:
            raise _refused(KeyRefusal.UNKNOWN)
        key = await self._look_up(claim)
        if scope not in key.scopes:
            raise Problem(Word.SCOPE_MISSING, f"The key needs the scope {scope}.")
        return Caller(key.key_id, key.lineage)

    async def _look_up(self, claim: Claim) -> ApiKey:
        now = self._now()
        async with self._tables.connection() as connection:
            found = await rows.find(connection, claim.key_id)
            if found is None or not hmac.compare_digest(found[1], claim.secret_sha256):
                raise _refused(KeyRefusal.UNKNOWN)
            key = found[0]
            refusal = key.refusal(now, livemode=self._livemode)
            if refusal is not None:
                raise _refused(refusal, key.key_id)
            if key.is_to_be_marked(now):
                await rows.mark_used(connection, key.key_id, now)
        return key


class Pace:
    """How often each key may ask: so many times in any minute, in this process."""

    def __init__(self, requests_per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(requests_per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def take(self, caller: Caller, now: datetime) -> None:
        """Count one request; raises the problem that says when the next one may come."""
        if await self._limiter.hit(self._limit, caller.key_id):
            return
        window = await self._limiter.get_window_stats(self._limit, caller.key_id)
        after = max(1, int(window.reset_time - now.timestamp()) + 1)
        amount = self._limit.amount
        raise Problem(Word.TOO_MANY_REQUESTS, f"A key may ask {amount} times a minute.", retry_after_seconds=after)


def _claim(authorization: str | None) -> Claim | None:
    scheme, _, token = (authorization or "").partition(" ")
    return api_keys.read(token.strip()) if scheme.lower() == SCHEME else None


def _refused(why: KeyRefusal, key_id: str | None = None) -> Problem:
    REFUSED.labels(why.value).inc()
    if key_id is not None:
        log.info("a key was refused", key_id=key_id, reason=why.value)
    return Problem(Word.KEY_NEEDED, "Authorization must be: Bearer, and a key that `billing api-keys create` made.")
