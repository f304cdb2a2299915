"""A price of Stripe's is found in the catalog by its lookup key, else its id, else its plan and interval."""

from typing import Any

import pytest
from pydantic import ValidationError

from models.catalog import Catalog
from tests.models.support_facts import CATALOG

Json = dict[str, Any]


def a_price(lookup_key: str, interval: str = "month", **more: Any) -> Json:
    return {"lookup_key": lookup_key, "interval": interval, "amount_minor": 100, **more}


def catalog(*prices: Json, **more: Any) -> Catalog:
    return Catalog.model_validate(
        {"currency": "usd", "plans": [{"plan": "mid", "name": "Mid", "prices": prices}], **more}
    )


def found(
    lookup_key: str | None = None, price_id: str = "price_x", hint: str | None = None, by: str | None = None
) -> str:
    offer = CATALOG_WITH_IDS.offer(lookup_key=lookup_key, price_id=price_id, plan_hint=hint, interval=by)
    return offer.lookup_key if offer else "nothing"


CATALOG_WITH_IDS = catalog(a_price("mid_monthly", price_ids=("price_old",)), a_price("mid_yearly", "year"))


def test_a_price_is_found_by_its_lookup_key() -> None:
    assert found("mid_yearly") == "mid_yearly"


def test_a_price_without_lookup_key_is_found_by_its_id() -> None:
    assert found(price_id="price_old") == "mid_monthly"


def test_a_price_without_either_is_found_by_the_plan_in_its_metadata_and_its_interval() -> None:
    assert found(hint="mid", by="year") == "mid_yearly"
    assert found(hint="mid", by="month") == "mid_monthly"


def test_the_lookup_key_counts_more_than_the_id_and_the_id_more_than_metadata() -> None:
    assert found("mid_yearly", "price_old", "mid", "month") == "mid_yearly"
    assert found("not_ours", "price_old", "mid", "year") == "mid_monthly"


@pytest.mark.parametrize(
    "unknown",
    [
        {},
        {"lookup_key": ""},
        {"hint": "mid"},
        {"hint": "mid", "by": "week"},
        {"by": "month"},
        {"hint": "high", "by": "month"},
    ],
)
def test_what_is_not_for_sale_is_not_found(unknown: dict[str, str]) -> None:
    assert found(**unknown) == "nothing"


def test_a_pack_of_credits_is_no_plan() -> None:
    assert CATALOG.offer(lookup_key="credits_500", price_id="price_x", plan_hint=None, interval=None) is None


@pytest.mark.parametrize(
    ("what", "prices", "more"),
    [
        ("lookup key", [a_price("twice"), a_price("twice", "year")], {}),
        ("lookup key", [a_price("credits")], {"packs": [{"pack": "credits", "credits": 1, "amount_minor": 1}]}),
        ("price id", [a_price("a", price_ids=("p",)), a_price("b", "year", price_ids=("p",))], {}),
        ("plan and interval", [a_price("a"), a_price("b")], {}),
    ],
)
def test_everything_is_listed_once(what: str, prices: list[Json], more: Json) -> None:
    with pytest.raises(ValidationError, match=f"each {what} stands once"):
        catalog(*prices, **more)


def test_a_plan_is_listed_once() -> None:
    plans = [
        {"plan": "mid", "name": "Mid", "prices": [a_price(key, by)]} for key, by in (("a", "month"), ("b", "year"))
    ]

    with pytest.raises(ValidationError, match="each plan stands once"):
        Catalog.model_validate({"currency": "usd", "plans": plans})


@pytest.mark.parametrize(
    "wrong",
    [{"amount_minor": "100"}, {"amount_minor": -1}, {"amount_minor": 1.5}, {"interval": "monthly"}, {"colour": "red"}],
)
def test_a_price_with_a_slip_in_it_is_refused(wrong: Json) -> None:
    with pytest.raises(ValidationError):
        catalog(a_price("a") | wrong)


def test_the_shipped_catalog_sells_what_the_conventions_say() -> None:
    sold = {price.lookup_key: price.amount_minor for plan in CATALOG.plans for price in plan.prices}
    packs = {pack.pack: (pack.credits, pack.amount_minor) for pack in CATALOG.packs}

    assert sold == {
        "free_monthly": 0,
        "mid_monthly": 2900,
        "mid_yearly": 29000,
        "high_monthly": 9900,
        "high_yearly": 99000,
    }
    assert packs == {"credits_500": (500, 500), "credits_1000": (1000, 950), "credits_5000": (5000, 4500)}
    assert [plan.plan for plan in CATALOG.plans] == ["free", "mid", "high"]
    assert CATALOG.currency == "usd"
