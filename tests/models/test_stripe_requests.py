"""What a decision may ask of Stripe, and what it may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.stripe_requests import CancelSubscription, Refund, Retrieve, StripeRequested, Why
from models.topics import STRIPE_REQUESTS, TOPICS
from tests.models.support_facts import moment

RETRIEVE = Retrieve(object_kind="charge", object_id="ch_1", why=Why.OWNER_UNKNOWN)


def requested(request: Any, account_id: str | None = "ac_1") -> StripeRequested:
    return StripeRequested(subject="ch_1", account_id=account_id, as_of=moment(0), request=request)


def test_a_request_is_read_as_it_was_said() -> None:
    for request in (RETRIEVE, CancelSubscription(subscription_id="sub_1", at_period_end=True)):
        said = requested(request)

        assert StripeRequested.model_validate_json(said.model_dump_json()) == said


def test_requests_of_one_account_keep_their_order_and_others_that_of_their_object() -> None:
    assert requested(RETRIEVE).key == "ac_1"
    assert requested(RETRIEVE, account_id=None).key == "ch_1"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "refund", "amount_minor": 100},
        {"kind": "refund", "amount_minor": 100, "payment_intent_id": "pi_1", "charge_id": "ch_1"},
        {"kind": "refund", "amount_minor": 0, "payment_intent_id": "pi_1"},
        {"kind": "refund", "amount_minor": -100, "payment_intent_id": "pi_1"},
        {"kind": "refund", "amount_minor": 1.5, "payment_intent_id": "pi_1"},
        {"kind": "refund", "amount_minor": 100, "payment_intent_id": "pi_1", "reason": "because"},
        {"kind": "change_subscription", "subscription_id": "sub_1", "price_lookup_key": "mid", "quantity": 0},
        {"kind": "retrieve", "object_kind": "charge", "object_id": "ch 1", "why": "drift"},
        {"kind": "retrieve", "object_kind": "charge", "object_id": "ch_1", "why": "curiosity"},
        {"kind": "delete_customer", "customer_id": "cus_1"},
    ],
)
def test_what_makes_no_sense_cannot_be_asked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        requested(wrong)


def test_a_refund_names_what_it_gives_back() -> None:
    assert requested(Refund(charge_id="ch_1", amount_minor=100)).request.kind == "refund"


def test_requests_have_a_topic_of_the_list() -> None:
    assert STRIPE_REQUESTS in TOPICS
    assert StripeRequested.topic is STRIPE_REQUESTS
