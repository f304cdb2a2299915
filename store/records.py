"""What comes out of a topic, before and after it is read.

A *record* is Kafka's: bytes.  An *arrival* is ours: a fact, or the reason why there is none, with the bytes that Stripe
signed, should it have to be parked.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from models import stripe_events
from models.base import ENVELOPE_HEADER, KEY_ID_HEADER, Envelope, Source, Value
from models.stripe_events import Fact, Unreadable
from runtime.failures import Transient
from runtime.keys import Keyring, SealBroken, UnknownKey

_KEY_ID: Final = re.compile(rb"[\x21-\x7e]{1,255}")


class Record(Value, frozen=True):
    """One message of a topic, as Kafka gave it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes
    headers: Mapping[str, bytes]


class Origin(Value, frozen=True):
    """Where a fact came from; all None for one that no topic brought."""

    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


class Arrival(Value, frozen=True):
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
    def digest(self) -> bytes | None:
        """What a second copy is compared by: what we read of it.  None when it was not read: it contradicts nobody."""
        return self.fact.digest if self.fact else None

    @property
    def content_sha256(self) -> bytes:
        """What a copy that says something else is kept under: what was read of it, else all of it."""
        return self.digest or hashlib.sha256(self.body).digest()


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
        try:
            envelope = Envelope.from_headers(record.headers)
        except ValueError:
            return _nobodys(record, "unreadable envelope: the headers do not hold one")
        try:
            return _read(envelope, _origin(record), self._unsealed(record))
        except _Unproven as unproven:
            return _nobodys(record, f"{unproven}; it claims to be {envelope.id}")

    def unread(self, record: Record, trouble: str) -> Arrival:
        """A record whose body is not to be looked into: reading it is what went wrong."""
        try:
            envelope = Envelope.from_headers(record.headers)
            body = self._unsealed(record)
        except (ValueError, _Unproven):
            return _nobodys(record, trouble)
        return Arrival(envelope, None, _origin(record), body, opened=True, trouble=trouble)

    def again(self, envelope: Envelope, origin: Origin, body: bytes, *, opened: bool) -> Arrival:
        """Read a fact anew that was parked, with the code of today; what was not proven then is not now."""
        if opened:
            return _read(envelope, origin, body)
        return Arrival(envelope, None, origin, body, opened=False, trouble="nobody's: the edge did not seal it")

    def _unsealed(self, record: Record) -> bytes:
        """The body, which proves the envelope: it was sealed for the very bytes of its header."""
        key_id = record.headers.get(KEY_ID_HEADER) or b""
        if not _KEY_ID.fullmatch(key_id):
            raise _Unproven("no seal: anybody could have said this")
        try:
            return self._edge_keys.decrypt(key_id.decode(), record.value, record.headers[ENVELOPE_HEADER])
        except UnknownKey as unknown:
            place = f"{record.topic}/{record.partition}/{record.offset}"
            raise Transient(f"the keyring lacks key {unknown}, which sealed {place}") from None
        except SealBroken:
            raise _Unproven("broken seal: not the bytes that the edge sealed for this fact") from None


class _Unproven(Exception):
    """Nothing shows that the edge said this."""


def _read(envelope: Envelope, origin: Origin, body: bytes) -> Arrival:
    try:
        return Arrival(envelope, stripe_events.read(envelope, body), origin, body, opened=True)
    except Unreadable as why:
        return Arrival(envelope, None, origin, body, opened=True, trouble=f"unreadable body: {why}")


def _origin(record: Record) -> Origin:
    return Origin(record.topic, record.partition, record.offset)


def _nobodys(record: Record, trouble: str) -> Arrival:
    """A record that nothing proves: known by its place in the topic, so that it takes no true fact's name or lane."""
    at = datetime.fromtimestamp(max(record.timestamp_ms, 0) / 1000, UTC)
    envelope = Envelope(
        source=Source.TOPIC,
        id=f"{record.topic}/{record.partition}/{record.offset}",
        type="unreadable",
        occurred_at=at,
        received_at=at,
        livemode=False,
    )
    return Arrival(envelope, None, _origin(record), record.value, opened=False, trouble=trouble)
