"""The nouns that everything else is said with: Model, Envelope, Fact, Decision, Refusal.

A fact is something that happened.  Its envelope says who told it, about what, and when, in the same words for every
source, so that routing, identity and order never look inside the body.  A decision is a pure function of what we
believed and the fact: `decide(before, fact) -> Decision(after, events, refusal)`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec.structs import force_setattr
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

SCHEMA_VERSION: Final = 1
"""Of the envelope itself.  It grows by fields with defaults, or by a new version."""

ENVELOPE_HEADER: Final = "fact"
"""Kafka's header that holds the envelope, as JSON."""

FACT_ID_HEADER: Final = "fact_id"
"""The id once more, in the clear: for people's tools, log lines and failpoints.  Nobody believes it."""

KEY_ID_HEADER: Final = "key_id"
"""Which key sealed the body.  A wrong one opens nothing, so it needs no seal itself."""

SEALED_FIELDS: Final = (
    *("source", "id", "type", "subject", "customer", "account", "occurred_at", "received_at"),
    *("api_version", "livemode", "stripe_account"),
)

State = TypeVar("State")
Said = TypeVar("Said")


class Model(BaseModel):
    """Ours: strict and immutable.  Unknown fields are a mistake of ours, never tolerated."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Value(msgspec.Struct, frozen=True):
    """Ours, too: what is made many times for each fact, of what has been checked already.

    A frozen dataclass in all but its making, which C does: a batch makes thousands, and Python or pydantic would take
    some microseconds for each.  Its types are checked where it is read from JSON, and by mypy; not when it is made
    (https://jcristharif.com/msgspec/structs.html).
    """


def as_json(value: Value) -> str:
    """A value as compact JSON, its fields in the order of their declaration."""
    return _WRITER.encode(value).decode()


_WRITER: Final = msgspec.json.Encoder()


def _in_utc(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:  # As we make them ourselves, and we make many.
        return moment
    if moment.tzinfo is None:
        raise ValueError("a moment needs its UTC offset")
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # At the ends of the calendar an offset leads out of it.
        raise ValueError("a moment lies between the years 1 and 9999 in UTC") from None


Moment = Annotated[datetime, AfterValidator(_in_utc), msgspec.Meta(tz=True)]
"""An instant, always aware, always UTC."""

_PRINTABLE: Final = r"^[\x21-\x7e]+$"
Identifier = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255, pattern=_PRINTABLE),
    msgspec.Meta(min_length=1, max_length=255, pattern=_PRINTABLE),
]
"""An id of Stripe's or ours: printable ASCII without spaces, so it fits a header, a key and a log line as it is.

Said twice, since a model is checked by pydantic and a value by msgspec.
"""


class Source(StrEnum):
    """Who told us a fact."""

    STRIPE = "stripe"  # A webhook, a backfill, or an answer of Stripe.
    DOOR = "door"  # A platform service, over HTTP.
    TOPIC = "topic"  # A platform service, over Kafka.
    TIMER = "timer"  # Something fell due.
    OPERATOR = "operator"  # One of us, on purpose.


class Envelope(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a fact before its body is read.  Identity is `(source, id)`.

    It travels as compact JSON in one of Kafka's headers; a field that is None is left out.  Whoever makes one has
    looked at its identifiers (`Identifier`); whoever reads one has them looked at.
    """

    source: Source
    id: Identifier
    type: Identifier
    subject: Identifier | None = None  # The object it is about.
    customer: Identifier | None = None  # Stripe's customer, where the fact names one.
    account: Identifier | None = None  # A hint: what the platform calls the account, where the fact names it.
    occurred_at: Moment
    received_at: Moment
    api_version: Identifier | None = None
    livemode: bool
    stripe_account: Identifier | None = None  # The connected account, for Connect.
    causation: Identifier | None = None  # The fact or decision that caused this one.
    correlation: Identifier | None = None  # What a person asked for, all the way through.
    schema_version: int = msgspec.field(default_factory=lambda: SCHEMA_VERSION)  # Always written, unlike a default.

    def __post_init__(self) -> None:
        """Bring the moments to UTC; raises ValueError where one cannot be."""
        if self.occurred_at.tzinfo is not UTC:
            force_setattr(self, "occurred_at", _in_utc(self.occurred_at))
        if self.received_at.tzinfo is not UTC:
            force_setattr(self, "received_at", _in_utc(self.received_at))

    @property
    def identity(self) -> tuple[str, str]:
        """The pair that a fact is known by, once, for ever."""
        return (self.source.value, self.id)

    @property
    def partition_key(self) -> str:
        """Facts with the same key keep their order in Kafka: the customer, else the object, else the fact alone."""
        return self.customer or self.subject or self.id

    @property
    def seal_context(self) -> bytes:
        """What a body is bound to that the store seals: who reads it back is a later release, which would write the
        whole envelope otherwise.  A list of its own: a field that is added later breaks no old seal.
        """
        told = ((name, getattr(self, name)) for name in SEALED_FIELDS)
        return _WRITER.encode({name: value for name, value in told if value is not None})

    def written(self) -> bytes:
        """The envelope as it travels, and as the edge binds the body to it: to these very bytes."""
        return _WRITER.encode(self)

    @classmethod
    def read(cls, written: bytes | str) -> "Envelope":
        """The envelope that `written` wrote; what a later release adds is left alone.

        Raises ValueError (msgspec's ValidationError among them) when it is none.
        """
        try:
            return _ENVELOPE.decode(written)
        except RecursionError:
            raise ValueError("an envelope is not nested beyond Python's stack") from None

    @classmethod
    def from_headers(cls, headers: Mapping[str, bytes | None]) -> "Envelope":
        """The same from a record's headers; Kafka lets a header be null, and ours never is."""
        return cls.read(headers.get(ENVELOPE_HEADER) or b"")


_ENVELOPE: Final = msgspec.json.Decoder(Envelope)


def headers_of(written: bytes, fact_id: str, key_id: str) -> list[tuple[str, bytes]]:
    """What travels beside the body of the fact *fact_id* that the key *key_id* sealed for *written*, its envelope."""
    return [(ENVELOPE_HEADER, written), (FACT_ID_HEADER, fact_id.encode()), (KEY_ID_HEADER, key_id.encode())]


class Refusal(StrEnum):
    """Why a fact left the present as it was.  Expected, counted, never raised."""

    STALE = "stale"  # Older than what we know: the history is amended, the present is not.
    AFTER_END = "after_end"  # It tells of life after an end that is final.
    NOT_OURS = "not_ours"  # A type that no concept of ours listens to.
    DISCARDED = "discarded"  # An operator decided so, and said why.


class Note(StrEnum):
    """What is worth counting about a fact that was applied all the same."""

    AMBIGUOUS_ORDER = "ambiguous_order"  # Its place among its own second's facts was decided by event id alone.
    UNKNOWN_API_VERSION = "unknown_api_version"  # Outside the versions that `stripe_events` was built for.


class Decision(Value, Generic[State, Said], frozen=True):
    """What we believe after a fact, and what we have to say about it."""

    state: State
    events: tuple[Said, ...] = ()
    refusal: Refusal | None = None
    note: Note | None = None
