from typing import Any

import stripe

from tests.simulator_server.support import Pretend
from tests.simulator_server.test_checkout import fill_in, monthly

RETURN = "https://platform.example/account"


async def subscribed(pretend: Pretend, price: str, token: str = "pm_card_visa") -> stripe.Subscription:
    customer = await pretend.stripe.v1.customers.create_async({"email": "ada@subscriber.example"})
    card = await pretend.stripe.v1.payment_methods.attach_async(token, {"customer": customer.id})
    await pretend.stripe.v1.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": card.id}}
    )
    return await pretend.stripe.v1.subscriptions.create_async({"customer": customer.id, "items": [{"price": price}]})


async def portal_of(pretend: Pretend, subscription: stripe.Subscription, **more: Any) -> str:
    wanted = {"customer": str(subscription.customer), "return_url": RETURN, **more}
    session = await pretend.stripe.v1.billing_portal.sessions.create_async(wanted)
    assert session.url.startswith(pretend.address)
    return session.url


async def again(pretend: Pretend, subscription: stripe.Subscription) -> stripe.Subscription:
    return await pretend.stripe.v1.subscriptions.retrieve_async(subscription.id)


def price_of(subscription: stripe.Subscription) -> str:
    return str(subscription["items"].data[0].price.id)


async def test_the_page_shows_the_plan_the_invoices_and_the_way_back(pretend: Pretend) -> None:
    subscription = await subscribed(pretend, await monthly(pretend))

    async with pretend.http.get(await portal_of(pretend, subscription)) as answer:
        text = await answer.text()

    assert "29.00 USD per month" in text
    assert "paid" in text
    assert f'href="{RETURN}"' in text


async def test_a_dearer_plan_is_had_at_once_and_a_cheaper_one_when_the_period_is_over(pretend: Pretend) -> None:
    cheap, dear = await monthly(pretend), await monthly(pretend, 9_900)
    subscription = await subscribed(pretend, cheap)
    url = await portal_of(pretend, subscription)

    assert (await fill_in(pretend, url, action="change_plan", subscription=subscription.id, price=dear))[0] == 200
    assert price_of(await again(pretend, subscription)) == dear
    assert (await fill_in(pretend, url, action="change_plan", subscription=subscription.id, price=cheap))[0] == 200
    assert price_of(await again(pretend, subscription)) == dear
    await pretend.advance(days=32)

    assert price_of(await again(pretend, subscription)) == cheap


async def test_who_cancels_keeps_the_plan_to_the_end_and_may_change_their_mind(pretend: Pretend) -> None:
    subscription = await subscribed(pretend, await monthly(pretend))
    url = await portal_of(pretend, subscription)

    await fill_in(pretend, url, action="cancel", subscription=subscription.id)
    canceled = await again(pretend, subscription)
    assert (canceled.status, canceled.cancel_at_period_end) == ("active", True)
    await fill_in(pretend, url, action="resume", subscription=subscription.id)
    assert not (await again(pretend, subscription)).cancel_at_period_end

    await fill_in(pretend, url, action="cancel", subscription=subscription.id)
    await pretend.advance(days=32)
    assert (await again(pretend, subscription)).status == "canceled"


async def test_a_new_card_is_the_one_that_pays(pretend: Pretend) -> None:
    subscription = await subscribed(pretend, await monthly(pretend))
    url = await portal_of(pretend, subscription)

    assert (await fill_in(pretend, url, action="update_card", card="4000000000000002"))[0] == 402
    assert (await fill_in(pretend, url, action="update_card", card="5555555555554444"))[0] == 200
    await pretend.advance(days=32)

    (newest, *_) = (await pretend.stripe.v1.charges.list_async({"customer": str(subscription.customer)})).data
    assert newest.payment_method_details is not None
    assert newest.payment_method_details.card is not None
    assert newest.payment_method_details.card.last4 == "4444"


async def test_what_is_somebody_elses_is_out_of_reach(pretend: Pretend) -> None:
    price = await monthly(pretend)
    mine, theirs = await subscribed(pretend, price), await subscribed(pretend, price)
    url = await portal_of(pretend, mine)

    for action in ("cancel", "resume", "change_plan"):
        status, _, _ = await fill_in(pretend, url, action=action, subscription=theirs.id, price=price)
        assert status in {400, 404}, action

    assert (await again(pretend, theirs)).to_dict() == theirs.to_dict()


async def test_a_flow_leads_back_when_it_is_done(pretend: Pretend) -> None:
    subscription = await subscribed(pretend, await monthly(pretend))
    url = await portal_of(
        pretend,
        subscription,
        flow_data={
            "type": "subscription_cancel",
            "subscription_cancel": {"subscription": subscription.id},
            "after_completion": {"type": "redirect", "redirect": {"return_url": RETURN}},
        },
    )

    assert (await fill_in(pretend, url, action="cancel", subscription=subscription.id))[:2] == (303, RETURN)


async def test_a_link_that_says_which_plan_needs_no_more_than_a_yes(pretend: Pretend) -> None:
    subscription = await subscribed(pretend, await monthly(pretend))
    dear = await monthly(pretend, 9_900)
    item = subscription["items"].data[0].id
    flow = {"subscription": subscription.id, "items": [{"id": item, "price": dear, "quantity": 1}]}
    url = await portal_of(
        pretend,
        subscription,
        flow_data={"type": "subscription_update_confirm", "subscription_update_confirm": flow},
    )

    async with pretend.http.get(url) as answer:
        assert 'value="confirm"' in await answer.text()
    assert (await fill_in(pretend, url, action="confirm"))[0] == 200

    assert price_of(await again(pretend, subscription)) == dear


async def test_what_a_configuration_does_not_allow_is_neither_shown_nor_done(pretend: Pretend) -> None:
    price = await monthly(pretend)
    subscription = await subscribed(pretend, price)
    configuration = await pretend.stripe.v1.billing_portal.configurations.create_async(
        {"features": {"invoice_history": {"enabled": True}}}
    )
    url = await portal_of(pretend, subscription, configuration=configuration.id)

    async with pretend.http.get(url) as answer:
        assert "<form" not in await answer.text()
    for action in ("cancel", "change_plan", "update_card", "confirm", "dance"):
        said = {"subscription": subscription.id, "price": price, "card": "4242424242424242"}
        assert (await fill_in(pretend, url, action=action, **said))[0] == 400, action

    assert (await again(pretend, subscription)).to_dict() == subscription.to_dict()
