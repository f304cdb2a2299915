"""Every shape that Stripe ever sent says the same; a body that does not say what it should is refused in safe words."""

import hashlib
import json
from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from models import stripe_events
from models.base import as_json
from models.stripe_events import Fact, Unreadable, knows_api_version
from tests.models.support_facts import (
    BASIL,
    BEFORE_BASIL,
    NOON,
    PLAN_ITEMS,
    SHAPES,
    envelope,
    envelope_of,
    event,
    fact_of,
    subscription,
    version_of,
)
from tests.models.support_lifecycles import Lifecycle, lifecycles

Json = dict[str, Any]

CANARY = "sk_live_canary4242"

FULL = subscription(
    quantity=3,
    trial_end=NOON + 9,
    cancel_at=NOON + 99,
    cancel_at_period_end=True,
    canceled_at=NOON + 5,
    paused=True,
)


def after(event: Json) -> stripe_events.Snapshot:
    body = fact_of(event).body
    assert body is not None
    return body.after


def before(event: Json) -> stripe_events.Snapshot | None:
    body = fact_of(event).body
    assert body is not None
    return body.before


def changed(path: str, value: object) -> Json:
    """An event whose field at *path* below `data` is *value*."""
    event_ = event("evt_1", FULL, subscription(), shape=BASIL)
    at: Any = event_["data"]
    *way, last = path.split(".")
    for step in way:
        at = at[int(step)] if step.isdigit() else at[step]
    at[last] = value
    return event_


def why(event: Json) -> str:
    """The words with which a body is refused; its envelope is whole."""
    with pytest.raises(Unreadable) as refused:
        stripe_events.read(envelope(), json.dumps(event).encode())
    return str(refused.value)


# Shapes.


def test_the_shape_before_basil_says_what_the_shape_since_says() -> None:
    assert after(event("evt_1", FULL, shape=BEFORE_BASIL)) == after(event("evt_1", FULL, shape=BASIL))


@given(lifecycles(steps_max=6))
def test_in_every_shape_a_lifecycle_shows_the_same(lifecycle: Lifecycle) -> None:
    for new, old, kind, second in lifecycle.happenings:
        shown = [version_of(event("evt_1", new, old, kind=kind, created=second, shape=shape)) for shape in SHAPES]
        assert shown[0] == shown[1] == shown[2]


def test_an_item_of_before_2020_has_a_plan_and_no_price() -> None:
    (item,) = after(event("evt_1", FULL, shape=PLAN_ITEMS)).items

    assert (item.price_id, item.lookup_key, item.plan_hint, item.interval) == ("plan_mid_monthly", None, "mid", "month")


def test_where_an_item_has_both_the_price_counts() -> None:
    event_ = event("evt_1", FULL)
    event_["data"]["object"]["items"]["data"][0]["plan"] = {"id": "plan_old"}

    assert after(event_).items[0].price_id == "price_mid_monthly"


def test_an_expanded_customer_is_read_as_its_id() -> None:
    event_ = event("evt_1", FULL)
    event_["data"]["object"]["customer"] = {"id": "cus_1", "object": "customer", "email": CANARY}

    seen = stripe_events.read(envelope(), json.dumps(event_).encode())

    assert seen.body is not None
    assert seen.body.after.customer_id == "cus_1"
    assert CANARY not in repr(seen)


def test_a_plan_beside_the_price_is_not_looked_at() -> None:
    event_ = event("evt_1", FULL)
    [item] = event_["data"]["object"]["items"]["data"]
    item["plan"] = {"id": ["of", "no", "kind"], "interval": 7}

    assert after(event_) == after(event("evt_1", FULL))


@pytest.mark.parametrize("plan", [None, CANARY, {}, {"id": 1}, {"id": CANARY + " "}])
def test_an_item_without_a_price_needs_a_plan_that_can_be_read(plan: object) -> None:
    event_ = event("evt_1", FULL)
    [item] = event_["data"]["object"]["items"]["data"]
    del item["price"]
    item["plan"] = plan

    words = why(event_)

    assert "data.object.items.data" in words
    assert CANARY not in words


def test_an_expanded_product_tells_the_plan_where_the_price_does_not() -> None:
    event_ = event("evt_1", FULL)
    price = event_["data"]["object"]["items"]["data"][0]["price"]
    price |= {"product": {"id": "prod_1", "metadata": {"plan": "high"}}}
    assert after(event_).items[0].plan_hint == "high"

    price |= {"metadata": {"plan": "mid"}}
    assert after(event_).items[0].plan_hint == "mid"


def test_fields_that_stripe_added_since_are_passed_over() -> None:
    event_ = event("evt_1", FULL)
    expected = after(event_)
    event_["new"] = event_["data"]["new"] = event_["data"]["object"]["new"] = {"any": ["thing"]}

    assert after(event_) == expected


# Previous attributes.


@pytest.mark.parametrize("shape", SHAPES)
def test_previous_attributes_are_put_back(shape: str) -> None:
    old = subscription(lookup_key="high_yearly", status="past_due")

    assert before(event("evt_1", FULL, old, shape=shape)) == after(event("evt_1", old, shape=shape))


def test_a_fact_that_tells_no_change_has_no_before() -> None:
    assert before(event("evt_1", FULL)) is None


def test_a_change_of_what_nobody_reads_was_the_same_before() -> None:
    event_ = event("evt_1", FULL | {"note": "new"}, FULL)

    assert before(event_) == after(event_)


def test_previous_attributes_that_do_not_tell_the_items_leave_them() -> None:
    assert before(changed("previous_attributes", {"items": {"total_count": 2}})) == after(event("evt_1", FULL))


def test_a_pause_that_was_none_before_is_put_back() -> None:
    was = before(event("evt_1", subscription(paused=True), subscription()))

    assert was is not None
    assert not was.collection_paused


# What cannot be read.

WRONG_SECONDS: list[object] = ["1790000000", 2**63, 2**200, -1, 1.5, float("nan"), float("inf"), True, [], {}, CANARY]
WRONG_COUNTS: list[object] = ["2", 2**63, -1, 1.5, float("nan"), True, [], {}, CANARY]
WRONG_FLAGS: list[object] = [None, "true", "yes", 1, 0, [], {}, CANARY]
WRONG_IDS: list[object] = [None, 1, "", " ", "a b", "x" * 256, "a\x00", "ü", "\ud800", True, [], CANARY + " "]
WRONG_OBJECTS: list[object] = [None, 1, "x", [], True, CANARY]


@pytest.mark.parametrize(
    ("path", "wrongs"),
    [
        ("object", WRONG_OBJECTS),
        ("object.id", WRONG_IDS),
        ("object.customer", [*WRONG_IDS, {}, {"id": None}, {"id": CANARY + " "}]),
        ("object.status", [None, 1, "", "Active", "ended", [], CANARY]),
        ("object.livemode", WRONG_FLAGS),
        ("object.cancel_at_period_end", WRONG_FLAGS),
        ("object.trial_end", WRONG_SECONDS),
        ("object.cancel_at", WRONG_SECONDS),
        ("object.canceled_at", WRONG_SECONDS),
        ("object.current_period_end", WRONG_SECONDS),
        ("object.items", WRONG_OBJECTS),
        ("object.items.data", [None, 1, "x", {}, [None], [CANARY]]),
        ("object.items.data.0.quantity", WRONG_COUNTS),
        ("object.items.data.0.current_period_start", WRONG_SECONDS),
        ("object.items.data.0.price", WRONG_OBJECTS),
        ("object.items.data.0.price.id", WRONG_IDS),
        ("object.items.data.0.price.lookup_key", [1, "", "a b", [], CANARY + " "]),
        ("object.pause_collection", [1, "x", [], True, CANARY]),
        ("previous_attributes", [1, "x", [], True, CANARY]),
        ("previous_attributes.status", [None, 1, "gone", CANARY]),
        ("previous_attributes.trial_end", WRONG_SECONDS),
        ("previous_attributes.cancel_at_period_end", ["true", 1, CANARY]),
        ("previous_attributes.items", WRONG_OBJECTS),
    ],
)
def test_a_value_of_a_wrong_type_is_refused_in_words_that_hold_none_of_it(path: str, wrongs: list[object]) -> None:
    for wrong in wrongs:
        words = why(changed(path, wrong))

        assert path.rsplit(".", 1)[-1] in words or "body" in words, words
        assert CANARY not in words


@pytest.mark.parametrize("missing", ["id", "customer", "status", "livemode"])
def test_a_subscription_is_not_whole_without(missing: str) -> None:
    event_ = event("evt_1", FULL)
    del event_["data"]["object"][missing]

    assert missing in why(event_)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"' + CANARY.encode() + b'"',
        b"\xff\xfe",
        b'{"data": ' + CANARY.encode(),
        b'{"data": null}',
        b'{"data": {"object": {"id": "\\ud800"}}}',
        b"[" * 100_000,
        b'{"data": {"object": ' + b"9" * 5000 + b"}}",
    ],
    ids=range(11),
)
def test_bytes_that_are_no_event_are_refused_in_safe_words(raw: bytes) -> None:
    with pytest.raises(Unreadable) as refused:
        stripe_events.read(envelope(), raw)

    assert CANARY not in str(refused.value)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["data", "object", "items", "id", "status"]), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_is_signed_is_read_or_unreadable_and_nothing_else(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        stripe_events.read(envelope(), raw)


def test_an_envelope_of_another_customer_does_not_go_with_the_body() -> None:
    with pytest.raises(Unreadable, match="different customers"):
        stripe_events.read(envelope(customer="cus_2"), json.dumps(event("evt_1", FULL)).encode())


def test_a_body_that_nobody_reads_is_not_looked_at() -> None:
    assert stripe_events.read(envelope(type="plan.created"), b"\xff").body is None


# Two copies of one event.


def digest(event: Json, dump: Callable[[Json], str] = json.dumps, **changes: Any) -> bytes:
    on_it = replace(envelope_of(event), **changes)
    return stripe_events.read(on_it, dump(event).encode()).digest


@given(lifecycles(steps_max=3), st.integers(0, 8), st.booleans())
def test_spelling_does_not_make_another_event(lifecycle: Lifecycle, indent: int, sort: bool) -> None:
    for event_ in lifecycle.events():
        spelled = digest(event_, lambda value: json.dumps(value, indent=indent, sort_keys=sort, ensure_ascii=False))
        assert spelled == digest(event_)


def test_what_nobody_reads_does_not_make_another_event() -> None:
    event_ = event("evt_1", FULL)

    assert digest(event_ | {"pending_webhooks": 3}) == digest(event_)


@pytest.mark.parametrize(
    "other",
    [
        {"status": "past_due"},
        {"quantity": 4},
        {"lookup_key": "high_monthly"},
        {"period": (NOON, NOON + 1)},
        {"trial_end": None},
        {"cancel_at": None},
        {"cancel_at_period_end": False},
        {"canceled_at": None},
        {"paused": False},
        {"customer": "cus_2"},
        {"id": "sub_2"},
    ],
)
def test_another_content_is_another_event(other: Json) -> None:
    assert digest(event("evt_1", FULL | other)) != digest(event("evt_1", FULL))


def test_another_past_second_or_kind_is_another_event() -> None:
    one = digest(event("evt_1", FULL))

    assert digest(event("evt_1", FULL, subscription())) != one
    assert digest(event("evt_1", FULL, created=NOON + 1)) != one
    assert digest(event("evt_1", FULL, kind="resumed")) != one


def test_another_account_or_customer_on_the_envelope_is_another_event() -> None:
    """The books act on these too, also where they read no body."""
    told = Fact(envelope=envelope(type="customer.updated", subject="cus_1", account="P1"))

    for other in ({"account": "P2"}, {"account": None}, {"customer": "cus_2"}, {"livemode": True}):
        assert Fact(envelope=replace(told.envelope, **other)).digest != told.digest
    late = replace(told.envelope, received_at=told.envelope.occurred_at, causation="evt_0")
    assert Fact(envelope=late).digest == told.digest


@pytest.mark.parametrize(
    ("api_version", "known"),
    [
        (None, True),
        ("2017-12-14", True),
        ("2024-06-20", True),
        ("2025-03-31.basil", True),
        ("2026-10-28.endive", True),
        ("2017-01-27", False),
        ("2031-01-01.zebra", False),
        ("latest", False),
        ("2025-03-31.Basil", False),
    ],
)
def test_versions_beyond_what_was_tested_are_flagged(api_version: str | None, known: bool) -> None:
    assert knows_api_version(api_version) is known


def test_a_slice_is_read_whatever_the_order_of_its_fields_and_whoever_added_some() -> None:
    """Releases before this one wrote another order, and later ones may know more."""
    for event_ in (event("evt_1", FULL), event("evt_1", FULL, subscription())):
        body = stripe_events.read(envelope_of(event_), json.dumps(event_).encode()).body
        assert body is not None
        stored = {"later": 1} | dict(reversed(json.loads(as_json(body)).items()))
        assert stripe_events.as_read(json.dumps(stored)) == body


def test_a_change_of_what_a_copy_is_compared_by_raises_the_slices_version() -> None:
    """Change the sum below together with SLICE_VERSION: copies that another release read are then not compared."""
    schema = json.dumps(msgspec.json.schema_components(get_args(stripe_events.Seen)), sort_keys=True)

    assert (stripe_events.SLICE_VERSION, hashlib.sha256(schema.encode()).hexdigest()[:16]) == (5, "53e5c10a38471db7")
