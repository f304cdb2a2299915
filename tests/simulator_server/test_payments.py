from typing import Any

import pytest
import stripe

from tests.simulator_server.support import Pretend

BACK = "https://platform.example/back"


async def pay(pretend: Pretend, token: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    wanted = {"amount": 2_000, "currency": "usd", "payment_method": token, "confirm": True, "return_url": BACK, **more}
    return await pretend.stripe.v1.payment_intents.create_async(wanted)


async def charge_of(pretend: Pretend, intent: stripe.PaymentIntent) -> stripe.Charge:
    return await pretend.stripe.v1.charges.retrieve_async(str(intent.latest_charge))


async def test_a_good_card_pays_and_its_number_is_nowhere(pretend: Pretend) -> None:
    method = await pretend.stripe.v1.payment_methods.create_async(
        {"type": "card", "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}}
    )
    paid = await pay(pretend, method.id, metadata={"kind": "credits"})

    assert (paid.status, paid.amount_received) == ("succeeded", 2_000)
    assert (await charge_of(pretend, paid)).metadata["kind"] == "credits"
    assert "4242424242424242" not in repr([happening.after for happening in pretend.desk.world.happenings])


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ],
)
async def test_a_declined_card_is_a_card_error_that_carries_the_payment(
    pretend: Pretend, token: str, code: str, decline_code: str
) -> None:
    with pytest.raises(stripe.CardError) as caught:
        await pay(pretend, token)

    told = caught.value.json_body["error"]
    assert (caught.value.http_status, told["code"], told["decline_code"]) == (402, code, decline_code)
    assert told["payment_intent"]["status"] == "requires_payment_method"
    charge = await pretend.stripe.v1.charges.retrieve_async(told["charge"])
    assert (charge.status, charge.failure_code) == ("failed", code)


async def test_a_decline_is_answered_alike_under_its_key(pretend: Pretend) -> None:
    form = "amount=2000&currency=usd&confirm=true&payment_method=pm_card_chargeDeclined"
    one = await pretend.ask("POST", "/v1/payment_intents", form, Idempotency_Key="k")
    two = await pretend.ask("POST", "/v1/payment_intents", form, Idempotency_Key="k")

    assert one[0] == two[0] == 402
    assert one[1] == two[1]


async def test_whoever_holds_the_card_is_asked_and_may_refuse(pretend: Pretend) -> None:
    waiting = await pay(pretend, "pm_card_threeDSecure2Required")
    other = await pay(pretend, "pm_card_threeDSecure2Required")
    assert waiting.status == other.status == "requires_action"

    await pretend.fate("payment_intent", waiting.id, "authenticate")
    await pretend.fate("payment_intent", other.id, "authenticate", succeeds=False)

    assert (await pretend.stripe.v1.payment_intents.retrieve_async(waiting.id)).status == "succeeded"
    assert (await pretend.stripe.v1.payment_intents.retrieve_async(other.id)).status == "requires_payment_method"


async def test_refunds_add_up_to_what_was_paid_and_no_further(pretend: Pretend) -> None:
    paid = await pay(pretend)
    for amount in (500, 700):
        await pretend.stripe.v1.refunds.create_async({"payment_intent": paid.id, "amount": amount})
    assert (await charge_of(pretend, paid)).amount_refunded == 1_200

    with pytest.raises(stripe.InvalidRequestError):
        await pretend.stripe.v1.refunds.create_async({"payment_intent": paid.id, "amount": 801})
    await pretend.stripe.v1.refunds.create_async({"charge": str(paid.latest_charge)})

    charge = await charge_of(pretend, paid)
    assert (charge.amount_refunded, charge.refunded) == (2_000, True)
    assert len((await pretend.stripe.v1.refunds.list_async({"payment_intent": paid.id})).data) == 3


async def test_a_refund_that_fails_comes_back_to_the_charge(pretend: Pretend) -> None:
    paid = await pay(pretend)
    refund = await pretend.stripe.v1.refunds.create_async({"payment_intent": paid.id, "amount": 500})

    await pretend.fate("refund", refund.id, "fail")

    assert (await pretend.stripe.v1.refunds.retrieve_async(refund.id)).status == "failed"
    assert (await charge_of(pretend, paid)).amount_refunded == 0


async def test_a_dispute_takes_the_money_and_the_right_evidence_brings_it_back(pretend: Pretend) -> None:
    paid = await pay(pretend)
    dispute = await pretend.fate("charge", str(paid.latest_charge), "dispute")

    async def told() -> list[str]:
        events = await pretend.stripe.v1.events.list_async({"type": "charge.dispute.*"})
        return [event.type.removeprefix("charge.dispute.") for event in events.data][::-1]

    assert await told() == ["created", "funds_withdrawn"]
    await pretend.stripe.v1.disputes.update_async(
        dispute["id"], {"evidence": {"uncategorized_text": "winning_evidence"}, "submit": True}
    )
    await pretend.advance(days=1)

    shown = await pretend.stripe.v1.disputes.retrieve_async(dispute["id"])
    assert shown.status == "won"
    assert sum(moved.amount for moved in shown.balance_transactions) == 0
    assert await told() == ["created", "funds_withdrawn", "updated", "closed", "funds_reinstated"]


async def test_a_debit_is_money_only_when_it_has_come_through(pretend: Pretend) -> None:
    begun = await pay(pretend, "pm_usBankAccount", payment_method_types=["us_bank_account"])
    lost = await pay(pretend, "pm_usBankAccount", payment_method_types=["us_bank_account"])
    assert begun.status == "processing"

    await pretend.fate("payment_intent", lost.id, "settle", succeeds=False)
    await pretend.advance(days=10)

    assert (await pretend.stripe.v1.payment_intents.retrieve_async(begun.id)).status == "succeeded"
    assert (await pretend.stripe.v1.payment_intents.retrieve_async(lost.id)).status == "requires_payment_method"


async def test_what_was_held_is_captured_or_let_go(pretend: Pretend) -> None:
    held = await pay(pretend, capture_method="manual")
    let_go = await pay(pretend, capture_method="manual")
    assert (held.status, held.amount_capturable) == ("requires_capture", 2_000)

    captured = await pretend.stripe.v1.payment_intents.capture_async(held.id, {"amount_to_capture": 1_500})
    canceled = await pretend.stripe.v1.payment_intents.cancel_async(let_go.id)

    assert (captured.status, captured.amount_received) == ("succeeded", 1_500)
    assert (canceled.status, canceled.amount_received) == ("canceled", 0)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await pretend.stripe.v1.payment_intents.capture_async(let_go.id)
    assert caught.value.code == "payment_intent_unexpected_state"


async def test_a_payment_is_shown_with_what_it_is_made_of(pretend: Pretend) -> None:
    paid = await pay(pretend)
    await pretend.stripe.v1.refunds.create_async({"payment_intent": paid.id, "amount": 500})

    shown = await pretend.stripe.v1.payment_intents.retrieve_async(
        paid.id, {"expand": ["latest_charge.refunds", "latest_charge.balance_transaction", "customer"]}
    )

    assert isinstance(shown.latest_charge, stripe.Charge)
    assert shown.latest_charge.refunds is not None
    assert [refund.amount for refund in shown.latest_charge.refunds.data] == [500]
    assert isinstance(shown.latest_charge.balance_transaction, stripe.BalanceTransaction)
    assert shown.customer is None


@pytest.mark.parametrize("path", ["amount", "latest_charge.amount", "nothing", "customer.a.b.c.d"])
async def test_what_is_no_thing_of_its_own_cannot_be_expanded(pretend: Pretend, path: str) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        await pretend.stripe.v1.payment_intents.retrieve_async((await pay(pretend)).id, {"expand": [path]})

    assert caught.value.param == "expand"


async def test_the_balance_is_what_the_payments_have_left(pretend: Pretend) -> None:
    await pay(pretend)
    await pretend.advance(days=30)
    await pretend.stripe.v1.refunds.create_async({"payment_intent": (await pay(pretend)).id})

    balance = await pretend.stripe.v1.balance.retrieve_async()
    transactions = await pretend.stripe.v1.balance_transactions.list_async({"limit": 100})

    shown = [*balance.available, *balance.pending]
    assert sum(amount.amount for amount in shown) == sum(moved.net for moved in transactions.data)


async def test_fate_does_only_what_there_is_to_do(pretend: Pretend) -> None:
    paid = await pay(pretend)
    for kind, thing_id, deed, words in (
        ("charge", "ch_nobody", "dispute", {}),
        ("customer", "cus_nobody", "delete", {}),
        ("charge", str(paid.latest_charge), "dispute", {"pony": 1}),
        ("payment_intent", paid.id, "authenticate", {}),
    ):
        async with pretend.http.post(f"/_pretend/{kind}/{thing_id}/{deed}", json=words) as answer:
            assert answer.status in {400, 404}, (kind, deed)
