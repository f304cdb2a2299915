"""Answers: what Stripe showed when we asked, and why it would not, in the shape of its own events.

So an answer goes the way of every other fact: the same envelope, the same seal, the same topic.  Its second is that of
Stripe's clock when it answered.  Its id is made of the request and of all that was said: a request that is read again
after a crash may be answered with another version of the object, and that is another fact.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from msgspec import convert
from pydantic_core import from_json

from models.base import Identifier, Value
from models.lines import ANSWER_PREFIX
from models.stripe_slices import StripeSlice

ANSWERED: Final = ".retrieved"
"""What an answer's type ends with; before it stands Stripe's word for the object."""

IMPORTED: Final = ".imported"
"""The same, for what was there before we went live: it is believed as any answer is, and nothing is done about it."""

DELETED: Final = ".deleted"
"""The same, when Stripe shows no more than that it was deleted; as its own event's type does."""

REQUEST_FAILED: Final = "stripe.request.failed"
UNKNOWN_THINGS: Final = frozenset({"resource_missing", "unknown_object_kind"})
FAILED_REQUEST: Final = "stripe_request"
"""What stands for an object in a failure; Stripe has none of that name."""


class AskedInVain(Value, frozen=True, kw_only=True):
    """What Stripe would not show, and why: a code of its own, or of ours."""

    object_id: Identifier
    reason: str

    @property
    def nobody_knows(self) -> bool:
        """Whether there is nothing to be known: Stripe has no such object."""
        return self.reason in UNKNOWN_THINGS


class _Refused(StripeSlice, frozen=True, kw_only=True):
    id: Identifier
    reason: str


class _Data(StripeSlice, frozen=True, kw_only=True):
    object: _Refused


class _Failed(StripeSlice, frozen=True, kw_only=True):
    data: _Data


def is_answer(fact_type: str) -> bool:
    """Whether Stripe showed an object because we asked: to ask about that again would have no end."""
    return fact_type.endswith((ANSWERED, IMPORTED))


def is_history(fact_type: str) -> bool:
    """Whether a fact tells only how it was before we went live."""
    return fact_type.endswith(IMPORTED)


def read_failed(raw: bytes) -> AskedInVain:
    """Read a failure.  Raises ValidationError when it is none."""
    refused = convert(from_json(raw), _Failed).data.object
    return AskedInVain(object_id=refused.id, reason=refused.reason)


@dataclass(frozen=True, slots=True)
class Told:
    """How an answer came about.  `request_id` and `idempotency_key` are as Stripe's events have them."""

    cause: str  # The id of the event that asked.
    answered_at: datetime
    api_version: str
    livemode: bool
    request_id: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """What cannot be had.  `reason` is a code, and never a sentence: those may quote somebody."""

    subject: str
    kind: str | None  # Of the request; None where it cannot be read.
    reason: str
    customer: str | None = None
    status: int | None = None
    param: str | None = None


def shown(thing: Mapping[str, Any], told: Told, *, historical: bool = False) -> bytes:
    """The body of the fact that Stripe showed *thing*: of one that was deleted, that it was."""
    return _event(fact_type(thing, historical=historical), thing, told)


def fact_type(thing: Mapping[str, Any], *, historical: bool = False) -> str:
    """The type of the fact that Stripe showed *thing*."""
    if thing.get("deleted") is True:
        return f"{thing['object']}{DELETED}"
    return f"{thing['object']}{IMPORTED if historical else ANSWERED}"


def failed(failure: Failure, told: Told) -> bytes:
    """The body of the fact that a request cannot be answered with an object."""
    thing = {
        "id": failure.subject,
        "object": FAILED_REQUEST,
        "customer": failure.customer,
        "kind": failure.kind,
        "reason": failure.reason,
        "status": failure.status,
        "param": failure.param,
    }
    return _event(REQUEST_FAILED, thing, told)


def _event(kind: str, thing: Mapping[str, Any], told: Told) -> bytes:
    livemode = thing.get("livemode")
    said = {
        "object": "event",
        "api_version": told.api_version,
        "created": int(told.answered_at.timestamp()),
        "data": {"object": thing},
        "livemode": livemode if isinstance(livemode, bool) else told.livemode,
        "pending_webhooks": 0,
        "request": {"id": told.request_id, "idempotency_key": told.idempotency_key, "cause": told.cause},
        "type": kind,
    }
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    return json.dumps({"id": f"{ANSWER_PREFIX}{digest[:32]}", **said}, separators=(",", ":")).encode()
