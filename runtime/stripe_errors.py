"""What can go wrong when Stripe is asked, in three words: refused, again, unknown.

The words decide what a caller does, so there are no more of them.  None holds what Stripe wrote for people: that may
quote a name or an address.  `reason` is Stripe's code, or a word of ours, and goes into facts, logs and metrics.
(https://docs.stripe.com/error-codes, https://docs.stripe.com/error-low-level)
"""

import re
from collections.abc import Mapping
from typing import Any, Final

REDIRECTS: Final = 300
SERVER_ERRORS: Final = 500
UNAUTHORIZED: Final = 401
CONFLICT: Final = 409
TOO_MANY_REQUESTS: Final = 429
BUSY_CODES: Final = frozenset({"rate_limit", "lock_timeout", "idempotency_key_in_use"})
"""Codes that pass by themselves, whatever the status they come with."""

KEY_REFUSED: Final = "key_refused"
RETRY_AFTER_SECONDS_MAX: Final = 60.0
_CODE: Final = re.compile(r"[a-z0-9_.]{1,64}")


class StripeTrouble(Exception):
    """Stripe was asked, and there is no answer to go on with."""

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        param: str | None = None,
        request_id: str | None = None,
        after_seconds: float | None = None,
        replayed: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.param = param
        self.request_id = request_id
        self.after_seconds = after_seconds
        """When it may be worth asking again, where Stripe or the circuit say so."""
        self.replayed = replayed
        """Whether Stripe said so before, under the same key: it tells nothing of how Stripe is now."""


class Refused(StripeTrouble):
    """This will never succeed as it is asked.  Nothing was done."""


class Again(StripeTrouble):
    """Not now.  Nothing was done, and the same question may succeed later."""


class Unknown(StripeTrouble):
    """It was sent, and whether it was done is not known.  To ask again under the same key is safe, to forget is not."""


class KeptFailure(Unknown):
    """Stripe keeps a failure under this idempotency key, and would answer it for a day: look, then take a new key."""


def judge(status: int, headers: Mapping[str, str], body: object, *, writes: bool) -> StripeTrouble:
    """What an answer means that is no success, or cannot be read.  *headers* are found in any case of letters."""
    error = _error(body)
    code = _word(error.get("code")) or _word(error.get("type")) or f"http_{status}"
    told: dict[str, Any] = {
        "status": status,
        "param": _param(error.get("param")),
        "request_id": headers.get("request-id"),
        "after_seconds": _seconds(headers.get("retry-after")),
        "replayed": is_replayed(headers),
    }
    if status in {TOO_MANY_REQUESTS, CONFLICT} or code in BUSY_CODES:
        return Again(code, **told)
    if status == UNAUTHORIZED:  # The key, not the question: with the right key all of it may succeed.
        return Again(KEY_REFUSED, **told)
    if REDIRECTS <= status < SERVER_ERRORS:
        return Refused(code, **told)
    if not writes:
        return Again(code, **told)
    return KeptFailure(code, **told) if _is_kept(headers) else Unknown(code, **told)


def _is_kept(headers: Mapping[str, str]) -> bool:
    """Whether the same key gets the same failure: Stripe replays it, or says that asking again is no use."""
    return is_replayed(headers) or headers.get("stripe-should-retry") == "false"


def is_replayed(headers: Mapping[str, str]) -> bool:
    """Whether an answer was given before, under the same idempotency key."""
    return headers.get("idempotent-replayed") == "true"


def _error(body: object) -> Mapping[str, Any]:
    error = body.get("error") if isinstance(body, Mapping) else None
    return error if isinstance(error, Mapping) else {}


def _word(value: object) -> str | None:
    """A code as Stripe writes them, or nothing: it goes where no sentence may."""
    return value if isinstance(value, str) and _CODE.fullmatch(value) else None


def _param(value: object) -> str | None:
    return value if isinstance(value, str) and value.isascii() and value.isprintable() else None


def _seconds(text: str | None) -> float | None:
    """What `Retry-After` asks for, within reason; its other form, a date, is not Stripe's."""
    return min(float(text), RETRY_AFTER_SECONDS_MAX) if text and text.isdecimal() and text.isascii() else None
