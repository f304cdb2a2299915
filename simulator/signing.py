"""How Stripe signs: `t`, and for each secret a `v1`, the HMAC-SHA256 of "t.body"."""

import hmac
from collections.abc import Iterable
from hashlib import sha256


def signature_header(body: bytes, secrets: Iterable[str], timestamp: int) -> str:
    """The Stripe-Signature header of *body*, with one signature for each secret: two while one is being rotated."""
    signed = f"{timestamp}.".encode() + body
    signatures = (hmac.new(secret.encode(), signed, sha256).hexdigest() for secret in secrets)
    return ",".join([f"t={timestamp}", *(f"v1={signature}" for signature in signatures)])
