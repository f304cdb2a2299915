import re
from typing import Any

import pytest
import stripe

from tests.simulator_server.support import Pretend

DONE = "https://platform.example/done?session={CHECKOUT_SESSION_ID}"
BACK = "https://platform.example/back"
PACK = {"currency": "usd", "unit_amount": 950, "product_data": {"name": "1000 credits <b>"}}


async def session_of(pretend: Pretend, **more: Any) -> stripe.checkout.Session:
    wanted = {
        "mode": "payment",
        "line_items": [{"price_data": PACK, "quantity": 2}],
        "success_url": DONE,
        "cancel_url": BACK,
        "client_reference_id": "acct-1",
        "metadata": {"kind": "credits"},
        "payment_intent_data": {"metadata": {"kind": "credits"}},
        **more,
    }
    return await pretend.stripe.v1.checkout.sessions.create_async(wanted)


async def monthly(pretend: Pretend, amount: int = 2_900) -> str:
    price = await pretend.stripe.v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": "month"},
            "product_data": {"name": f"plan of {amount}"},
        }
    )
    return price.id


async def fill_in(pretend: Pretend, url: str | None, **said: str) -> tuple[int, str, str]:
    """Post the page's form: the status, where it leads, and what it says."""
    async with pretend.http.post(str(url), data=said, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", ""), await answer.text()


async def again(pretend: Pretend, session: stripe.checkout.Session, *expand: str) -> stripe.checkout.Session:
    return await pretend.stripe.v1.checkout.sessions.retrieve_async(session.id, {"expand": list(expand)})


async def test_the_page_is_plain_html_and_says_what_is_bought(pretend: Pretend) -> None:
    session = await session_of(pretend)

    async with pretend.http.get(str(session.url)) as answer:
        text = await answer.text()
        headers = answer.headers

    assert str(session.url).startswith(pretend.address)
    assert "1000 credits &lt;b&gt;" in text
    assert "19.00 USD" in text
    assert "<script" not in text
    assert re.search(r'<form method="post">.*name="card"', text)
    assert "script-src" not in headers["Content-Security-Policy"]
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


async def test_who_pays_comes_back_with_the_session_complete(pretend: Pretend) -> None:
    session = await session_of(pretend)

    status, target, _ = await fill_in(
        pretend, session.url, action="pay", card="4242424242424242", email="eve@guest.example"
    )

    assert (status, target) == (303, f"https://platform.example/done?session={session.id}")
    paid = await again(pretend, session, "payment_intent.latest_charge")
    assert (paid.status, paid.payment_status, paid.customer, paid.client_reference_id) == (
        "complete",
        "paid",
        None,
        "acct-1",
    )
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    assert isinstance(paid.payment_intent.latest_charge, stripe.Charge)
    assert paid.payment_intent.amount_received == 1_900
    assert paid.payment_intent.latest_charge.metadata["kind"] == "credits"
    told = [happening.type for happening in pretend.desk.world.happenings]
    assert told.count("checkout.session.completed") == told.count("payment_intent.succeeded") == 1


async def test_who_is_declined_sees_why_and_may_try_another_card(pretend: Pretend) -> None:
    session = await session_of(pretend)

    declined = await fill_in(pretend, session.url, action="pay", card="4000000000000002", email="eve@guest.example")
    strange = await fill_in(pretend, session.url, action="pay", card="4111111111111111", email="eve@guest.example")
    assert (declined[0], strange[0]) == (402, 402)
    assert "Your card was declined." in declined[2]
    assert "4111111111111111" not in repr([happening.after for happening in pretend.desk.world.happenings])
    assert (await again(pretend, session)).status == "open"

    assert (await fill_in(pretend, session.url, action="pay", card="4242424242424242", email="e@g.example"))[0] == 303
    assert (await again(pretend, session)).status == "complete"


async def test_who_walks_away_leaves_it_open_until_it_expires(pretend: Pretend) -> None:
    session = await session_of(pretend)

    assert (await fill_in(pretend, session.url, action="leave"))[:2] == (303, BACK)
    assert (await again(pretend, session)).status == "open"
    await pretend.advance(days=1)

    assert (await again(pretend, session)).status == "expired"
    status, _, text = await fill_in(pretend, session.url, action="pay", card="4242424242424242", email="e@g.example")
    assert status == 410
    assert "expired" in text
    assert [happening.type for happening in pretend.desk.world.happenings].count("checkout.session.expired") == 1


async def test_a_page_that_was_paid_on_is_not_paid_on_twice(pretend: Pretend) -> None:
    session = await session_of(pretend)
    for _ in range(2):
        await fill_in(pretend, session.url, action="pay", card="4242424242424242", email="e@g.example")

    charges = await pretend.stripe.v1.charges.list_async()
    assert len(charges.data) == 1


async def test_a_subscription_begins_with_its_first_payment(pretend: Pretend) -> None:
    customer = await pretend.stripe.v1.customers.create_async({"email": "ada@subscriber.example"})
    price = await monthly(pretend)
    session = await session_of(
        pretend,
        mode="subscription",
        customer=customer.id,
        line_items=[{"price": price, "quantity": 1}],
        payment_intent_data=None,
        subscription_data={"metadata": {"account_id": "acct-1"}},
    )

    await fill_in(pretend, session.url, action="pay", card="4242424242424242")

    paid = await again(pretend, session, "subscription.latest_invoice.payments")
    assert isinstance(paid.subscription, stripe.Subscription)
    assert (paid.subscription.status, paid.subscription.metadata["account_id"]) == ("active", "acct-1")
    assert isinstance(paid.subscription.latest_invoice, stripe.Invoice)
    assert (paid.subscription.latest_invoice.status, paid.subscription.latest_invoice.amount_paid) == ("paid", 2_900)


async def test_a_trial_costs_nothing_yet(pretend: Pretend) -> None:
    session = await session_of(
        pretend,
        mode="subscription",
        line_items=[{"price": await monthly(pretend), "quantity": 1}],
        payment_intent_data=None,
        subscription_data={"trial_period_days": 14},
    )

    await fill_in(pretend, session.url, action="pay", card="4242424242424242", email="new@subscriber.example")

    done = await again(pretend, session, "subscription", "customer")
    assert isinstance(done.subscription, stripe.Subscription)
    assert isinstance(done.customer, stripe.Customer)
    assert (done.subscription.status, done.customer.email) == ("trialing", "new@subscriber.example")
    assert not (await pretend.stripe.v1.charges.list_async()).data


async def test_a_card_is_saved_without_a_payment(pretend: Pretend) -> None:
    customer = await pretend.stripe.v1.customers.create_async({"email": "ada@subscriber.example"})
    session = await session_of(
        pretend, mode="setup", customer=customer.id, currency="usd", line_items=None, payment_intent_data=None
    )

    await fill_in(pretend, session.url, action="pay", card="5555555555554444")

    done = await again(pretend, session, "setup_intent.payment_method")
    assert isinstance(done.setup_intent, stripe.SetupIntent)
    assert isinstance(done.setup_intent.payment_method, stripe.PaymentMethod)
    assert done.setup_intent.payment_method.customer == customer.id


async def test_a_promotion_code_takes_its_part_off(pretend: Pretend) -> None:
    coupon = await pretend.stripe.v1.coupons.create_async({"percent_off": 50, "duration": "once"})
    await pretend.stripe.v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "HALF"}
    )
    session = await session_of(pretend, allow_promotion_codes=True)

    wrong = await fill_in(
        pretend, session.url, action="pay", card="4242424242424242", email="e@g.example", promotion_code="NONE"
    )
    right = await fill_in(
        pretend, session.url, action="pay", card="4242424242424242", email="e@g.example", promotion_code="half"
    )

    assert (wrong[0], right[0]) == (400, 303)
    paid = await again(pretend, session)
    assert paid.total_details is not None
    assert (paid.amount_subtotal, paid.amount_total, paid.total_details.amount_discount) == (1_900, 950, 950)


async def test_a_debit_completes_the_session_and_pays_later(pretend: Pretend) -> None:
    session = await session_of(pretend, payment_method_types=["us_bank_account"])

    await fill_in(pretend, session.url, action="pay", card="pm_usBankAccount", email="e@g.example")
    assert ((await again(pretend, session)).status, (await again(pretend, session)).payment_status) == (
        "complete",
        "unpaid",
    )
    await pretend.advance(days=10)

    assert (await again(pretend, session)).payment_status == "paid"
    told = [happening.type for happening in pretend.desk.world.happenings]
    assert told.count("checkout.session.async_payment_succeeded") == 1


async def test_whoever_holds_the_card_authenticates_on_the_page(pretend: Pretend) -> None:
    session = await session_of(pretend)

    status, _, text = await fill_in(pretend, session.url, action="pay", card="4000002760003184", email="e@g.example")
    assert (status, 'value="authenticate"' in text) == (200, True)
    refused = await fill_in(pretend, session.url, action="refuse")
    assert refused[0] == 402
    await fill_in(pretend, session.url, action="pay", card="4000002760003184", email="e@g.example")
    accepted = await fill_in(pretend, session.url, action="authenticate")

    assert accepted[0] == 303
    assert (await again(pretend, session)).payment_status == "paid"


async def test_what_is_bought_is_listed(pretend: Pretend) -> None:
    session = await session_of(pretend)

    lines = await pretend.stripe.v1.checkout.sessions.line_items.list_async(session.id)
    expanded = await again(pretend, session, "line_items")

    assert [(line.quantity, line.amount_total) for line in lines.data] == [(2, 1_900)]
    assert expanded.line_items is not None
    assert expanded.line_items.to_dict()["data"] == [line.to_dict() for line in lines.data]


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "gift"},
        {"line_items": [{"price": "price_nobody", "quantity": 1}]},
        {"line_items": []},
        {"customer": "cus_nobody"},
        {"mode": "subscription"},
        {"success_url": None},
    ],
)
async def test_a_session_that_makes_no_sense_is_refused_and_leaves_nothing(
    pretend: Pretend, wrong: dict[str, object]
) -> None:
    with pytest.raises(stripe.InvalidRequestError):
        await session_of(pretend, **wrong)

    assert not (await pretend.stripe.v1.checkout.sessions.list_async()).data
