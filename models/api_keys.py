"""API keys: by what a platform's services prove to our door who they are, and what they may.

A key is `bk_test_` or `bk_live_`, an id that everybody may see, and a secret of 256 random bits.  It is shown once,
when it is made; what is kept is the SHA-256 of the secret: there is nothing to guess in so many bits, so nothing slower
is needed.  A key that is rotated has a successor of its own lineage, and both are valid for a while.  Requests belong
to the lineage, so that one begun with the old key can be sent again with the new one.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from models.base import Identifier, Model, Moment

ID_BYTES: Final = 10
SECRET_BYTES: Final = 32
USED_EVERY: Final = timedelta(hours=1)
"""How exactly it is known when a key was used last: a write for each request would be dearer than the answer."""

_TOKEN: Final = re.compile(r"bk_(test|live)_([a-z2-7]{16})_([a-z2-7]{52})")


class Scope(StrEnum):
    """What a key allows."""

    ACCOUNTS_READ = "accounts:read"
    CHECKOUT_WRITE = "checkout:write"
    PORTAL_WRITE = "portal:write"
    SUBSCRIPTIONS_WRITE = "subscriptions:write"
    REFUNDS_WRITE = "refunds:write"


class KeyRefusal(StrEnum):
    """Why a key opens nothing."""

    UNKNOWN = "unknown"  # Not a key, or none of ours.
    OTHER_MODE = "other_mode"  # A live key at a sandbox's door, or the reverse.
    EXPIRED = "expired"
    REVOKED = "revoked"


class ApiKey(Model):
    """One key, without its secret."""

    key_id: Identifier
    lineage: Identifier  # The id of the first key that it is a successor of: its own, if it is the first.
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    livemode: bool
    scopes: Annotated[frozenset[Scope], Field(min_length=1)]
    created_at: Moment
    expires_at: Moment | None = None
    revoked_at: Moment | None = None
    last_used_at: Moment | None = None  # To the hour.

    def refusal(self, now: datetime, *, livemode: bool) -> KeyRefusal | None:
        """Why it opens nothing now; None when it opens what its scopes allow."""
        if self.revoked_at is not None:
            return KeyRefusal.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyRefusal.EXPIRED
        return KeyRefusal.OTHER_MODE if self.livemode is not livemode else None

    def is_to_be_marked(self, now: datetime) -> bool:
        """Whether it is worth a write that it is used now."""
        return self.last_used_at is None or now - self.last_used_at >= USED_EVERY


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody shows: the key that it is said to be, and what is to prove it."""

    key_id: str
    secret_sha256: bytes
    livemode: bool


def token(chance: bytes, *, livemode: bool) -> str:
    """The key that *chance* makes: its id and its secret."""
    assert len(chance) == ID_BYTES + SECRET_BYTES, "all of it is random"
    return f"bk_{'live' if livemode else 'test'}_{_words(chance[:ID_BYTES])}_{_words(chance[ID_BYTES:])}"


def read(shown: str) -> Claim | None:
    """What a token claims; None when it is none."""
    found = _TOKEN.fullmatch(shown)
    if found is None:
        return None
    mode, key_id, secret = found.groups()
    return Claim(f"key_{key_id}", hashlib.sha256(secret.encode()).digest(), mode == "live")


def _words(chance: bytes) -> str:
    return base64.b32encode(chance).decode().rstrip("=").lower()
