from typing import Any

import pytest

from tests.ingress_platform.support import PACK, Shop, new_account


async def paid(shop: Shop) -> str:
    """What somebody paid 950 with."""
    account = new_account()
    await shop.buy(account, PACK)
    [payment] = (await shop.get(account)).body["payments"]
    return str(payment["payment_id"])


def refunds_of(shop: Shop, payment: str) -> list[Any]:
    return [one for one in shop.pretend.things("refund") if one["payment_intent"] == payment]


async def test_a_part_is_given_back_and_then_the_rest(shop: Shop) -> None:
    payment = await paid(shop)

    part = await shop.refund(payment, {"amount_minor": 200, "reason": "duplicate"})
    rest = await shop.refund(payment, {})
    await shop.books_hear()

    assert (part.status, part.body["amount_minor"], part.body["payment_id"]) == (201, 200, payment)
    assert (rest.status, rest.body["amount_minor"], rest.body["currency"]) == (201, 750, "usd")
    assert {one["id"] for one in refunds_of(shop, payment)} == {part.body["refund_id"], rest.body["refund_id"]}
    assert sorted(one["reason"] for one in refunds_of(shop, payment)) == ["duplicate", "requested_by_customer"]
    [row] = shop.bench.sql("SELECT refunded_minor FROM reports.payments WHERE payment_id = %(id)s", {"id": payment})
    assert row == {"refunded_minor": 950}


async def test_no_more_is_given_back_than_was_paid(shop: Shop) -> None:
    payment = await paid(shop)
    await shop.refund(payment, {"amount_minor": 200})
    await shop.books_hear()

    over = await shop.refund(payment, {"amount_minor": 751})
    await shop.refund(payment, {})
    await shop.books_hear()
    after = await shop.refund(payment, {})

    assert (over.status, over.problem, over.body["errors"]) == (
        422,
        "amount-too-large",
        [{"field": "amount_minor", "right": "must be 750 at most"}],
    )
    assert (after.status, after.problem) == (409, "state-forbids")
    assert sum(one["amount"] for one in refunds_of(shop, payment)) == 950


async def test_what_the_books_have_not_heard_yet_stripe_refuses(shop: Shop) -> None:
    payment = await paid(shop)
    await shop.refund(payment, {})

    again = await shop.refund(payment, {})

    assert (again.status, again.problem) == (422, "stripe-refuses")
    assert len(refunds_of(shop, payment)) == 1


async def test_a_refund_whose_answer_was_lost_is_found_and_not_made_twice_though_the_books_know_it(
    shop_in_a_hurry: Shop,
) -> None:
    shop = shop_in_a_hurry
    payment = await paid(shop)
    fault = shop.pretend.fault("hang_after", method="POST", path="/v1/refunds")

    late = await shop.refund(payment, {}, Idempotency_Key="one")
    shop.pretend.heal()
    await shop.books_hear()
    again = await shop.refund(payment, {}, Idempotency_Key="one")

    assert fault.struck > 0
    assert late.status == 504
    assert (again.status, again.body["amount_minor"]) == (201, 950)
    assert [one["id"] for one in refunds_of(shop, payment)] == [again.body["refund_id"]]


@pytest.mark.parametrize("payment", ["pi_nothing", "in_nothing", "x"])
async def test_a_payment_that_nobody_knows_is_not_given_back(shop: Shop, payment: str) -> None:
    said = await shop.refund(payment, {})

    assert (said.status, said.problem, said.wrong) == (404, "no-such-payment", {"payment"})


async def test_what_was_not_paid_or_not_through_stripe_is_not_given_back(shop: Shop) -> None:
    failed, elsewhere = await paid(shop), await paid(shop)
    shop.bench.sql("UPDATE payments SET status = 'failed' WHERE payment_id = %(id)s", {"id": failed})
    shop.bench.sql(
        "UPDATE payments SET payment_intent_id = NULL, charge_id = NULL WHERE payment_id = %(id)s", {"id": elsewhere}
    )

    said = [await shop.refund(payment, {}) for payment in (failed, elsewhere)]

    assert [(one.status, one.problem) for one in said] == [(409, "state-forbids")] * 2
    assert refunds_of(shop, failed) == refunds_of(shop, elsewhere) == []


@pytest.mark.parametrize("amount", [0, -1, 1.5, "100", True, 100_000_000])
async def test_an_amount_is_a_whole_number_of_minor_units(shop: Shop, amount: object) -> None:
    said = await shop.refund("pi_x", {"amount_minor": amount})

    assert (said.status, said.problem, said.wrong) == (400, "body-invalid", {"amount_minor"})
