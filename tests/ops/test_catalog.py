"""`billing catalog`: what Stripe sells against what the catalog says, at a pretend Stripe."""

import json
import re
from asyncio import to_thread
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from models.catalog import Catalog
from ops import catalog as catalogs
from ops.catalog import Do, Found, Shelf, Step
from ops.cli import app
from runtime import clock
from runtime.stripe_client import StripeClient
from store import catalog as store_catalog
from tests.support_stripe import KEY, Pretend, pretending

SHIPPED = Path(__file__).parents[2] / "deploy" / "catalog.yaml"

Billing = Callable[..., "Any"]


@pytest.fixture
async def pretend() -> AsyncIterator[Pretend]:
    async with pretending() as one:
        yield one


@pytest.fixture
async def client(pretend: Pretend) -> AsyncIterator[StripeClient]:
    async with pretend.client() as one:
        yield one


@pytest.fixture
def shelf(client: StripeClient) -> Shelf:
    return Shelf(client)


def catalog_with(**amounts_minor: int) -> Catalog:
    """The shipped catalog with other prices."""
    written = yaml.safe_load(SHIPPED.read_bytes())
    for price in (price for plan in written["plans"] for price in plan["prices"]):
        price["amount_minor"] = amounts_minor.get(price["lookup_key"], price["amount_minor"])
    return Catalog.model_validate(written)


async def bring(shelf: Shelf, catalog: Catalog) -> tuple[Step, ...]:
    """Carry the plan out; what it was."""
    steps = catalogs.plan(catalog, await shelf.found())
    for step in steps:
        if step.do is not Do.DECIDE:
            await shelf.carry_out(step, clock.now())
    return steps


def on_sale(pretend: Pretend) -> dict[str, int]:
    """The amount of each lookup key that Stripe has."""
    return {price["lookup_key"]: price["unit_amount"] for price in pretend.things("price") if price["lookup_key"]}


async def test_an_empty_stripe_sells_the_catalog_afterwards_and_a_second_plan_is_empty(
    shelf: Shelf, pretend: Pretend
) -> None:
    catalog = store_catalog.read(SHIPPED)

    await bring(shelf, catalog)

    assert catalogs.plan(catalog, await shelf.found()) == ()
    assert on_sale(pretend) == {
        **{price.lookup_key: price.amount_minor for plan in catalog.plans for price in plan.prices},
        **{pack.pack: pack.amount_minor for pack in catalog.packs},
    }
    pack = next(price for price in pretend.things("price") if price["lookup_key"] == "credits_500")
    assert pack["metadata"] == {"kind": "credits", "pack": "credits_500", "credits": "500"}
    yearly = next(price for price in pretend.things("price") if price["lookup_key"] == "mid_yearly")
    assert (yearly["recurring"]["interval"], yearly["metadata"]) == ("year", {"plan": "mid"})


async def test_the_pretend_companys_own_products_are_found_by_what_they_sell(shelf: Shelf, pretend: Pretend) -> None:
    from simulator.catalog import stock

    stock(pretend.desk.world)

    steps = catalogs.plan(store_catalog.read(SHIPPED), await shelf.found())

    assert not [step for step in steps if step.do in {Do.CREATE, Do.REPLACE} and "mid" in step.thing]


async def test_another_amount_is_another_price_that_takes_the_key_and_the_old_one_stays(
    shelf: Shelf, pretend: Pretend
) -> None:
    await bring(shelf, catalog_with())
    before = len(pretend.things("price"))

    steps = await bring(shelf, catalog_with(mid_monthly=3_100))

    assert [(step.do, step.thing, step.why) for step in steps] == [
        (Do.REPLACE, "price mid_monthly", "29.00 usd a month → 31.00 usd a month")
    ]
    assert on_sale(pretend)["mid_monthly"] == 3_100
    assert len(pretend.things("price")) == before + 1
    assert catalogs.plan(catalog_with(mid_monthly=3_100), await shelf.found()) == ()


async def test_an_amount_that_goes_back_and_forth_within_a_day_is_followed_each_time(
    shelf: Shelf, pretend: Pretend
) -> None:
    for amount in (2_900, 3_100, 2_900, 3_100, 2_900):
        await bring(shelf, catalog_with(mid_monthly=amount))

        assert on_sale(pretend)["mid_monthly"] == amount


async def test_a_product_that_somebody_renamed_or_hid_is_put_right_as_often_as_it_happens(
    shelf: Shelf, pretend: Pretend
) -> None:
    await bring(shelf, catalog_with())
    product = pretend.desk.world.shelf.get("product", "plan_mid")
    for _ in range(2):
        product.update(name="Something else", active=False)

        (step,) = await bring(shelf, catalog_with())

        assert step.why == "Something else → Mid, not on sale → on sale"
        assert (product.body["name"], product.body["active"]) == ("Mid", True)


async def test_what_is_not_in_the_catalog_is_named_and_left_alone(shelf: Shelf, pretend: Pretend) -> None:
    from simulator.prices import Price
    from simulator.products import Product

    world = pretend.desk.world
    await bring(shelf, catalog_with())
    Product.create(world, name="Mugs", id="prod_mugs")
    Price.create(world, product="plan_mid", currency="usd", unit_amount=1, lookup_key="mid_daily")

    steps = await bring(shelf, catalog_with())

    assert {(step.do, step.thing) for step in steps} == {
        (Do.DECIDE, "product prod_mugs"),
        (Do.DECIDE, "price mid_daily"),
    }
    assert pretend.desk.world.shelf.get("product", "prod_mugs").body["active"]


@pytest.mark.parametrize(
    ("kind", "often"),
    [
        ("error", {"share": 0.3}),
        ("error_after", {"share": 0.3}),
        ("hang_after", {"count": 2}),
        ("rate_limit", {"count": 1}),
    ],
)
async def test_whatever_goes_wrong_nothing_is_made_twice(
    shelf: Shelf, pretend: Pretend, kind: str, often: dict[str, float]
) -> None:
    fault = pretend.fault(kind, method="POST", **often)

    await bring(shelf, catalog_with())

    assert fault.struck
    keys = [price["lookup_key"] for price in pretend.things("price")]
    assert len(keys) == len(set(keys)) == 8
    assert len(pretend.things("product")) == 6


def test_nothing_found_is_everything_to_be_made_products_before_their_prices() -> None:
    steps = catalogs.plan(store_catalog.read(SHIPPED), Found((), ()))

    made = [step.thing for step in steps]
    assert made.index("product plan_mid") < made.index("price mid_monthly")
    assert {step.do for step in steps} == {Do.CREATE}
    assert len({step.cause(clock.now()) for step in steps}) == len(steps)


@pytest.fixture
def billing(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> Billing:
    """What `billing catalog WORDS` does; in a thread, because it has a loop of its own."""
    monkeypatch.setenv("STRIPE_API_KEY", KEY)
    monkeypatch.setenv("STRIPE_API_BASE", pretend.address)
    monkeypatch.setenv("CATALOG_FILE", str(SHIPPED))
    monkeypatch.setenv("COLUMNS", "80")

    async def run(*words: str, answers: str = "") -> Result:
        return await to_thread(CliRunner().invoke, app(), ["catalog", *words], input=answers)

    return run


async def test_nothing_is_done_before_somebody_agrees(billing: Billing, pretend: Pretend) -> None:
    declined = await billing("apply", answers="n\n")
    assert "price mid_monthly" in declined.stdout
    assert pretend.things("price") == []

    agreed = await billing("apply", answers="y\n")
    assert agreed.exit_code == 0, agreed.output
    assert len(pretend.things("price")) == 8

    again = await billing("apply")
    assert (again.exit_code, again.stdout) == (0, "Stripe sells what the catalog does.\n")


async def test_a_script_reads_the_plan_and_agrees_beforehand(billing: Billing, pretend: Pretend) -> None:
    assert (await billing("apply", "--json")).exit_code == 2
    planned = json.loads((await billing("plan", "--json")).stdout)
    assert (await billing("drift", "--json")).exit_code == 1
    assert pretend.things("price") == []

    done = await billing("apply", "--yes", "--json")

    assert json.loads(done.stdout) == planned
    assert (await billing("drift", "--json")).exit_code == 0
    assert json.loads((await billing("plan", "--json")).stdout) == []


async def test_a_plan_holds_at_eighty_columns(billing: Billing) -> None:
    shown = await billing("plan")

    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert re.search(r"create +price mid_monthly +29\.00 usd a month", shown.stdout)
