"""Whether Stripe signed these bytes, and just now.

Our own check rather than the library's: bytes are verified before anybody decodes them, several secrets may hold at
once while one is being rotated, a signature from the future is as doubtful as one from the past, and hostile input is
answered instead of raised.  In everything else the two agree, which a differential test holds them to.
"""

import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

SCHEME: Final = "v1"
_USUAL: Final = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})(?:,v0=[0-9a-f]{64})?")
"""As Stripe writes it while one secret holds: nearly every header there is."""


class Doubt(StrEnum):
    """Why a request is not believed.  Counted, never told to the sender."""

    MISSING = "missing"  # No header at all.
    MALFORMED = "malformed"  # A header without a readable timestamp.
    OTHER_SCHEME = "other_scheme"  # No signature of the scheme that we check; v0 is for Stripe's own tests.
    TOO_OLD = "too_old"  # Captured and played again, or a clock is wrong.
    TOO_NEW = "too_new"  # Made for later use, or a clock is wrong.
    FORGED = "forged"  # No secret of ours makes this signature.


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of itself: when it was signed, and with what result."""

    timestamp: int
    signatures: tuple[bytes, ...]

    def holds(self, body: bytes, secrets: tuple[bytes, ...]) -> bool:
        """Whether one of *secrets* signed *body* at the time claimed; as slow for a wrong answer as for a right one."""
        assert secrets, "without a secret nothing could be believed"
        assert all(secrets), "an empty secret is known to everybody"
        signed = b"%d." % self.timestamp + body
        expected = [hmac.digest(secret, signed, "sha256").hex().encode() for secret in secrets]
        matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in self.signatures]
        return any(matches)


def read(header: str | None, now: datetime, tolerance_seconds: float) -> Claim | Doubt:
    """The claim in a `Stripe-Signature` *header*, if it was made within the tolerance of *now*, before or after."""
    if not header:
        return Doubt.MISSING
    try:
        claim = _parse(header)
    except (IndexError, ValueError):
        return Doubt.MALFORMED
    if not claim.signatures:
        return Doubt.OTHER_SCHEME
    return _in_time(claim, now.timestamp(), tolerance_seconds)


def _parse(header: str) -> Claim:
    """The header, read as loosely and as strictly as the library does.

    What follows a second "=" is lost, the first `t` counts, a `t` or `v1` without a value spoils all, and the time is
    whatever Python takes for an integer: the signature covers its plain form.
    """
    if usual := _USUAL.fullmatch(header):
        return Claim(int(usual[1]), (usual[2].encode(),))
    fields = [item.split("=", 2) for item in header.split(",")]
    times = [field[1] for field in fields if field[0] == "t"]
    signatures = [field[1].encode(errors="surrogatepass") for field in fields if field[0] == SCHEME]
    return Claim(int(times[0]), tuple(signatures))


def _in_time(claim: Claim, now: float, tolerance_seconds: float) -> Claim | Doubt:
    if claim.timestamp < now - tolerance_seconds:
        return Doubt.TOO_OLD
    if claim.timestamp > now + tolerance_seconds:
        return Doubt.TOO_NEW
    return claim
