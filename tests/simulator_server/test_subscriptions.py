from typing import Any

import pytest
import stripe

from simulator.clock import DAY_SECONDS
from tests.simulator_server.support import Pretend


async def price(pretend: Pretend, amount: int, interval: str = "month") -> str:
    made = await pretend.stripe.v1.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": amount,
            "recurring": {"interval": interval},
            "product_data": {"name": f"plan of {amount}"},
        }
    )
    return made.id


async def customer(pretend: Pretend, token: str | None = "pm_card_visa") -> str:
    made = await pretend.stripe.v1.customers.create_async({"email": "ada@subscriber.example"})
    if token:
        card = await pretend.stripe.v1.payment_methods.attach_async(token, {"customer": made.id})
        await pretend.stripe.v1.customers.update_async(
            made.id, {"invoice_settings": {"default_payment_method": card.id}}
        )
    return made.id


async def subscribe(pretend: Pretend, amount: int = 2_900, token: str | None = "pm_card_visa", **more: Any) -> Any:
    wanted = {
        "customer": await customer(pretend, token),
        "items": [{"price": await price(pretend, amount)}],
        **more,
    }
    return await pretend.stripe.v1.subscriptions.create_async(wanted)


async def again(pretend: Pretend, subscription: Any, *expand: str) -> Any:
    return await pretend.stripe.v1.subscriptions.retrieve_async(subscription.id, {"expand": list(expand)})


def item_of(subscription: Any) -> Any:
    return subscription["items"].data[0]


async def test_it_begins_active_with_its_first_invoice_paid_and_renews_by_the_clock(pretend: Pretend) -> None:
    subscription = await subscribe(pretend)
    first_end = item_of(subscription).current_period_end

    await pretend.advance(to=first_end + DAY_SECONDS)

    renewed = await again(pretend, subscription)
    assert (subscription.status, renewed.status) == ("active", "active")
    assert item_of(renewed).current_period_start == first_end
    invoices = await pretend.stripe.v1.invoices.list_async({"subscription": subscription.id, "status": "paid"})
    assert [(one.billing_reason, one.amount_paid) for one in invoices.data] == [
        ("subscription_cycle", 2_900),
        ("subscription_create", 2_900),
    ]


async def test_an_ended_one_is_on_the_list_only_when_all_are_asked_for(pretend: Pretend) -> None:
    gone, stays = await subscribe(pretend), await subscribe(pretend)
    await pretend.stripe.v1.subscriptions.cancel_async(gone.id)

    async def listed(**params: Any) -> list[str]:
        return [one.id for one in (await pretend.stripe.v1.subscriptions.list_async(params)).data]

    assert await listed() == [stays.id]
    assert await listed(status="all") == [stays.id, gone.id]
    assert await listed(status="ended") == await listed(status="canceled") == [gone.id]
    assert await listed(status="active", price=item_of(stays).price.id) == [stays.id]
    assert await listed(status="all", customer=gone.customer) == [gone.id]


async def test_an_upgrade_is_billed_at_once_for_what_is_left_of_the_period(pretend: Pretend) -> None:
    subscription = await subscribe(pretend)
    start, end = item_of(subscription).current_period_start, item_of(subscription).current_period_end
    await pretend.advance(to=(start + end) // 2)

    upgraded = await pretend.stripe.v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": item_of(subscription).id, "price": await price(pretend, 9_900)}],
            "proration_behavior": "always_invoice",
            "expand": ["latest_invoice"],
        },
    )

    invoice = upgraded.latest_invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (invoice.billing_reason, invoice.status) == ("subscription_update", "paid")
    assert invoice.total == pytest.approx((9_900 - 2_900) / 2, abs=5)
    assert item_of(upgraded).current_period_end == end


async def test_a_downgrade_by_schedule_comes_when_the_period_is_over(pretend: Pretend) -> None:
    subscription = await subscribe(pretend, 9_900)
    cheap = await price(pretend, 2_900)
    schedules = pretend.stripe.v1.subscription_schedules
    schedule = await schedules.create_async({"from_subscription": subscription.id})
    now = schedule.phases[0]
    await schedules.update_async(
        schedule.id,
        {
            "end_behavior": "release",
            "phases": [
                {
                    "items": [{"price": item_of(subscription).price.id, "quantity": 1}],
                    "start_date": now.start_date,
                    "end_date": now.end_date,
                },
                {"items": [{"price": cheap, "quantity": 1}], "duration": {"interval": "month"}},
            ],
        },
    )
    assert (await again(pretend, subscription)).schedule == schedule.id
    assert item_of(await again(pretend, subscription)).price.id != cheap

    await pretend.advance(to=now.end_date + DAY_SECONDS)
    assert item_of(await again(pretend, subscription)).price.id == cheap
    await pretend.advance(days=40)
    assert (await again(pretend, subscription)).schedule is None
    assert (await schedules.retrieve_async(schedule.id)).status == "released"


async def test_who_leaves_at_the_periods_end_stays_until_then_and_can_be_kept(pretend: Pretend) -> None:
    leaves, kept = await subscribe(pretend), await subscribe(pretend)
    update = pretend.stripe.v1.subscriptions.update_async
    for one in (leaves, kept):
        told = await update(one.id, {"cancel_at_period_end": True})
        assert (told.status, told.cancel_at) == ("active", item_of(one).current_period_end)
    await update(kept.id, {"cancel_at_period_end": False})

    await pretend.advance(days=32)

    assert (await again(pretend, leaves)).status == "canceled"
    assert (await again(pretend, kept)).status == "active"


async def test_a_trial_costs_nothing_until_it_ends_and_pauses_where_there_is_no_card(pretend: Pretend) -> None:
    pause = {"end_behavior": {"missing_payment_method": "pause"}}
    trial = await subscribe(pretend, trial_period_days=14)
    cardless = await subscribe(pretend, token=None, trial_period_days=14, trial_settings=pause)
    assert (trial.status, cardless.status) == ("trialing", "trialing")

    await pretend.advance(days=15)

    assert (await again(pretend, trial)).status == "active"
    assert (await again(pretend, cardless)).status == "paused"
    told = [happening.type for happening in pretend.desk.world.happenings]
    assert told.count("customer.subscription.trial_will_end") == 2
    card = await pretend.stripe.v1.payment_methods.attach_async("pm_card_visa", {"customer": str(cardless.customer)})
    await pretend.stripe.v1.subscriptions.update_async(cardless.id, {"default_payment_method": card.id})
    assert (await pretend.stripe.v1.subscriptions.resume_async(cardless.id)).status == "active"


async def test_a_card_that_stops_paying_is_tried_again_by_the_calendar_and_then_it_is_over(pretend: Pretend) -> None:
    subscription = await subscribe(pretend, token="pm_card_visa")
    bad = await pretend.stripe.v1.payment_methods.attach_async(
        "pm_card_chargeCustomerFail", {"customer": str(subscription.customer)}
    )
    await pretend.stripe.v1.subscriptions.update_async(subscription.id, {"default_payment_method": bad.id})

    await pretend.advance(to=item_of(subscription).current_period_end + 2 * 60 * 60)
    late = await again(pretend, subscription, "latest_invoice")
    assert (late.status, late.latest_invoice.status, late.latest_invoice.attempt_count) == ("past_due", "open", 1)
    assert late.latest_invoice.next_payment_attempt > pretend.desk.world.now
    await pretend.advance(days=40)

    over = await again(pretend, subscription, "latest_invoice")
    assert over.status in {"canceled", "unpaid"}
    assert over.latest_invoice.attempt_count > 2


async def test_a_first_payment_that_fails_leaves_it_incomplete_for_a_day(pretend: Pretend) -> None:
    subscription = await subscribe(pretend, token="pm_card_chargeCustomerFail")

    assert subscription.status == "incomplete"
    await pretend.advance(days=1)
    assert (await again(pretend, subscription)).status == "incomplete_expired"


async def test_items_come_change_and_go(pretend: Pretend) -> None:
    subscription = await subscribe(pretend)
    items = pretend.stripe.v1.subscription_items

    added = await items.create_async({"subscription": subscription.id, "price": await price(pretend, 500)})
    changed = await items.update_async(added.id, {"quantity": 3})
    assert (changed.id, changed.quantity) == (added.id, 3)
    assert len((await items.list_async({"subscription": subscription.id})).data) == 2
    assert (await items.delete_async(added.id, {"proration_behavior": "none"})).deleted
    assert len((await again(pretend, subscription))["items"].data) == 1
    with pytest.raises(stripe.InvalidRequestError, match="No such subscription item"):
        await items.retrieve_async(added.id)


async def test_what_would_come_can_be_seen_without_its_coming(pretend: Pretend) -> None:
    subscription = await subscribe(pretend)
    heard = len(pretend.desk.world.happenings)

    preview = await pretend.stripe.v1.invoices.create_preview_async({"subscription": subscription.id})

    assert preview.total == 2_900
    assert len(pretend.desk.world.happenings) == heard
    assert len((await pretend.stripe.v1.invoices.list_async({"subscription": subscription.id})).data) == 1


@pytest.mark.parametrize("version", ["2024-06-20", "2025-03-31.basil", "2026-10-28.endive"])
async def test_the_period_is_where_the_version_that_asks_looks_for_it(pretend: Pretend, version: str) -> None:
    subscription = await subscribe(pretend)

    shown = (await pretend.ask("GET", f"/v1/subscriptions/{subscription.id}", Stripe_Version=version))[1]
    listed = (await pretend.ask("GET", "/v1/subscriptions?expand[]=data.latest_invoice", Stripe_Version=version))[1]

    old = version == "2024-06-20"
    assert ("current_period_end" in shown) is old
    assert ("current_period_end" in shown["items"]["data"][0]) is not old
    assert ("subscription" in listed["data"][0]["latest_invoice"]) is old
