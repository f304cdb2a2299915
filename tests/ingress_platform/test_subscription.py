from typing import Any

import pytest

from tests.ingress_platform.support import PLAN, Said, Shop, new_account

CHANGE = {"action": "change"}


async def subscriber(shop: Shop, plan: str = "mid_monthly", **more: Any) -> str:
    account = new_account()
    await shop.buy(account, {**PLAN, "plan": plan}, **more)
    return account


def theirs(shop: Shop, account: str) -> Any:
    [subscription] = shop.things("subscription", account)
    return subscription


def price_of(shop: Shop, account: str) -> str:
    return str(theirs(shop, account)["items"]["data"][0]["price"]["lookup_key"])


async def change(shop: Shop, account: str, plan: str, **headers: str) -> Said:
    said = await shop.post(account, "subscription", CHANGE | {"plan": plan}, **headers)
    await shop.books_hear()
    return said


def pass_time(shop: Shop, days: int) -> None:
    world = shop.pretend.desk.world
    world.advance(world.now + days * 86_400)


UPWARD = [("mid_monthly", "high_monthly"), ("mid_monthly", "mid_yearly"), ("high_monthly", "high_yearly")]
DOWNWARD = [("high_monthly", "mid_monthly"), ("mid_yearly", "mid_monthly"), ("mid_monthly", "free_monthly")]


@pytest.mark.parametrize(("before", "after"), UPWARD)
async def test_a_dearer_plan_is_there_at_once_and_its_share_of_the_period_is_billed(
    shop: Shop, before: str, after: str
) -> None:
    account = await subscriber(shop, before)
    pass_time(shop, 10)

    said = await change(shop, account, after)

    assert (said.status, said.body["effective"], said.body["price_lookup_key"]) == (200, "now", after)
    assert price_of(shop, account) == after
    shown = (await shop.get(account)).body
    assert shown["subscription"]["price_lookup_key"] == after
    assert len(shown["payments"]) == 2
    assert shown["payments"][0]["amount_minor"] > 0


@pytest.mark.parametrize(("before", "after"), DOWNWARD)
async def test_a_cheaper_plan_comes_at_the_periods_end_and_nothing_is_billed_before(
    shop: Shop, before: str, after: str
) -> None:
    account = await subscriber(shop, before)
    paid = len(shop.things("payment_intent", account))
    ends = (await shop.get(account)).body["current_period_end"]

    said = await change(shop, account, after)

    assert (said.status, said.body["effective"], said.body["effective_at"]) == (200, "period_end", ends)
    assert price_of(shop, account) == before
    assert len(shop.things("payment_intent", account)) == paid
    pass_time(shop, 370 if "yearly" in before else 32)
    assert price_of(shop, account) == after


async def test_a_larger_plan_for_a_shorter_time_is_there_at_once_and_paid_with_what_is_left_of_the_longer(
    shop: Shop,
) -> None:
    account = await subscriber(shop, "mid_yearly")
    pass_time(shop, 10)

    said = await change(shop, account, "high_monthly")

    assert (said.status, said.body["effective"]) == (200, "now")
    assert price_of(shop, account) == "high_monthly"
    assert [one["amount_minor"] for one in (await shop.get(account)).body["payments"]] == [29_000]


async def test_a_dearer_plan_that_is_not_paid_changes_nothing_yet_and_says_where_to_pay(shop: Shop) -> None:
    account = await subscriber(shop)
    customer = shop.pretend.desk.world.shelf.get("customer", theirs(shop, account)["customer"])
    customer.card_declines = True
    declining = shop.pretend.desk.world.shelf.get("subscription", theirs(shop, account)["id"])
    if declining.body["default_payment_method"]:
        declining.become(default_payment_method=None)

    said = await change(shop, account, "high_monthly")

    assert said.status == 200, said
    assert said.body["effective"] == "when_paid"
    assert said.body["payment_url"].startswith("http")
    assert said.body["price_lookup_key"] == price_of(shop, account) == "mid_monthly"


async def test_a_change_that_is_to_come_is_replaced_by_the_next_one(shop: Shop) -> None:
    account = await subscriber(shop, "high_yearly")
    await change(shop, account, "mid_yearly")

    again = await change(shop, account, "free_monthly")
    pass_time(shop, 367)

    assert again.body["effective"] == "period_end"
    assert price_of(shop, account) == "free_monthly"
    assert len(shop.pretend.things("subscription_schedule")) == 1


async def test_asking_for_the_plan_that_one_has_is_staying_on_it(shop: Shop) -> None:
    account = await subscriber(shop, "high_monthly")
    await change(shop, account, "mid_monthly")

    said = await change(shop, account, "high_monthly")
    pass_time(shop, 32)

    assert (said.status, said.body["effective"]) == (200, "now")
    assert price_of(shop, account) == "high_monthly"
    assert theirs(shop, account)["schedule"] is None


async def test_an_upgrade_leaves_no_downgrade_behind(shop: Shop) -> None:
    account = await subscriber(shop, "mid_monthly")
    await change(shop, account, "free_monthly")

    await change(shop, account, "high_monthly")
    pass_time(shop, 32)

    assert price_of(shop, account) == "high_monthly"


async def test_a_subscription_runs_out_at_its_periods_end_unless_it_is_resumed(shop: Shop) -> None:
    leaving, staying = await subscriber(shop), await subscriber(shop)

    for account in (leaving, staying):
        said = await shop.post(account, "subscription", {"action": "cancel"})
        assert (said.body["effective"], said.body["cancel_at_period_end"]) == ("period_end", True)
    resumed = await shop.post(staying, "subscription", {"action": "resume"})
    pass_time(shop, 32)

    assert (resumed.body["effective"], resumed.body["cancel_at_period_end"]) == ("now", False)
    assert [theirs(shop, account)["status"] for account in (leaving, staying)] == ["canceled", "active"]


async def test_what_is_to_end_is_resumed_before_it_is_changed(shop: Shop) -> None:
    account = await subscriber(shop)
    await shop.post(account, "subscription", {"action": "cancel"})

    said = await change(shop, account, "high_monthly")

    assert (said.status, said.problem, said.wrong) == (409, "state-forbids", {"action"})


async def test_a_downgrade_that_is_to_come_does_not_keep_anybody_from_leaving(shop: Shop) -> None:
    account = await subscriber(shop, "high_monthly")
    await change(shop, account, "mid_monthly")

    said = await shop.post(account, "subscription", {"action": "cancel"})
    pass_time(shop, 32)

    assert said.status == 200
    assert theirs(shop, account)["status"] == "canceled"


async def test_a_subscription_ends_now_when_that_is_asked_for(shop: Shop) -> None:
    account = await subscriber(shop)

    said = await shop.post(account, "subscription", {"action": "cancel", "when": "now"})
    await shop.books_hear()

    assert (said.body["status"], said.body["effective"]) == ("canceled", "now")
    assert (await shop.get(account)).body["plan"] == "free"


async def test_ending_now_with_a_lost_answer_and_asking_again_is_one_ending(shop_in_a_hurry: Shop) -> None:
    """By then there is no live subscription to find: what was meant is remembered."""
    shop = shop_in_a_hurry
    account = await subscriber(shop)
    fault = shop.pretend.fault("hang_after", method="DELETE")
    body = {"action": "cancel", "when": "now"}

    late = await shop.post(account, "subscription", body, Idempotency_Key="one")
    shop.pretend.heal()
    again = await shop.post(account, "subscription", body, Idempotency_Key="one")
    later = await shop.post(account, "subscription", body)

    assert fault.struck > 0
    assert late.status == 504
    assert (again.status, again.body["status"]) == (200, "canceled")
    assert (later.status, later.problem) == (409, "state-forbids")


async def test_collection_that_was_paused_is_resumed(shop: Shop) -> None:
    account = await subscriber(shop)
    shop.pretend.desk.world.shelf.get("subscription", theirs(shop, account)["id"]).pause_collection()

    said = await shop.post(account, "subscription", {"action": "resume"})

    assert said.status == 200
    assert theirs(shop, account)["pause_collection"] is None


@pytest.mark.parametrize("action", ["cancel", "resume", "change"])
async def test_who_has_no_subscription_cannot_change_it(shop: Shop, action: str) -> None:
    body = {"action": action} | ({"plan": "mid_monthly"} if action == "change" else {})

    said = await shop.post(new_account(), "subscription", body)

    assert (said.status, said.problem) == (409, "state-forbids")


async def test_nothing_to_resume_is_said(shop: Shop) -> None:
    said = await shop.post(await subscriber(shop), "subscription", {"action": "resume"})

    assert (said.status, said.problem, said.wrong) == (409, "state-forbids", {"action"})


async def test_nobody_changes_somebody_elses_subscription(shop: Shop) -> None:
    mine, other = await subscriber(shop), await subscriber(shop)
    body = {"action": "cancel", "subscription_id": theirs(shop, other)["id"]}

    said = await shop.post(mine, "subscription", body)

    assert (said.status, said.problem, said.wrong) == (409, "state-forbids", {"subscription_id"})
    assert not theirs(shop, other)["cancel_at_period_end"]
    assert (await shop.post(other, "subscription", body)).status == 200


@pytest.mark.parametrize("plan", ["credits_500", "gold_monthly"])
async def test_a_plan_is_one_of_the_catalog(shop: Shop, plan: str) -> None:
    said = await change(shop, await subscriber(shop), plan)

    assert (said.status, said.problem, said.wrong) == (422, "not-sold", {"plan"})
