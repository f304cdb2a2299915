"""Answers of Stripe's travel as its events do, and no two different ones under one id."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import envelopes, stripe_objects
from models.base import Envelope
from models.envelopes import Written
from models.stripe_answers import Failure, Told, failed, shown

NOW = datetime(2026, 3, 1, 12, 0, 0, 700_000, tzinfo=UTC)
TOLD = Told("evt-1", NOW, "2026-10-28.endive", livemode=False, request_id="req_1", idempotency_key="key-1")
CHARGE = {"id": "ch_1", "object": "charge", "customer": "cus_1", "livemode": False, "metadata": {"account_id": "acme"}}


def envelope_of(body: bytes) -> Envelope:
    written = envelopes.read(body, NOW, livemode=False)
    assert isinstance(written, Written)
    return Envelope.from_headers({"fact": written.text})


def event_of(body: bytes) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(body)
    return event


def test_what_stripe_showed_is_a_fact_like_its_own_of_the_second_in_which_it_answered() -> None:
    envelope = envelope_of(shown(CHARGE, TOLD))

    assert envelope.type == "charge.retrieved"
    assert (envelope.subject, envelope.customer, envelope.account) == ("ch_1", "cus_1", "acme")
    assert envelope.occurred_at == NOW.replace(microsecond=0)
    assert envelope.api_version == "2026-10-28.endive"
    assert not envelope.livemode


def test_an_answer_carries_the_object_whole_and_names_the_request() -> None:
    event = event_of(shown(CHARGE, TOLD))

    assert event["data"] == {"object": CHARGE}
    assert event["request"] == {"id": "req_1", "idempotency_key": "key-1", "cause": "evt-1"}


def test_the_same_answer_is_the_same_fact_and_any_other_answer_another() -> None:
    others = (
        replace(TOLD, cause="evt-2"),
        replace(TOLD, answered_at=NOW + timedelta(seconds=1)),
        replace(TOLD, request_id="req_2"),
    )
    bodies = [shown(CHARGE, TOLD), *(shown(CHARGE, other) for other in others)]
    bodies += [shown(CHARGE | {"amount": 1}, TOLD), failed(Failure("ch_1", "retrieve", "resource_missing"), TOLD)]

    assert shown(CHARGE, TOLD) == bodies[0]
    assert len({event_of(body)["id"] for body in bodies}) == len(bodies)
    assert all(event_of(body)["id"].startswith("ans_") for body in bodies)


def test_an_object_that_does_not_say_its_mode_is_of_ours() -> None:
    without = {"id": "re_1", "object": "refund"}

    assert not envelope_of(shown(without, TOLD)).livemode
    assert envelope_of(shown(without, replace(TOLD, livemode=True))).livemode


def test_a_failure_is_a_fact_of_the_object_that_was_asked_about() -> None:
    failure = Failure("ch_1", "refund", "charge_already_refunded", customer="cus_1", status=400, param="amount")

    body = failed(failure, TOLD)

    assert envelope_of(body).type == "stripe.request.failed"
    assert (envelope_of(body).subject, envelope_of(body).customer) == ("ch_1", "cus_1")
    assert event_of(body)["data"]["object"]["reason"] == "charge_already_refunded"


def test_a_failure_is_no_version_of_the_object_that_was_asked_about() -> None:
    body = failed(Failure("sub_1", "cancel_subscription", "resource_missing"), TOLD)

    assert event_of(body)["data"]["object"]["object"] == "stripe_request"
    assert not envelope_of(body).type.startswith("customer.subscription.")


@pytest.mark.parametrize("kind", ["customer", "product"])
def test_what_was_deleted_is_told_as_a_deletion(kind: str) -> None:
    """Asked about it, Stripe shows the id and that it is deleted, and nothing else."""
    thing = {"id": "x_1", "object": kind, "deleted": True}
    body = shown(thing, TOLD)
    event = event_of(body)

    assert (event["type"], event["id"][:4]) == (f"{kind}.deleted", "ans_")
    seen = stripe_objects.read(f"{kind}.deleted", body)
    assert seen is not None
    assert seen.after.livemode is TOLD.livemode
    assert seen.after.kind == kind
    assert seen.after.ended is (kind == "customer")
