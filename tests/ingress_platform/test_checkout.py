import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from ingress.platform import prices
from models.customers import account_of_platform
from store import accounts
from tests.ingress_platform.support import BACK, DONE, ORIGIN, PACK, PLAN, Shop, new_account

ELSEWHERE = [
    "https://shop.example.evil.example/done",
    "https://evil.example/https://shop.example/",
    "https://shop.example@evil.example/",
    "https://user:password@shop.example/",
    "https://evil.example#@shop.example",
    "http://shop.example/",
    "https://shop.example:8443/",
    "https://[shop.example/",
    "https:///shop.example/",
    "https://shop.example%2eevil.example/",
]


def session_of(shop: Shop, account: str) -> Any:
    [session] = shop.things("checkout.session", account)
    return session


async def test_a_plan_is_subscribed_to_by_the_accounts_own_customer(shop: Shop) -> None:
    account = new_account()

    said = await shop.post(account, "checkout-sessions", PLAN)

    [customer] = shop.things("customer", account)
    session = session_of(shop, account)
    assert said.status == 201
    assert said.body["url"] == session["url"]
    assert datetime.fromisoformat(said.body["expires_at"]) == datetime.fromtimestamp(session["expires_at"], UTC)
    assert session["customer"] == customer["id"]
    assert session["mode"] == "subscription"
    assert session["client_reference_id"] == account
    assert (session["success_url"], session["cancel_url"]) == (DONE, BACK)


async def test_what_is_bought_is_known_to_be_the_accounts_everywhere(shop: Shop) -> None:
    account = new_account()
    await shop.buy(account)

    for kind in ("customer", "checkout.session", "subscription"):
        assert len(shop.things(kind, account)) == 1, kind
    [row] = shop.bench.sql(
        "SELECT account_id, platform_id FROM reports.customers WHERE platform_id = %(id)s", {"id": account}
    )
    assert row == {"account_id": account_of_platform(account), "platform_id": account}


async def test_a_pack_of_credits_says_on_its_payment_what_it_is(shop: Shop) -> None:
    account = new_account()
    await shop.buy(account, PACK)

    about = {"account_id": account, "kind": "credits", "credits": "1000", "pack": "credits_1000"}
    [intent] = shop.things("payment_intent", account)
    assert intent["metadata"] == about
    assert about.items() <= session_of(shop, account)["metadata"].items()
    assert intent["amount"] == 950
    [payment] = (await shop.get(account)).body["payments"]
    assert (payment["kind"], payment["status"], payment["amount_minor"]) == ("one_off", "succeeded", 950)


async def test_options_are_passed_on_and_are_off_unless_asked_for(shop: Shop) -> None:
    plain, fancy = new_account(), new_account()
    await shop.post(plain, "checkout-sessions", PLAN)
    await shop.post(
        fancy, "checkout-sessions", PLAN | {"trial_days": 14, "allow_promotion_codes": True, "automatic_tax": True}
    )

    assert not session_of(shop, plain)["allow_promotion_codes"]
    assert not session_of(shop, plain)["automatic_tax"]["enabled"]
    assert session_of(shop, fancy)["allow_promotion_codes"]
    assert session_of(shop, fancy)["automatic_tax"]["enabled"]
    await shop.pay(session_of(shop, fancy)["url"])
    await shop.books_hear()
    shown = (await shop.get(fancy)).body
    assert (shown["plan"], shown["status"]) == ("mid", "trialing")


@pytest.mark.parametrize("url", ELSEWHERE)
async def test_people_are_sent_back_to_a_place_that_settings_list_and_nowhere_else(shop: Shop, url: str) -> None:
    said = [
        await shop.post(new_account(), "checkout-sessions", PLAN | {"success_url": url}),
        await shop.post(new_account(), "checkout-sessions", PLAN | {"cancel_url": url}),
        await shop.post(new_account(), "portal-sessions", {"return_url": url}),
    ]

    assert [(one.status, one.problem) for one in said] == [(422, "url-not-allowed")] * 3
    assert [one.wrong for one in said] == [{"success_url"}, {"cancel_url"}, {"return_url"}]
    assert all(ORIGIN in one.body["detail"] and "evil" not in one.body["detail"] for one in said)
    assert list(shop.pretend.desk.journal.entries) == [], "Stripe was not asked"


@pytest.mark.parametrize(
    "url", [f"{ORIGIN}:443/x", f"{ORIGIN}?a=b", ORIGIN, "http://localhost:3000/", "https://SHOP.example"]
)
async def test_an_origin_is_one_however_it_is_written(shop: Shop, url: str) -> None:
    assert (await shop.post(new_account(), "portal-sessions", {"return_url": url})).status == 201


@pytest.mark.parametrize("what", [{"plan": "credits_500"}, {"plan": "gold_monthly"}, {"pack": "mid_monthly"}])
async def test_only_what_the_catalog_sells_is_sold(shop: Shop, what: dict[str, str]) -> None:
    said = await shop.post(new_account(), "checkout-sessions", {"success_url": DONE, "cancel_url": BACK, **what})

    assert (said.status, said.problem, said.wrong) == (422, "not-sold", set(what))


async def test_nobody_pays_for_two_plans_beside_each_other(shop: Shop) -> None:
    account = new_account()
    await shop.buy(account)

    plan = await shop.post(account, "checkout-sessions", PLAN | {"plan": "high_monthly"})
    pack = await shop.post(account, "checkout-sessions", PACK)

    assert (plan.status, plan.problem) == (409, "state-forbids")
    assert "subscription" in plan.body["detail"]
    assert pack.status == 201


async def test_a_page_that_was_paid_before_its_answer_came_is_still_the_answer(shop_in_a_hurry: Shop) -> None:
    """By then the account has a subscription: this one."""
    shop, account = shop_in_a_hurry, new_account()
    shop.pretend.fault("hang_after", method="POST", path="/v1/checkout/sessions")
    late = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")
    shop.pretend.heal()
    await shop.pay(session_of(shop, account)["url"])
    await shop.books_hear()

    again = await shop.post(account, "checkout-sessions", PLAN, Idempotency_Key="one")
    other = await shop.post(account, "checkout-sessions", PLAN)

    assert late.status == 504
    assert (again.status, again.body["session_id"]) == (201, session_of(shop, account)["id"])
    assert (other.status, other.problem) == (409, "state-forbids")


async def test_however_many_ask_at_once_an_account_gets_one_customer(shop: Shop) -> None:
    account = new_account()

    said = await asyncio.gather(*(shop.post(account, "portal-sessions", {"return_url": BACK}) for _ in range(8)))

    assert {one.status for one in said} <= {201, 503}
    assert len(shop.things("customer", account)) == 1


async def test_a_customer_is_remembered_before_the_books_hear_of_it(shop: Shop) -> None:
    account = new_account()
    await shop.post(account, "portal-sessions", {"return_url": BACK})
    await shop.post(account, "portal-sessions", {"return_url": BACK})

    assert len(list(shop.pretend.asked("POST", "/v1/customers"))) == 1
    assert (await shop.get(account)).body["plan"] == "free"


async def test_a_customer_that_the_books_know_is_the_accounts(shop: Shop) -> None:
    account = new_account()
    await shop.post(account, "portal-sessions", {"return_url": BACK})
    await shop.books_hear()
    shop.bench.sql("DELETE FROM door_customers")

    await shop.post(account, "portal-sessions", {"return_url": BACK})

    assert len(shop.things("customer", account)) == 1


async def test_when_a_customer_was_deleted_the_account_gets_another_one(shop: Shop) -> None:
    account = new_account()
    await shop.post(account, "portal-sessions", {"return_url": BACK})
    [first] = shop.things("customer", account)
    shop.pretend.desk.world.shelf.get("customer", first["id"]).delete()
    await shop.books_hear()

    said = await shop.post(account, "portal-sessions", {"return_url": BACK})

    assert said.status == 201
    async with shop.bench.database.connection() as connection:
        known = await accounts.customers(connection, account_of_platform(account))
    assert known.deleted == (first["id"],)
    assert len(known.living) == 1


async def test_what_the_catalog_has_and_stripe_has_not_is_told_to_us(shop: Shop) -> None:
    for price in shop.pretend.desk.world.shelf.all("price"):
        price.body["lookup_key"] = None

    said = await shop.post(new_account(), "checkout-sessions", PLAN)

    assert (said.status, said.problem) == (503, "not-now")
    assert "billing catalog apply" in said.body["detail"]


@pytest.mark.parametrize(("known_seconds", "questions"), [(60.0, 1), (0.0, 3)])
async def test_stripe_is_asked_for_a_price_now_and_then_and_not_for_each_page(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, known_seconds: float, questions: int
) -> None:
    monkeypatch.setattr(prices, "KNOWN_SECONDS", known_seconds)

    said = [await shop.post(new_account(), "checkout-sessions", PLAN) for _ in range(3)]

    assert {one.status for one in said} == {201}
    assert len(list(shop.pretend.asked("GET", "/v1/prices"))) == questions
