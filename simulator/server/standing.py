"""How a thing stands: there, or deleted, or never there at all."""

from typing import Any


def is_deleted(thing: Any) -> bool:
    """Whether there was such a thing, and is none any more: Stripe shows that it was deleted."""
    return bool(thing.body.get("deleted", False))
