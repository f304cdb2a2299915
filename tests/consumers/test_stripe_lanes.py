"""Requests in hand: their order within a key, and one question for all who want to see one object."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.stripe_lanes import Asked, lanes, read, settles_in
from models.stripe_requests import CancelSubscription, Request, Retrieve, StripeRequested, Why
from tests.models.support_facts import moment


def retrieve(name: str, why: Why = Why.DRIFT) -> Retrieve:
    return Retrieve(object_kind="charge", object_id=name, why=why)


def asked(cause: str, request: Request, lane: str = "ac_1") -> Asked:
    return Asked(cause, lane, "x", None, request)


def cancel(cause: str, lane: str = "ac_1") -> Asked:
    return asked(cause, CancelSubscription(subscription_id="sub_1", at_period_end=False), lane)


def at(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


requests = st.one_of(
    st.builds(retrieve, st.sampled_from("abc"), st.sampled_from(Why)),
    st.builds(CancelSubscription, subscription_id=st.sampled_from("st"), at_period_end=st.booleans()),
)
hands = st.lists(st.tuples(requests, st.sampled_from("xyz")), max_size=30).map(
    lambda told: [asked(f"evt-{number}", request, lane) for number, (request, lane) in enumerate(told)]
)


@given(hands)
def test_each_object_is_asked_for_once_and_every_deed_is_done(hand: list[Asked]) -> None:
    found = [one for lane in lanes(hand) for one in lane]

    shown = [one.request.object_id for one in found if isinstance(one.request, Retrieve)]
    assert sorted(shown) == sorted({one.request.object_id for one in hand if isinstance(one.request, Retrieve)})
    deeds = {one.cause for one in found if not isinstance(one.request, Retrieve)}
    assert deeds == {one.cause for one in hand if not isinstance(one.request, Retrieve)}


@given(hands)
def test_what_has_one_key_stays_in_order(hand: list[Asked]) -> None:
    for lane in lanes(hand):
        numbers = [int(one.cause.removeprefix("evt-")) for one in lane]
        assert numbers == sorted(numbers)
        assert len({one.lane for one in lane}) == 1


@given(hands)
def test_whoever_looks_for_an_owner_has_it_looked_for(hand: list[Asked]) -> None:
    def ownerless(those: Sequence[Asked]) -> set[str]:
        wanted = [one.request for one in those if isinstance(one.request, Retrieve)]
        return {request.object_id for request in wanted if request.why is Why.OWNER_UNKNOWN}

    assert ownerless([one for lane in lanes(hand) for one in lane]) == ownerless(hand)


@given(st.floats(0, 100), st.floats(-10, 110))
def test_an_object_is_looked_at_when_its_last_second_is_over_and_not_much_later(asked_at: float, now: float) -> None:
    one = replace(asked("evt-1", retrieve("a")), asked_at=at(asked_at))

    wait = settles_in(one, at(now), 2.0)

    assert 0 <= wait <= 2.0
    assert now + wait >= min(asked_at + 2.0, now + 2.0) - 1e-4
    assert wait == 0 or now + wait <= asked_at + 2.0 + 1e-4


def test_who_wants_something_done_does_not_wait() -> None:
    assert settles_in(replace(cancel("evt-1"), asked_at=at(7)), at(7), 2.0) == 0


def test_an_object_is_looked_at_as_late_as_the_last_who_asks_for_it_wants() -> None:
    hand = [replace(asked(f"evt-{second}", retrieve("a")), asked_at=at(second)) for second in (1, 2, 3)]

    (lane,) = lanes(hand)

    assert [(one.cause, one.asked_at) for one in lane] == [("evt-1", at(3))]


def test_a_request_that_was_told_twice_is_in_hand_once() -> None:
    assert [list(lane) for lane in lanes([cancel("evt-1"), cancel("evt-1")])] == [[cancel("evt-1")]]


def record(value: object, **headers: str | None) -> Any:
    known = {"ce_id": "evt-1", "ce_type": "billing.stripe.requested.v1", "ce_time": "2026-01-01T00:00:00Z"} | headers
    told = [(name, text.encode() if text is not None else None) for name, text in known.items()]
    body = json.dumps(value).encode()
    return SimpleNamespace(topic="t", partition=2, offset=7, key=b"ac_1", value=body, headers=told, timestamp=7_000)


GOOD = StripeRequested(
    subject="ch_1", account_id="ac_1", customer_id="cus_1", as_of=moment(0), request=retrieve("ch_1")
).model_dump(mode="json")


def test_a_request_is_known_by_its_event() -> None:
    assert read(record(GOOD)) == Asked("evt-1", "ac_1", "ch_1", "cus_1", retrieve("ch_1"), at(7))


@pytest.mark.parametrize(
    "unreadable",
    [
        record([]),
        record("x"),
        record({**GOOD, "request": {"kind": "erase"}}),
        record({**GOOD, "colour": "blue"}),
        record(GOOD, ce_time="yesterday"),
        record(GOOD, ce_id=None),
        SimpleNamespace(**vars(record(GOOD)) | {"headers": []}),
        SimpleNamespace(**vars(record(GOOD)) | {"value": None}),
        SimpleNamespace(**vars(record(GOOD)) | {"value": b"\xff"}),
        SimpleNamespace(**vars(record(GOOD)) | {"key": b"\xff"}),
    ],
)
def test_what_cannot_be_understood_is_known_by_its_place(unreadable: Any) -> None:
    assert read(unreadable) == Asked("t:2:7", "t:2:7", "t:2:7", None, None)
