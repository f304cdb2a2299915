"""The envelope travels in Kafka's headers, and whatever else comes in them is refused in one way."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.base import HEADER_PREFIX, Envelope, Refusal, Source
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
    key_id=st.none() | identifiers,
)


@given(envelopes)
def test_an_envelope_comes_out_of_its_headers_as_it_went_in(sent: Envelope) -> None:
    assert Envelope.from_headers(dict(sent.to_headers())) == sent


@given(envelopes, st.dictionaries(st.text().filter(lambda name: not name.startswith(HEADER_PREFIX)), st.binary()))
def test_headers_of_others_are_left_alone(sent: Envelope, foreign: dict[str, bytes]) -> None:
    assert Envelope.from_headers(foreign | dict(sent.to_headers())) == sent


@given(
    st.sampled_from(list(Envelope.model_fields)),
    st.none()
    | st.binary()
    | st.sampled_from(
        [
            b"",
            b"\xff\xfe",
            b"nan",
            b"9" * 5000,
            b"-1",
            b"a b",
            b"a\x00b",
            b"a\n",
            b"0001-01-01T00:00:00+23:59",
            b"9999-12-31T23:59:59-23:59",
            b"2026-01-01T00:00:00",
            "ü".encode(),
        ]
    ),
)
def test_a_hostile_header_gives_an_envelope_or_a_value_error_and_nothing_else(name: str, value: bytes | None) -> None:
    headers: dict[str, bytes | None] = {**dict(envelope().to_headers()), HEADER_PREFIX + name: value}

    try:
        read = Envelope.from_headers(headers)
    except ValueError:
        return
    assert Envelope.from_headers(dict(read.to_headers())) == read


@pytest.mark.parametrize("missing", ["source", "id", "type", "occurred_at", "received_at", "livemode"])
def test_an_envelope_is_not_whole_without(missing: str) -> None:
    headers = dict(envelope().to_headers())
    del headers[HEADER_PREFIX + missing]

    with pytest.raises(ValidationError, match=missing):
        Envelope.from_headers(headers)


def test_a_null_header_is_no_envelope() -> None:
    with pytest.raises(ValueError, match="id"):
        Envelope.from_headers({**dict(envelope().to_headers()), "fact_id": None})


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_moment_outside_of_the_calendar_is_no_moment(moment: str) -> None:
    with pytest.raises(ValidationError, match="between the years"):
        envelope(occurred_at=moment)


def test_a_moment_without_its_offset_is_no_moment() -> None:
    with pytest.raises(ValidationError, match="UTC offset"):
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
    with pytest.raises(ValidationError, match="frozen"):
        envelope().id = "evt_2"  # type: ignore[misc]  # mypy sees it too.
