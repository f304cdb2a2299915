"""Billing: changes cost their share of the period, downgrades wait, and what is taken off is kept apart."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import invoices
from simulator.coupons import Coupon, PromotionCode
from simulator.credit_notes import CreditNote
from simulator.customers import Customer
from simulator.invoice_items import InvoiceItem
from simulator.invoices import Invoice
from simulator.portal import PortalConfiguration, PortalSession
from simulator.subscriptions import Subscription
from simulator.world import World
from tests.simulator.support_world import balance, basket, days, heard, let_pass, price, refuses, subscribed


def bill(subscription: Subscription) -> Invoice:
    invoice = subscription.latest_invoice
    assert invoice is not None
    return invoice


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 28 * 86_400), st.sampled_from(["always_invoice", "create_prorations"]))
def test_there_and_back_in_one_second_costs_nothing(after: int, behavior: str) -> None:
    world = World(1)
    subscription = subscribed(world)
    let_pass(world, after)

    for lookup_key in ("high_monthly", "mid_monthly"):
        subscription.update(items=subscription.repriced(lookup_key), proration_behavior=behavior)

    items = [one.body for one in world.shelf.all("invoiceitem")]
    assert sum(one["amount"] for one in items) == 0
    assert all(one["proration"] for one in items)


def test_an_upgrade_in_the_middle_of_a_period_costs_half_of_the_difference() -> None:
    world = World(1)
    subscription = subscribed(world)
    start = subscription.plan_item["current_period_start"]
    world.advance((start + subscription.period_end) // 2)

    subscription.upgrade("high_monthly")

    assert bill(subscription).body["total"] == (9900 - 2900) // 2
    assert bill(subscription).is_paid
    assert subscription.offer.plan == "high"


def test_a_preview_says_what_the_change_then_costs_and_changes_nothing() -> None:
    world = World(1)
    subscription = subscribed(world)
    let_pass(world, days(9))
    asked, before = subscription.repriced("high_monthly"), len(world.happenings)
    details = {"items": asked, "proration_behavior": "always_invoice"}

    seen = invoices.preview(world, subscription=subscription.id, subscription_details=details)

    assert len(world.happenings) == before
    subscription.update(items=asked, proration_behavior="always_invoice")
    assert seen["total"] == bill(subscription).body["total"]


def test_a_downgrade_waits_for_the_period_to_end_and_gives_nothing_back() -> None:
    world = World(1)
    subscription = subscribed(world, "high_monthly")
    let_pass(world, days(3))

    subscription.downgrade("mid_monthly")

    assert subscription.offer.plan == "high"
    assert subscription.schedule is not None
    world.advance(subscription.period_end)
    assert (subscription.offer.plan, bill(subscription).body["total"]) == ("mid", 2900)
    world.advance(subscription.period_end)
    assert subscription.body["schedule"] is None
    assert "subscription_schedule.released" in heard(world)


def test_another_interval_begins_a_new_period_and_gives_back_what_is_unused() -> None:
    world = World(1)
    subscription = subscribed(world)
    start = subscription.plan_item["current_period_start"]
    world.advance((start + subscription.period_end) // 2)

    subscription.upgrade("mid_yearly")

    assert subscription.plan_item["current_period_start"] == world.now
    assert bill(subscription).body["total"] == 29_000 - 2900 // 2


def test_an_update_that_waits_for_its_money_changes_nothing_until_it_comes() -> None:
    world = World(1)
    subscription = subscribed(world)
    subscription.customer.card_declines = True
    asked = subscription.repriced("high_monthly")
    subscription.update(items=asked, proration_behavior="always_invoice", payment_behavior="pending_if_incomplete")
    assert subscription.offer.plan == "mid"

    subscription.customer.card_declines = False
    bill(subscription).collect(off_session=False)

    assert subscription.offer.plan == "high"
    assert heard(world)[-1] == "customer.subscription.pending_update_applied"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 100), st.booleans())
def test_discount_and_tax_are_kept_apart_and_add_up(percent: int, taxed: bool) -> None:
    world = World(1)
    coupon = Coupon.create(world, percent_off=float(percent), duration="once")
    subscription = Subscription.create(
        world,
        customer=Customer(world).id,
        items=[{"price": price(world, "high_monthly")}],
        discounts=[{"coupon": coupon.id}],
        automatic_tax={"enabled": taxed},
    )

    first = bill(subscription).body

    (off,) = (one["amount"] for one in first["total_discount_amounts"])
    tax = sum(one["amount"] for one in first["total_taxes"])
    assert abs(off - 9900 * percent / 100) <= 0.5
    assert first["total"] == 9900 - off + tax
    assert (tax > 0) == (taxed and percent < 100)
    world.advance(subscription.period_end)
    assert bill(subscription).body["total_discount_amounts"] == []


def test_a_coupon_that_is_used_up_is_refused_and_its_code_too() -> None:
    world = World(1)
    coupon = Coupon.create(world, amount_off=100, currency="usd", max_redemptions=1)
    PromotionCode.create(world, promotion={"type": "coupon", "coupon": coupon.id}, code="ONCE")
    basket(world, allow_promotion_codes=True).pay("pm_card_visa", promotion_code="once")

    late = basket(world, allow_promotion_codes=True)

    assert refuses(lambda: late.pay("pm_card_visa", promotion_code="ONCE")).param == "coupon"
    assert late.status == "open"


def test_what_is_owed_to_a_customer_pays_the_next_invoice() -> None:
    world = World(1)
    subscription = subscribed(world)
    CreditNote.create(world, invoice=bill(subscription).id, credit_amount=1000)

    world.advance(subscription.period_end)

    assert bill(subscription).body["amount_paid"] == 1900
    assert subscription.customer.body["balance"] == 0


def mailed(world: World, amount: int = 5000) -> Invoice:
    invoice = Invoice.create(world, customer=Customer(world).id, collection_method="send_invoice", days_until_due=7)
    InvoiceItem.create(world, customer=invoice.customer.id, amount=amount, currency="usd", invoice=invoice.id)
    invoice.send()
    return invoice


def test_an_invoice_that_is_paid_by_other_means_has_no_payment_intent() -> None:
    world = World(1)
    invoice = mailed(world)

    invoice.pay(paid_out_of_band=True)

    assert invoice.is_paid
    assert (invoice.intent, balance(world)) == (None, {})


@pytest.mark.parametrize("end", ["void", "mark_uncollectible"])
def test_an_invoice_that_nobody_pays_ends_and_one_that_is_void_is_never_paid(end: str) -> None:
    world = World(1)
    invoice = mailed(world)

    getattr(invoice, end)()

    if end == "void":
        assert refuses(invoice.pay).type == "invalid_request_error"
    else:
        invoice.pay()
    assert balance(world).total() == (0 if end == "void" else 5000)


def test_while_collection_is_paused_invoices_are_void_and_nobody_pays() -> None:
    world = World(1)
    subscription = subscribed(world)
    subscription.pause_collection()
    before = balance(world)

    world.advance(subscription.period_end)

    assert bill(subscription).status == "void"
    assert (subscription.status, balance(world)) == ("active", before)


def test_an_unpaid_first_invoice_is_void_after_a_day() -> None:
    world = World(1)
    subscription = Subscription(world, Customer(world), "mid_monthly")
    subscription.start(pays=False)

    let_pass(world, days(1))

    assert (subscription.status, bill(subscription).status) == ("incomplete_expired", "void")


# Checkout and Portal.


def test_a_session_that_is_declined_stays_open_and_may_be_paid_with_another_card() -> None:
    world = World(1)
    session = basket(world, "credits_500", payment_intent_data={"metadata": {"kind": "credits"}})

    refuses(lambda: session.pay("4000000000000002"))
    session.pay("4242424242424242", email="guest@subscriber.example")

    assert (session.status, session.body["payment_status"]) == ("complete", "paid")
    charge = next(iter(world.shelf.all("charge")))
    assert (charge.body["metadata"], charge.body["customer"]) == ({"kind": "credits"}, None)
    assert refuses(lambda: session.pay("pm_card_visa")).message == "This Checkout Session is complete."


def test_a_session_that_makes_an_invoice_has_it_paid_by_the_same_payment() -> None:
    world = World(1)
    session = basket(world, "credits_1000", invoice_creation={"enabled": True}, automatic_tax={"enabled": True})

    session.pay("pm_card_visa", email="company@subscriber.example")

    invoice = world.shelf.get("invoice", session.body["invoice"])
    assert invoice is not None
    assert invoice.is_paid
    assert (invoice.intent.id, invoice.body["total"]) == (session.body["payment_intent"], session.body["amount_total"])
    assert session.status == "complete"


def test_a_session_that_nobody_pays_expires_after_a_day() -> None:
    world = World(1)
    session = basket(world)

    let_pass(world, days(1))

    assert (session.status, session.body["url"]) == ("expired", None)
    assert heard(world)[-1] == "checkout.session.expired"


@pytest.mark.parametrize("succeeds", [True, False])
def test_a_session_paid_by_debit_is_complete_now_and_paid_or_not_days_later(succeeds: bool) -> None:
    world = World(1)
    session = basket(world)
    session.pay("pm_usBankAccount_success")
    assert (session.status, session.body["payment_status"]) == ("complete", "unpaid")

    session.settle(succeeds=succeeds)
    let_pass(world, days(5))

    outcome = "succeeded" if succeeds else "failed"
    assert heard(world).count(f"checkout.session.async_payment_{outcome}") == 1
    assert session.body["payment_status"] == ("paid" if succeeds else "unpaid")


def portal(subscription: Subscription, **features: Any) -> PortalSession:
    world = subscription.world
    configuration = PortalConfiguration.create(world, features=features).id if features else None
    return PortalSession.create(world, customer=subscription.customer.id, configuration=configuration)


def test_in_the_portal_more_comes_at_once_and_less_at_the_periods_end() -> None:
    world = World(1)
    subscription = subscribed(world)

    portal(subscription).change_plan(subscription.id, price(world, "high_monthly"))
    assert subscription.offer.plan == "high"
    portal(subscription).change_plan(subscription.id, price(world, "mid_monthly"))

    assert subscription.offer.plan == "high"
    world.advance(subscription.period_end)
    assert subscription.offer.plan == "mid"


def test_the_portal_allows_what_its_configuration_allows_and_only_ones_own() -> None:
    world = World(1)
    mine, yours = subscribed(world), subscribed(world)
    strict = portal(mine, subscription_cancel={"enabled": True, "mode": "immediately"})

    assert refuses(lambda: strict.update_card("pm_card_visa")).code == "feature_not_enabled"
    assert refuses(lambda: strict.cancel(yours.id)).code == "resource_missing"
    strict.cancel(mine.id)

    assert (mine.status, yours.status) == ("canceled", "active")


def test_a_card_put_in_at_the_portal_pays_from_then_on() -> None:
    world = World(1)
    subscription = subscribed(world)

    portal(subscription).update_card("pm_card_mastercard")
    world.advance(subscription.period_end)

    newest = next(iter(world.shelf.all("charge")))
    assert newest.body["payment_method_details"]["card"]["brand"] == "mastercard"
