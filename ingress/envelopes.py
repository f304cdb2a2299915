"""What is written on the envelope of a Stripe event, and nothing of the letter.

Lenient to the last: whatever Stripe signed is accepted when it has an id and a type.  A field that is missing, odd or
too long is left off the envelope; whoever reads the body later may park it, but it is not lost at the door.  So this
reads JSON as Python does: the last of duplicate keys counts, NaN is let through, and a number of 5,000 digits is
nobody's business here.  Refused is only what no reader could make sense of: not UTF-8, not an object, nested beyond
Python's stack.

Nearly every event is as Stripe's documents say, and then a strict reader that skips what it is not asked for tells the
same in a third of the time.  What it does not understand goes the long way, which alone decides.
"""

import json
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from models.base import Envelope, Identifier, Source

THIN_EVENT: Final = "v2.core.event"
CUSTOMER: Final = "customer"
INTEGER_DIGITS_MAX: Final = 20
LAST_SECOND: Final = 253_402_300_799
"""Of the year 9999, where datetime ends."""

_IDENTIFIER: Final = TypeAdapter[str](Identifier)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore")


class _Metadata(_Strict):
    account_id: Identifier | None = None


class _Shown(_Strict):
    """Any object whose account is not named by a reference: that is a session's business, and the long way's."""

    id: Identifier
    object: str
    customer: Identifier | None = None
    metadata: _Metadata | None = None
    client_reference_id: None = None


class _Data(_Strict):
    object: _Shown


class _Usual(_Strict):
    """An event with everything where it should be."""

    id: Identifier
    object: Literal["event"]
    type: Identifier
    created: Annotated[int, Field(gt=0, le=LAST_SECOND)]
    livemode: bool
    api_version: Identifier | None
    account: Identifier | None = None
    data: _Data


class Misfit(StrEnum):
    """Why something that Stripe signed is no event."""

    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    NOT_AN_OBJECT = "not_an_object"
    NO_IDENTITY = "no_identity"  # Without a usable id and type there is nothing to know it by.


def read(body: bytes, received_at: datetime, *, livemode: bool) -> Envelope | Misfit:
    """The envelope of the event in *body*; *livemode* is ours, for an event that does not say."""
    try:
        usual = _Usual.model_validate_json(body)
    except ValidationError:
        return read_leniently(body, received_at, livemode=livemode)
    shown = usual.data.object
    return Envelope(
        source=Source.STRIPE,
        id=usual.id,
        type=usual.type,
        occurred_at=datetime.fromtimestamp(usual.created, UTC),
        received_at=received_at,
        api_version=usual.api_version,
        livemode=usual.livemode,
        stripe_account=usual.account,
        subject=shown.id,
        customer=shown.id if shown.object == CUSTOMER else shown.customer,
        account=shown.metadata.account_id if shown.metadata else None,
    )


def read_leniently(body: bytes, received_at: datetime, *, livemode: bool) -> Envelope | Misfit:
    """The same, however oddly the event is written."""
    event = _parse(body)
    if isinstance(event, Misfit):
        return event
    fact_id, fact_type = _identifier(event.get("id")), _identifier(event.get("type"))
    if fact_id is None or fact_type is None:
        return Misfit.NO_IDENTITY
    return Envelope(
        source=Source.STRIPE,
        id=fact_id,
        type=fact_type,
        occurred_at=_moment(event.get("created")) or received_at,
        received_at=received_at,
        api_version=_identifier(event.get("api_version")),
        livemode=event["livemode"] if isinstance(event.get("livemode"), bool) else livemode,
        stripe_account=_identifier(event.get("account")),
        **_about(event),
    )


def _parse(body: bytes) -> dict[str, Any] | Misfit:
    try:
        event = json.loads(body.decode(), parse_int=_integer, parse_float=_nothing, parse_constant=_nothing)
    except ValueError:  # UnicodeDecodeError and JSONDecodeError among them.
        return Misfit.NOT_JSON
    except RecursionError:
        return Misfit.TOO_DEEP
    return event if isinstance(event, dict) else Misfit.NOT_AN_OBJECT


def _integer(text: str) -> int | None:
    """The integer, if a sane one: converting digits by the thousand is slow, and Python refuses it."""
    return int(text) if len(text) <= INTEGER_DIGITS_MAX else None


def _nothing(_: str) -> None:
    """A number that no field of the envelope can be, so it need not be read."""


def _about(event: dict[str, Any]) -> dict[str, str | None]:
    """Whom and what the event is about.  A thin event names the object and does not show it."""
    if event.get("object") == THIN_EVENT:
        related = _object(event.get("related_object"))
        return {"subject": _identifier(related.get("id"))}
    shown = _object(_object(event.get("data")).get("object"))
    return {"subject": _identifier(shown.get("id")), "customer": _customer(shown), "account": _account(shown)}


def _customer(shown: dict[str, Any]) -> str | None:
    """The customer, whether the object is one, names one, or carries one whole."""
    customer = shown if shown.get("object") == CUSTOMER else shown.get("customer")
    return _identifier(customer.get("id") if isinstance(customer, dict) else customer)


def _account(shown: dict[str, Any]) -> str | None:
    """What the platform calls the account.

    On a session that came by a Payment Link the reference is whatever the visitor wrote into the URL.
    """
    named = _identifier(_object(shown.get("metadata")).get("account_id"))
    trusted = shown.get("object") == "checkout.session" and shown.get("payment_link") is None
    return named or (_identifier(shown.get("client_reference_id")) if trusted else None)


def _moment(created: object) -> datetime | None:
    """When it happened: seconds since 1970, or ISO 8601 in a thin event."""
    if isinstance(created, int) and not isinstance(created, bool) and 0 < created <= LAST_SECOND:
        return datetime.fromtimestamp(created, UTC)
    if isinstance(created, str):
        return _written(created)
    return None


def _written(created: str) -> datetime | None:
    try:
        return datetime.fromisoformat(created).astimezone(UTC) if created.endswith("Z") else None
    except (ValueError, OverflowError):
        return None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _identifier(value: object) -> str | None:
    try:
        return _IDENTIFIER.validate_python(value, strict=True)
    except ValidationError:
        return None
