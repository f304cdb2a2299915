"""What is written on the envelope of a Stripe event, and nothing of the letter.

Lenient to the last: whatever Stripe signed is accepted when it has an id and a type.  A field that is missing, odd or
too long is left off the envelope; whoever reads the body later may park it, but it is not lost at the door.  So this
reads JSON as Python does: the last of duplicate keys counts, NaN is let through, and a number of 5,000 digits is
nobody's business here.  Refused is only what no reader could make sense of: not UTF-8, not an object, nested beyond
Python's stack.

Nearly every event is as Stripe's documents say.  Then msgspec, which skips what it is not asked for, tells the same in
a fraction of the time, and writes it as `Envelope.written` does.  What it does not understand goes the long way, which
alone decides.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from pydantic import TypeAdapter, ValidationError

from models.base import Envelope, Identifier, Source, headers_of

THIN_EVENT: Final = "v2.core.event"
CUSTOMER: Final = "customer"
INTEGER_DIGITS_MAX: Final = 20
LAST_SECOND: Final = 253_402_300_799
"""Of the year 9999, where datetime ends."""

_IDENTIFIER: Final = TypeAdapter[str](Identifier)
_PLAIN: Final = re.compile(rb"[\x21-\x5b\x5d-\x7e]*")
"""An envelope whose identifiers are all printable: what is not is written with a backslash, or as it is."""


Seal = Callable[[bytes, bytes], tuple[str, bytes]]
"""Seals a body for a context: the key's id, and the sealed bytes."""


class Sealed(NamedTuple):
    """A fact as it goes to Kafka."""

    id: str
    key: bytes  # What decides its partition.
    value: bytes
    headers: list[tuple[str, bytes]]


class Written(NamedTuple):
    """An envelope as it travels, and what the door itself needs to know of it."""

    id: str
    partition_key: str
    livemode: bool
    text: bytes

    @classmethod
    def of(cls, envelope: Envelope) -> "Written":
        """The envelope, written."""
        return cls(envelope.id, envelope.partition_key, envelope.livemode, envelope.written())

    def sealed(self, body: bytes, seal: Seal) -> Sealed:
        """The body sealed, bound to its envelope as that is written."""
        key_id, value = seal(body, self.text)
        return Sealed(self.id, self.partition_key.encode(), value, headers_of(self.text, self.id, key_id))


_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]  # That it is printable is seen when it is written.


class _Metadata(msgspec.Struct):
    account_id: _Id | None = None


class _Shown(msgspec.Struct):
    """Any object whose account is not named by a reference: that is a session's business, and the long way's."""

    id: _Id
    object: str
    customer: _Id | None = None
    metadata: _Metadata | None = None
    client_reference_id: None = None


class _Data(msgspec.Struct):
    object: _Shown


class _Usual(msgspec.Struct):
    """An event with everything where it should be."""

    id: _Id
    object: Literal["event"]
    type: _Id
    created: Annotated[int, msgspec.Meta(gt=0, le=LAST_SECOND)]
    livemode: bool
    api_version: _Id | None
    data: _Data
    account: _Id | None = None


_READER: Final = msgspec.json.Decoder(_Usual)


class Misfit(StrEnum):
    """Why something that Stripe signed is no event."""

    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    NOT_AN_OBJECT = "not_an_object"
    NO_IDENTITY = "no_identity"  # Without a usable id and type there is nothing to know it by.


def read(body: bytes, received_at: datetime, *, livemode: bool) -> Written | Misfit:
    """The envelope of the event in *body*; *livemode* is ours, for an event that does not say."""
    return _read_usual(body, received_at) or read_leniently(body, received_at, livemode=livemode)


def _read_usual(body: bytes, received_at: datetime) -> Written | None:
    """The envelope of an event that has everything where it should be, else None."""
    try:
        body.isascii() or body.decode()  # msgspec does not look into the strings that it skips.
        event = _READER.decode(body)
    except (ValueError, RecursionError):  # UnicodeDecodeError and all of msgspec's among them.
        return None
    shown = event.data.object
    customer = shown.id if shown.object == CUSTOMER else shown.customer
    envelope = Envelope(
        source=Source.STRIPE,
        id=event.id,
        type=event.type,
        subject=shown.id,
        customer=customer,
        account=shown.metadata.account_id if shown.metadata else None,
        occurred_at=datetime.fromtimestamp(event.created, UTC),
        received_at=received_at,
        api_version=event.api_version,
        livemode=event.livemode,
        stripe_account=event.account,
    )
    written = Written.of(envelope)
    return written if _PLAIN.fullmatch(written.text) else None


def read_leniently(body: bytes, received_at: datetime, *, livemode: bool) -> Written | Misfit:
    """The same, however oddly the event is written."""
    event = _parse(body)
    if isinstance(event, Misfit):
        return event
    fact_id, fact_type = _identifier(event.get("id")), _identifier(event.get("type"))
    if fact_id is None or fact_type is None:
        return Misfit.NO_IDENTITY
    about = _about(event)
    envelope = Envelope(
        source=Source.STRIPE,
        id=fact_id,
        type=fact_type,
        subject=about.subject,
        customer=about.customer,
        account=about.account,
        occurred_at=_moment(event.get("created")) or received_at,
        received_at=received_at,
        api_version=_identifier(event.get("api_version")),
        livemode=event["livemode"] if isinstance(event.get("livemode"), bool) else livemode,
        stripe_account=_identifier(event.get("account")),
    )
    return Written.of(envelope)


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


class _About(NamedTuple):
    subject: str | None
    customer: str | None = None
    account: str | None = None


def _about(event: dict[str, Any]) -> _About:
    """Whom and what the event is about.  A thin event names the object and does not show it."""
    if event.get("object") == THIN_EVENT:
        related = _object(event.get("related_object"))
        return _About(_identifier(related.get("id")))
    shown = _object(_object(event.get("data")).get("object"))
    return _About(_identifier(shown.get("id")), _customer(shown), _account(shown))


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
