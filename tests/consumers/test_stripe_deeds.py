"""What requests do at a Stripe that breaks on them: each once, and what was asked for is what is shown."""

import asyncio
from collections import Counter

import pytest

from consumers.stripe_deeds import PLACES, Deeds
from models.stripe_requests import (
    CancelSubscription,
    ChangeSubscription,
    Proration,
    Refund,
    RefundReason,
    Request,
    Retrieve,
    Why,
)
from runtime.stripe_client import Refused, StripeClient, path
from tests.consumers.support_shop import guest_paid, make, paid, price, subscribed
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


@pytest.mark.parametrize("kind", ["payment_intent", "charge"])
async def test_whoever_looks_for_the_owner_of_a_guests_payment_is_shown_the_session_that_knows(
    client: StripeClient, pretend: Pretend, deeds: Deeds, kind: str
) -> None:
    session = await guest_paid(client, pretend, "acme")
    intent = (await client.read(path("payment_intents", session["payment_intent"]))).object
    name = intent["id"] if kind == "payment_intent" else intent["latest_charge"]

    alone = await deeds.do("evt-1", retrieve(kind, name))
    told, shown = await deeds.do("evt-2", retrieve(kind, name, Why.OWNER_UNKNOWN))

    assert [answer.object["object"] for answer in alone] == [kind]
    assert shown.object["customer"] is None
    assert (told.object["id"], told.object["client_reference_id"]) == (session["id"], "acme")


async def test_whose_payment_is_known_is_not_looked_for(client: StripeClient, pretend: Pretend, deeds: Deeds) -> None:
    customer = await make(client, "customers")
    intent = await paid(client, customer=customer["id"])

    assert len(await deeds.do("evt-1", retrieve("payment_intent", intent["id"], Why.OWNER_UNKNOWN))) == 1
    assert not list(pretend.asked("GET", path("checkout", "sessions")))


async def test_a_subscription_ends_at_once_or_when_its_period_does(client: StripeClient, deeds: Deeds) -> None:
    mid = await price(client, "mid", 2_900)
    now, later = await subscribed(client, mid["id"]), await subscribed(client, mid["id"])

    (ended,) = await deeds.do("evt-1", CancelSubscription(subscription_id=now["id"], at_period_end=False))
    (ending,) = await deeds.do("evt-2", CancelSubscription(subscription_id=later["id"], at_period_end=True))

    assert ended.object["status"] == "canceled"
    assert (ending.object["status"], ending.object["cancel_at_period_end"]) == ("active", True)


@pytest.mark.parametrize("at_period_end", [True, False])
async def test_what_has_ended_already_is_what_was_asked_for(
    client: StripeClient, deeds: Deeds, at_period_end: bool
) -> None:
    mid = await price(client, "mid", 2_900)
    subscription = await subscribed(client, mid["id"])
    await deeds.do("evt-1", CancelSubscription(subscription_id=subscription["id"], at_period_end=False))

    request = CancelSubscription(subscription_id=subscription["id"], at_period_end=at_period_end)
    (again,) = await deeds.do("evt-2", request)

    assert again.object["status"] == "canceled"


async def test_nothing_can_end_that_was_never_there(deeds: Deeds) -> None:
    with pytest.raises(Refused, match="resource_missing"):
        await deeds.do("evt-1", CancelSubscription(subscription_id="sub_nobody", at_period_end=False))


async def test_a_subscription_goes_on_with_another_price_and_is_changed_once(
    client: StripeClient, pretend: Pretend, deeds: Deeds
) -> None:
    mid, high = await price(client, "mid", 2_900), await price(client, "high", 9_900)
    subscription = await subscribed(client, mid["id"])
    change = ChangeSubscription(
        subscription_id=subscription["id"],
        price_lookup_key="high",
        quantity=3,
        proration=Proration.ALWAYS_INVOICE,
    )
    invoices = len(pretend.things("invoice"))

    (changed,) = await deeds.do("evt-1", change)
    await deeds.do("evt-2", change)

    (item,) = changed.object["items"]["data"]
    assert (item["price"]["id"], item["quantity"]) == (high["id"], 3)
    assert len(pretend.things("invoice")) == invoices + 1


async def test_a_change_that_cannot_be_is_refused_before_anything_is_changed(
    client: StripeClient, deeds: Deeds
) -> None:
    mid, high = await price(client, "mid", 2_900), await price(client, "high", 9_900)
    one, two = await subscribed(client, mid["id"]), await subscribed(client, mid["id"], high["id"])

    with pytest.raises(Refused, match="price_missing"):
        await deeds.do("evt-1", ChangeSubscription(subscription_id=one["id"], price_lookup_key="gold"))
    with pytest.raises(Refused, match="not_one_item"):
        await deeds.do("evt-2", ChangeSubscription(subscription_id=two["id"], price_lookup_key="high"))


@pytest.mark.parametrize("kind", ["error_after", "hang_after", "reset_after"])
@pytest.mark.parametrize("what", ["cancel", "end", "change"])
async def test_an_answer_that_is_lost_is_no_deed_that_is_lost_or_done_twice(
    client: StripeClient, pretend: Pretend, deeds: Deeds, kind: str, what: str
) -> None:
    mid, _ = await price(client, "mid", 2_900), await price(client, "high", 9_900)
    name = (await subscribed(client, mid["id"]))["id"]
    requests: dict[str, Request] = {
        "cancel": CancelSubscription(subscription_id=name, at_period_end=False),
        "end": CancelSubscription(subscription_id=name, at_period_end=True),
        "change": ChangeSubscription(subscription_id=name, price_lookup_key="high"),
    }
    fault = pretend.fault(
        kind, path=path("subscriptions", name), method="DELETE" if what == "cancel" else "POST", count=1
    )

    (done,) = await deeds.do("evt-1", requests[what])

    assert fault.struck == 1
    assert done.object == (await client.read(path("subscriptions", name))).object


async def test_an_answer_that_is_given_again_shows_how_things_are_and_not_how_they_were(
    client: StripeClient, deeds: Deeds
) -> None:
    mid = await price(client, "mid", 2_900)
    subscription = await subscribed(client, mid["id"])
    ending = CancelSubscription(subscription_id=subscription["id"], at_period_end=True)
    (first,) = await deeds.do("evt-1", ending)
    await make(client, "subscriptions", subscription["id"], cancel_at_period_end=False)

    (again,) = await deeds.do("evt-1", ending)

    assert first.object["cancel_at_period_end"]
    assert not again.object["cancel_at_period_end"]
