"""Thin events: Stripe says that something happened to an object, and does not show it.  So it is asked for.

What Stripe shows then is a fact like any other, and the books believe that.
(https://docs.stripe.com/event-destinations#thin-events)
"""

from typing import Final

from msgspec import convert
from pydantic_core import from_json

from models.base import Identifier, Value
from models.stripe_slices import StripeSlice

THIN_EVENT: Final = "v2.core.event"
PREFIXES: Final = ("v1.", "v2.")
"""What the types of thin events begin with: the version of the API that their object is of."""


class ThinSeen(Value, frozen=True, kw_only=True):
    """Which object something happened to.  `object_kind` is Stripe's word for it, such as `charge`."""

    object_kind: Identifier
    object_id: Identifier


class _Related(StripeSlice, frozen=True, kw_only=True):
    id: Identifier
    type: Identifier


class _Thin(StripeSlice, frozen=True, kw_only=True):
    object: str
    related_object: _Related | None = None


def is_thin(fact_type: str) -> bool:
    """Whether a fact of this type shows nothing."""
    return fact_type.startswith(PREFIXES)


def read(raw: bytes) -> ThinSeen | None:
    """Read a thin event; None when it is about no object.  Raises ValidationError when it is none."""
    seen = convert(from_json(raw), _Thin)
    related = seen.related_object
    return ThinSeen(object_kind=related.type, object_id=related.id) if related else None
