"""Stripe's price of what the catalog sells, by its lookup key."""

from ingress.platform.calls import Call
from ingress.platform.problems import Problem, Word
from runtime.stripe_client import path


async def price_id(call: Call, lookup_key: str) -> str:
    """The price that is sold under the key today.  What the catalog has and Stripe has not is ours to mend."""
    listed = await call.read(path("prices"), {"lookup_keys": [lookup_key], "active": True, "limit": 1})
    if not listed["data"]:
        raise Problem(Word.NOT_NOW, "Stripe has no such price yet: `billing catalog apply` brings it there.", (), 60)
    return str(listed["data"][0]["id"])
