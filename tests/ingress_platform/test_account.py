import json
import re

from tests.ingress_platform.support import BACK, PACK, PLAN, Shop, new_account


async def test_an_account_is_shown_with_its_plan_its_card_and_what_it_paid(shop: Shop) -> None:
    account = new_account()
    await shop.buy(account)
    await shop.buy(account, PACK)

    shown = (await shop.get(account)).body

    assert (shown["account"], shown["plan"], shown["status"]) == (account, "mid", "active")
    assert shown["current_period_start"] < shown["current_period_end"]
    assert shown["subscription"]["price_lookup_key"] == "mid_monthly"
    assert shown["payment_method"] == {
        "type": "card",
        "brand": "visa",
        "last4": "4242",
        "exp_month": 12,
        "exp_year": 2034,
    }
    assert sorted((one["kind"], one["amount_minor"]) for one in shown["payments"]) == [
        ("one_off", 950),
        ("subscription", 2_900),
    ]
    assert [(one["status"], one["amount_paid_minor"]) for one in shown["invoices"]] == [("paid", 2_900)]


async def test_nothing_is_known_of_who_never_came(shop: Shop) -> None:
    assert (await shop.get(new_account())).problem == "no-such-account"


async def test_who_has_no_live_subscription_is_on_the_free_plan(shop: Shop) -> None:
    never, once = new_account(), new_account()
    await shop.post(never, "portal-sessions", {"return_url": BACK})
    await shop.buy(once)
    await shop.post(once, "subscription", {"action": "cancel", "when": "now"})
    await shop.books_hear()

    for account in (never, once):
        shown = (await shop.get(account)).body
        assert (shown["plan"], shown["status"], shown["subscription"]) == ("free", "none", None)
    assert len((await shop.get(once)).body["payments"]) == 1


async def test_one_account_sees_nothing_of_another(shop: Shop) -> None:
    mine, other = new_account(), new_account()
    await shop.buy(other)
    await shop.buy(mine, PACK)

    shown = (await shop.get(mine)).body

    assert shown["plan"] == "free"
    assert [one["amount_minor"] for one in shown["payments"]] == [950]


async def test_nobodys_secrets_are_shown(shop: Shop) -> None:
    account = new_account()
    await shop.buy(account, PLAN)

    said = json.dumps((await shop.get(account)).body)

    assert not re.search(r"_secret_|@|hosted|pdf|receipt|fingerprint|http", said)


async def test_reading_needs_no_idempotency_key_and_is_not_kept(shop: Shop) -> None:
    said = await shop.get(new_account(), Idempotency_Key="one")

    assert said.status == 404
    assert said.headers["Cache-Control"] == "no-store"
