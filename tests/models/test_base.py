"""The envelope travels in one of Kafka's headers, and whatever else comes in it is refused in one way."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import DecodeError, ValidationError

from models.base import ENVELOPE_HEADER, Envelope, Refusal, Source, headers_of
from models.books import _OUTCOMES
from tests.models.support_facts import envelope

identifiers = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)
moments = st.datetimes(timezones=st.just(UTC))
envelopes = st.builds(
    Envelope,
    source=st.sampled_from(Source),
    id=identifiers,
    type=identifiers,
    subject=st.none() | identifiers,
    customer=st.none() | identifiers,
    account=st.none() | identifiers,
    occurred_at=moments,
    received_at=moments,
    api_version=st.none() | identifiers,
    livemode=st.booleans(),
    stripe_account=st.none() | identifiers,
    causation=st.none() | identifiers,
    correlation=st.none() | identifiers,
    schema_version=st.integers(0, 2**31),
)


def told(**changes: object) -> bytes:
    """The header of an envelope in which some fields are as no release of ours writes them."""
    return json.dumps(json.loads(envelope().written()) | changes).encode()


@given(envelopes)
def test_an_envelope_comes_out_of_its_headers_as_it_went_in(sent: Envelope) -> None:
    assert Envelope.from_headers(dict(headers_of(sent.written(), sent.id, "k1"))) == sent


@given(envelopes, st.dictionaries(st.text().filter(lambda name: name != ENVELOPE_HEADER), st.binary()))
def test_headers_of_others_are_left_alone(sent: Envelope, foreign: dict[str, bytes]) -> None:
    assert Envelope.from_headers(foreign | {ENVELOPE_HEADER: sent.written()}) == sent


@given(st.none() | st.binary() | st.sampled_from([b"null", b"[]", b"{}", b'"a"', b"[" * 100_000, b"\xff\xfe"]))
def test_a_header_that_is_no_envelope_is_a_value_error(value: bytes | None) -> None:
    with pytest.raises(DecodeError):
        Envelope.from_headers({ENVELOPE_HEADER: value})


def test_an_envelope_with_a_bottomless_field_is_a_value_error() -> None:
    """Whoever may write to the topic could stop whoever reads it, else."""
    bottomless = envelope().written().replace(b"{", b'{"deep": ' + b"[" * 100_000 + b"]" * 100_000 + b", ", 1)

    with pytest.raises(ValueError, match="nested"):
        Envelope.from_headers({ENVELOPE_HEADER: bottomless})


@given(
    st.sampled_from(list(Envelope.__struct_fields__)),
    st.none()
    | st.booleans()
    | st.floats()
    | st.text()
    | st.integers()
    | st.sampled_from(
        [
            [],
            {},
            "nan",
            10**4000,
            -1,
            "a b",
            "a\x00b",
            "a\n",
            "\ud800",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "2026-01-01T00:00:00",
            "ü",
        ]
    ),
)
def test_a_hostile_field_gives_an_envelope_or_a_value_error_and_nothing_else(name: str, value: object) -> None:
    try:
        read = Envelope.from_headers({ENVELOPE_HEADER: told(**{name: value})})
    except ValueError:
        return
    assert Envelope.from_headers({ENVELOPE_HEADER: read.written()}) == read


@pytest.mark.parametrize("missing", ["source", "id", "type", "occurred_at", "received_at", "livemode"])
def test_an_envelope_is_not_whole_without(missing: str) -> None:
    fields = json.loads(envelope().written())
    del fields[missing]

    with pytest.raises(ValidationError, match=missing):
        Envelope.from_headers({ENVELOPE_HEADER: json.dumps(fields).encode()})


def test_what_a_later_release_adds_to_an_envelope_is_let_through() -> None:
    assert Envelope.from_headers({ENVELOPE_HEADER: told(priority=7, schema_version=2)}) == envelope(schema_version=2)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_moment_outside_of_the_calendar_is_no_moment(moment: str) -> None:
    with pytest.raises(ValidationError, match="between the years"):
        Envelope.from_headers({ENVELOPE_HEADER: told(occurred_at=moment)})


def test_a_moment_of_another_offset_is_the_same_one_in_utc() -> None:
    read = Envelope.from_headers({ENVELOPE_HEADER: told(received_at="2026-01-01T01:30:00+01:30")})

    assert read.received_at.isoformat() == "2026-01-01T00:00:00+00:00"


def test_a_moment_without_its_offset_is_no_moment() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        Envelope.from_headers({ENVELOPE_HEADER: told(occurred_at="2026-01-01T00:00:00")})
    with pytest.raises(ValueError, match="UTC offset"):
        envelope(occurred_at=datetime(2026, 1, 1))  # noqa: DTZ001  # What this test is about.


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({}, "cus_1"),
        ({"customer": None}, "sub_1"),
        ({"customer": None, "subject": None}, "evt_1"),
    ],
)
def test_facts_share_a_lane_by_customer_else_by_object_else_with_nobody(changes: dict[str, Any], key: str) -> None:
    assert envelope(**changes).partition_key == key


def test_a_fact_is_known_by_who_told_it_and_its_id() -> None:
    assert envelope("evt_7").identity == ("stripe", "evt_7")


def test_every_refusal_has_an_outcome() -> None:
    assert set(_OUTCOMES) == {None, *Refusal}


def test_an_envelope_never_changes() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        envelope().id = "evt_2"  # type: ignore[misc]  # mypy sees it too.
