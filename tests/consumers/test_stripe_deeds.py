"""What requests do at a Stripe that breaks on them: each once, and what was asked for is what is shown."""

import asyncio
from collections import Counter

import pytest

from consumers.stripe_deeds import PLACES, Deeds
from models.stripe_requests import Refund, RefundReason, Retrieve, Why
from runtime.stripe_client import Refused, StripeClient
from tests.consumers.support_shop import make, paid
from tests.support_stripe import Pretend


def retrieve(kind: str, name: str, why: Why = Why.DRIFT) -> Retrieve:
    return Retrieve(object_kind=kind, object_id=name, why=why)


async def test_an_object_is_shown_as_it_is(client: StripeClient, deeds: Deeds) -> None:
    customer = await make(client, "customers", email="ada@example.com")
    await make(client, "customers", customer["id"], name="Ada")

    (shown,) = await deeds.do("evt-1", retrieve("customer", customer["id"]))

    assert (shown.object["id"], shown.object["name"]) == (customer["id"], "Ada")


@pytest.mark.parametrize("kind", sorted(PLACES))
async def test_each_kind_of_object_has_its_place_and_what_is_not_there_is_refused(deeds: Deeds, kind: str) -> None:
    with pytest.raises(Refused, match="resource_missing"):
        await deeds.do("evt-1", retrieve(kind, "no_such_thing"))


async def test_a_kind_that_we_do_not_know_is_refused_without_asking(pretend: Pretend, deeds: Deeds) -> None:
    with pytest.raises(Refused, match="unknown_object_kind"):
        await deeds.do("evt-1", retrieve("account", "acct_1"))

    assert not pretend.desk.journal.entries


@pytest.mark.parametrize("kind", ["error", "error_after", "hang_after", "reset_after", "rate_limit"])
async def test_whatever_goes_wrong_money_is_given_back_once(
    pretend: Pretend, client: StripeClient, deeds: Deeds, kind: str
) -> None:
    intent = await paid(client, 10_000)
    fault = pretend.fault(kind, method="POST", share=0.3)
    refunds = [Refund(payment_intent_id=intent["id"], amount_minor=100 + number) for number in range(10)]

    done = await asyncio.gather(*(deeds.do(f"evt-{refund.amount_minor}", refund) for refund in refunds))

    assert fault.struck
    given_back = Counter(refund["amount"] for refund in pretend.things("refund"))
    assert given_back == Counter(refund.amount_minor for refund in refunds)
    assert sorted(answer.object["amount"] for (answer,) in done) == sorted(given_back)


async def test_a_refund_that_is_asked_again_after_stripe_forgot_the_key_is_not_made_again(
    pretend: Pretend, client: StripeClient, deeds: Deeds
) -> None:
    intent = await paid(client)
    refund = Refund(payment_intent_id=intent["id"], amount_minor=100, reason=RefundReason.DUPLICATE)
    (first,) = await deeds.do("evt-1", refund)
    pretend.desk.keys._kept.clear()

    (second,) = await deeds.do("evt-1", refund)

    assert second.object["id"] == first.object["id"]
    assert first.object["reason"] == "duplicate"
    assert len(pretend.things("refund")) == 1


async def test_two_requests_for_the_same_sum_are_two_refunds(
    pretend: Pretend, client: StripeClient, deeds: Deeds
) -> None:
    intent = await paid(client)
    refund = Refund(charge_id=intent["latest_charge"], amount_minor=100)

    await deeds.do("evt-1", refund)
    await deeds.do("evt-2", refund)

    assert [one["amount"] for one in pretend.things("refund")] == [100, 100]


async def test_more_than_was_paid_is_refused(client: StripeClient, deeds: Deeds) -> None:
    intent = await paid(client, 1_000)

    with pytest.raises(Refused):
        await deeds.do("evt-1", Refund(payment_intent_id=intent["id"], amount_minor=1_001))
