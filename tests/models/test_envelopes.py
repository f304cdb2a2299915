import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingress.signature import Claim
from ingress.signature import read as read_signature
from models.base import Envelope, Source
from models.envelopes import Misfit, Written, read, read_leniently
from tests.ingress.support import SECRET, event, mutated, sign

RECEIVED = datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC)
CREATED = 1_767_225_600


def envelope(shown: Any = None, **fields: Any) -> Envelope:
    said = {"id": "evt_1", "type": "a.b", "created": CREATED, "livemode": False, "data": {"object": shown}, **fields}
    return envelope_in(json.dumps(said).encode())


def envelope_in(body: bytes, *, livemode: bool = False) -> Envelope:
    got = read(body, RECEIVED, livemode=livemode)
    assert isinstance(got, Written)
    told = Envelope.from_headers({"fact": got.text})
    assert got == Written.of(told)
    return told


def test_an_event_says_who_what_and_when() -> None:
    got = envelope(
        {"id": "sub_1", "object": "subscription", "customer": "cus_1", "metadata": {"account_id": "acme"}},
        type="customer.subscription.updated",
        api_version="2025-03-31.basil",
        account="acct_1",
        livemode=True,
    )

    assert got == Envelope(
        source=Source.STRIPE,
        id="evt_1",
        type="customer.subscription.updated",
        subject="sub_1",
        customer="cus_1",
        account="acme",
        occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
        received_at=RECEIVED,
        api_version="2025-03-31.basil",
        livemode=True,
        stripe_account="acct_1",
    )


@pytest.mark.parametrize(
    ("shown", "customer"),
    [
        ({"object": "invoice", "id": "in_1", "customer": "cus_1"}, "cus_1"),
        ({"object": "invoice", "id": "in_1", "customer": {"id": "cus_1", "object": "customer"}}, "cus_1"),
        ({"object": "customer", "id": "cus_1"}, "cus_1"),
        ({"object": "dispute", "id": "dp_1"}, None),
        ({"object": "invoice", "customer": None}, None),
        ({"object": "invoice", "customer": {"id": 7}}, None),
        ({"object": "invoice", "customer": ["cus_1"]}, None),
        ({"object": "invoice", "customer": "cus 1"}, None),
    ],
)
def test_the_customer_is_found_whether_named_carried_or_shown(shown: dict[str, Any], customer: str | None) -> None:
    assert envelope(shown).customer == customer


@pytest.mark.parametrize(
    ("shown", "account"),
    [
        ({"object": "customer", "metadata": {"account_id": "acme"}}, "acme"),
        ({"object": "checkout.session", "client_reference_id": "acme"}, "acme"),
        ({"object": "checkout.session", "client_reference_id": "acme", "payment_link": None}, "acme"),
        ({"object": "checkout.session", "client_reference_id": "mallory", "payment_link": "plink_1"}, None),
        (
            {"object": "checkout.session", "client_reference_id": "mallory", "metadata": {"account_id": "acme"}},
            "acme",
        ),
        ({"object": "invoice", "client_reference_id": "mallory"}, None),
        ({"object": "customer", "metadata": None}, None),
        ({"object": "customer", "metadata": {"account_id": ""}}, None),
        ({"object": "customer", "metadata": {"account_id": "two words"}}, None),
        ({"object": "customer", "metadata": {"account_id": "x" * 256}}, None),
    ],
)
def test_the_account_is_taken_only_from_where_no_visitor_can_write_it(
    shown: dict[str, Any], account: str | None
) -> None:
    assert envelope(shown).account == account


@pytest.mark.parametrize(
    "created", [None, "yesterday", "2026-01-01", -1, 0, True, 1.5, 253_402_300_800, 10**30, [], {}]
)
def test_a_time_that_makes_no_sense_is_the_time_of_receipt(created: object) -> None:
    assert envelope(created=created).occurred_at == RECEIVED


def test_a_thin_event_names_its_object_and_writes_its_time_in_words() -> None:
    got = envelope(
        object="v2.core.event",
        type="v1.billing.meter.error_report_triggered",
        created="2026-01-01T00:00:00.250Z",
        related_object={"id": "mtr_1", "type": "billing.meter", "url": "/v1/billing/meters/mtr_1"},
    )

    assert got.subject == "mtr_1"
    assert got.partition_key == "mtr_1"
    assert got.occurred_at == datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)


def test_an_event_that_does_not_say_its_mode_is_of_ours() -> None:
    assert envelope_in(b'{"id": "evt_1", "type": "a.b"}', livemode=True).livemode


@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "evt_1", "type": "a.b", "n": ' + b"9" * 5_000 + b"}",
        b'{"id": "evt_1", "type": "a.b", "created": ' + b"9" * 5_000 + b"}",
        b'{"id": "evt_1", "type": "a.b", "n": -' + b"9" * 5_000 + b"}",
        b'{"id": "evt_1", "type": "a.b", "n": 1e999999}',
        b'{"id": "evt_1", "type": "a.b", "n": NaN, "m": -Infinity}',
        b'{"id": "evt_1", "type": "a.b", "n": "\\ud800"}',
        b'{"id": "evt_1", "type": "a.b", "account": "\\ud800"}',
        b'{"id": "evt_1", "type": "a.b", "n": "\\u0000"}',
        b'{"id": "evt_1", "type": "a.b", "data": [], "account": {}, "api_version": 7, "livemode": "no"}',
        b'{"id": "evt_1", "type": "a.b", "data": {"object": []}, "related_object": 1}',
        b'{"id": 1, "id": "evt_1", "type": "x y", "type": "a.b"}',
        b'{"id": "evt_1", "type": "a.b", "n": ' + b"[" * 500 + b"]" * 500 + b"}",
        b' \n{"id": "evt_1", "type": "a.b"}\t',
    ],
)
def test_oddities_around_an_id_and_a_type_are_no_reason_to_refuse(body: bytes) -> None:
    got = envelope_in(body)

    assert (got.id, got.type, got.livemode, got.occurred_at) == ("evt_1", "a.b", False, RECEIVED)


@pytest.mark.parametrize(
    ("body", "misfit"),
    [
        (b"", Misfit.NOT_JSON),
        (b"\xff\xfe", Misfit.NOT_JSON),
        (b"{", Misfit.NOT_JSON),
        (b'{"id": "evt_1", "type": "a.b"} x', Misfit.NOT_JSON),
        (b'\xef\xbb\xbf{"id": "evt_1", "type": "a.b"}', Misfit.NOT_JSON),
        ('{"id": "evt_1", "type": "a.b"}'.encode("utf-16"), Misfit.NOT_JSON),
        (b'{"id": "evt_1", "type": "a.b", "n": "\0"}', Misfit.NOT_JSON),
        (b"[" * 100_000, Misfit.TOO_DEEP),
        (b'{"id": "evt_1", "type": "a.b", "n": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", Misfit.TOO_DEEP),
        (b"[]", Misfit.NOT_AN_OBJECT),
        (b"null", Misfit.NOT_AN_OBJECT),
        (b"7", Misfit.NOT_AN_OBJECT),
        (b'"evt_1"', Misfit.NOT_AN_OBJECT),
        (b"NaN", Misfit.NOT_AN_OBJECT),
        (b"{}", Misfit.NO_IDENTITY),
        (b'{"id": "evt_1"}', Misfit.NO_IDENTITY),
        (b'{"type": "a.b"}', Misfit.NO_IDENTITY),
        (b'{"id": "", "type": "a.b"}', Misfit.NO_IDENTITY),
        (b'{"id": null, "type": "a.b"}', Misfit.NO_IDENTITY),
        (b'{"id": 7, "type": "a.b"}', Misfit.NO_IDENTITY),
        (b'{"id": ["evt_1"], "type": "a.b"}', Misfit.NO_IDENTITY),
        (b'{"id": NaN, "type": "a.b"}', Misfit.NO_IDENTITY),
        (b'{"id": "evt_1", "type": -Infinity}', Misfit.NO_IDENTITY),
        (b'{"id": 1.5, "type": "a.b"}', Misfit.NO_IDENTITY),
        (b'{"id": "evt_1\\n", "type": "a.b"}', Misfit.NO_IDENTITY),
        (b'{"id": "evt\\u00001", "type": "a.b"}', Misfit.NO_IDENTITY),
        (b'{"id": "\\ud800", "type": "a.b"}', Misfit.NO_IDENTITY),
        (b'{"id": "evt_1", "type": {"a": "b"}}', Misfit.NO_IDENTITY),
    ],
)
def test_what_nobody_could_make_sense_of_is_a_misfit(body: bytes, misfit: Misfit) -> None:
    assert read(body, RECEIVED, livemode=False) is misfit


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NAMES = ["account", "api_version", "created", "livemode", "data", "related_object", "object", "request"]
shown_names = st.sampled_from(["id", "object", "customer", "metadata", "client_reference_id", "payment_link"])
events = st.dictionaries(
    st.sampled_from(NAMES),
    json_values | st.fixed_dictionaries({"object": st.dictionaries(shown_names, json_values)}),
)


@given(events)
@settings(max_examples=500, deadline=None)
def test_whatever_else_an_event_holds_its_envelope_travels_in_headers_and_comes_back(event: dict[str, Any]) -> None:
    assert envelope_in(json.dumps({**event, "id": "evt_1", "type": "a.b"}).encode()).id == "evt_1"


@given(st.binary(max_size=300))
@settings(max_examples=500)
def test_any_bytes_at_all_are_answered_and_never_raised(body: bytes) -> None:
    assert isinstance(read(body, RECEIVED, livemode=False), Written | Misfit)


shown_usually = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["sub_1", "s 1", ""]),
        "object": st.sampled_from(["customer", "checkout.session", "invoice"]),
    },
    optional={
        "customer": st.sampled_from(["cus_1", None, {"id": "cus_1"}, "cus 1", 7]),
        "metadata": st.sampled_from(
            [None, {}, {"account_id": "acme"}, {"account_id": "two words"}, {"account_id": None}]
        ),
        "client_reference_id": st.sampled_from([None, "acme", ""]),
        "payment_link": st.sampled_from([None, "plink_1"]),
    },
)
usual_events = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["evt_1", "evt 1", 7]),
        "object": st.sampled_from(["event", "v2.core.event", None]),
        "type": st.just("a.b"),
        "created": st.sampled_from([CREATED, 0, -1, 1.5, 253_402_300_800, "2026-01-01T00:00:00Z"]),
        "livemode": st.sampled_from([True, False, None, 1]),
        "api_version": st.sampled_from(["2024-06-20", None, 7]),
        "data": st.fixed_dictionaries({"object": shown_usually}),
    },
    optional={"account": st.sampled_from(["acct_1", None, ""])},
)


@given(usual_events, st.booleans())
@settings(max_examples=1_000, deadline=None)
def test_the_short_way_tells_what_the_long_way_tells(
    event: dict[str, Any], livemode: bool
) -> None:  # Hypothesis' argument.
    body = json.dumps(event).encode()

    assert read(body, RECEIVED, livemode=livemode) == read_leniently(body, RECEIVED, livemode=livemode)


def test_the_short_way_tells_what_the_long_way_tells_of_ten_thousand_mutated_events() -> None:
    chance = random.Random(20261125)
    for number in range(10_000):
        body = mutated(event(f"evt_{number}"), chance)
        assert read(body, RECEIVED, livemode=False) == read_leniently(body, RECEIVED, livemode=False), body


@pytest.mark.parametrize(
    "twice", [b'"customer": "cus_1", "customer": "cus_2"', b'"customer": "cus_2", "customer": 7', b'"id": "sub_2"']
)
def test_of_two_equal_keys_the_last_one_counts_whichever_way_is_taken(twice: bytes) -> None:
    body = event("evt_1").replace(b'"object": {', b'"object": {%b, ' % twice)
    assert twice in body

    assert read(body, RECEIVED, livemode=False) == read_leniently(body, RECEIVED, livemode=False)


def test_ten_thousand_mutated_events_are_answered_and_none_is_raised() -> None:
    chance = random.Random(20260102)
    misfits = 0
    for number in range(10_000):
        body = mutated(event(f"evt_{number}"), chance)
        got = read(body, RECEIVED, livemode=False)
        misfits += isinstance(got, Misfit)
        claim = read_signature(sign(body, at=RECEIVED.timestamp()), RECEIVED, 300)
        assert isinstance(got, Written | Misfit)
        assert isinstance(claim, Claim)
        assert claim.holds(body, (SECRET.encode(),))
        assert not claim.holds(body + b" ", (SECRET.encode(),))
    assert 0 < misfits < 10_000
