"""What comes out of a topic, before and after it is read.

A *record* is Kafka's: bytes.  An *arrival* is ours: a fact, or the reason why there is none, with the bytes that Stripe
signed, should it have to be parked.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from models import stripe_events
from models.base import Envelope, Source
from models.stripe_events import Fact, Unreadable
from runtime.failures import Transient
from runtime.keys import Keyring, SealBroken, UnknownKey


@dataclass(frozen=True, slots=True)
class Record:
    """One message of a topic, as Kafka gave it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a fact came from; all None for one that no topic brought."""

    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A fact on its way into the books.  `fact` is None when it cannot be read, and `trouble` says why."""

    envelope: Envelope
    fact: Fact | None
    origin: Origin
    body: bytes  # As signed; still sealed by the edge when `opened` is False.
    opened: bool
    trouble: str | None = None

    @property
    def identity(self) -> tuple[str, str]:
        """What the inbox knows it by."""
        return self.envelope.identity

    @property
    def digest(self) -> bytes:
        """What a second copy is compared by: what we read, and of what cannot be read, everything."""
        return self.fact.digest() if self.fact else hashlib.sha256(self.body).digest()


class Reader:
    """Opens what the edge sealed and reads it.

    Every body is opened, read or not: the seal is what proves that the envelope is the edge's own.
    """

    def __init__(self, edge_keys: Keyring) -> None:
        self._edge_keys = edge_keys

    def read(self, record: Record) -> Arrival:
        """Read one record; what cannot be read comes back as trouble.

        Raises Transient while the key that sealed it is not here: keys travel apart from facts, and may be late.
        """
        origin = Origin(record.topic, record.partition, record.offset)
        try:
            envelope = Envelope.from_headers(record.headers)
        except ValueError:
            trouble = "unreadable envelope: the headers do not hold one"
            return Arrival(_stand_in(record), None, origin, record.value, opened=False, trouble=trouble)
        return self._open(envelope, origin, record.value)

    def unread(self, record: Record, trouble: str) -> Arrival:
        """A record whose body is not to be looked into: reading it is what went wrong."""
        origin = Origin(record.topic, record.partition, record.offset)
        try:
            envelope = Envelope.from_headers(record.headers)
        except ValueError:
            envelope = _stand_in(record)
        return Arrival(envelope, None, origin, record.value, opened=False, trouble=trouble)

    def again(self, envelope: Envelope, origin: Origin, body: bytes, *, opened: bool) -> Arrival:
        """Read a fact anew that was parked, with the code of today."""
        return _read(envelope, origin, body) if opened else self._open(envelope, origin, body)

    def _open(self, envelope: Envelope, origin: Origin, value: bytes) -> Arrival:
        if envelope.key_id is None:
            return Arrival(envelope, None, origin, value, opened=False, trouble="no seal: anybody could have said this")
        try:
            body = self._edge_keys.decrypt(envelope.key_id, value, envelope.seal_context)
        except UnknownKey as unknown:
            raise Transient(f"the keyring lacks key {unknown}, which sealed {envelope.id}") from None
        except SealBroken:
            trouble = "broken seal: not the bytes that the edge sealed for this fact"
            return Arrival(envelope, None, origin, value, opened=False, trouble=trouble)
        return _read(envelope, origin, body)


def _read(envelope: Envelope, origin: Origin, body: bytes) -> Arrival:
    try:
        return Arrival(envelope, stripe_events.read(envelope, body), origin, body, opened=True)
    except Unreadable as why:
        return Arrival(envelope, None, origin, body, opened=True, trouble=f"unreadable body: {why}")


def _stand_in(record: Record) -> Envelope:
    """An envelope for what has none: known by its place in the topic, and nobody's."""
    at = datetime.fromtimestamp(max(record.timestamp_ms, 0) / 1000, UTC)
    return Envelope(
        source=Source.TOPIC,
        id=f"{record.topic}/{record.partition}/{record.offset}",
        type="unreadable",
        occurred_at=at,
        received_at=at,
        livemode=False,
    )
