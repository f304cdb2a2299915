"""A happening: one change of one object, as the world saw it, before any API version gave it a shape.

It keeps the object before and after.  What an endpoint reads (`previous_attributes` among it) is rendered from the two
by `shapes`, so that every API version tells of the same change.
"""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Happening:
    """What happened, to which object, in which virtual second.  `before` is None where Stripe tells no difference."""

    event_id: str
    type: str
    created: int
    after: Json
    before: Json | None
    request_id: str | None
    idempotency_key: str | None = None

    @property
    def object_id(self) -> str:
        """The object that it happened to; an invoice that is yet to come has no id."""
        return str(self.after.get("id"))
