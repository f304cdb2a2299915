"""Stripe's price of what the catalog sells, by its lookup key."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from ingress.platform.problems import Problem, Word
from runtime import clock
from runtime.stripe_client import Json, path

Read: TypeAlias = Callable[[str, Mapping[str, Any]], Awaitable[Json]]
"""Asks Stripe within the time of whoever wants to know."""

KNOWN_SECONDS: Final = 60.0
"""So long after `billing catalog apply` has moved a lookup key, the price before may still be sold; each request is
spared a question, which is a second of its time when Stripe is slow."""


@dataclass(slots=True)
class Prices:
    """Remembers for a while which price is sold under which key."""

    _known: dict[str, tuple[str, float]] = field(default_factory=dict)

    async def id_of(self, read: Read, lookup_key: str) -> str:
        """The price that is sold under the key.  What the catalog has and Stripe has not is ours to mend."""
        known, until = self._known.get(lookup_key, ("", 0.0))
        if clock.monotonic() < until:
            return known
        listed = await read(path("prices"), {"lookup_keys": [lookup_key], "active": True, "limit": 1})
        if not listed["data"]:
            raise Problem(
                Word.NOT_NOW, "Stripe has no such price yet: `billing catalog apply` brings it there.", (), 60
            )
        price_id = str(listed["data"][0]["id"])
        self._known[lookup_key] = (price_id, clock.monotonic() + KNOWN_SECONDS)
        return price_id
