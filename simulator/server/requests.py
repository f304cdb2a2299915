"""Whose request the world is changed by: events carry its id and its idempotency key."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asking:
    """The request in hand."""

    id: str
    idempotency_key: str | None
