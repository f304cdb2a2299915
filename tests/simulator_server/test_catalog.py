import pytest
import stripe

from tests.simulator_server.support import Pretend


async def make_price(pretend: Pretend, **more: object) -> stripe.Price:
    product = await pretend.stripe.v1.products.create_async({"name": "High", "metadata": {"plan": "high"}})
    wanted = {
        "product": product.id,
        "currency": "usd",
        "unit_amount": 9900,
        "recurring": {"interval": "month"},
        "lookup_key": "own_monthly",
        **more,
    }
    return await pretend.stripe.v1.prices.create_async(wanted)


async def test_a_price_is_found_by_its_lookup_key(pretend: Pretend) -> None:
    price = await make_price(pretend)
    await make_price(pretend, lookup_key="own_yearly", recurring={"interval": "year"})

    found = await pretend.stripe.v1.prices.list_async(
        {"lookup_keys": ["own_monthly"], "active": True, "type": "recurring", "expand": ["data.product"]}
    )

    assert [(one.id, one.unit_amount, one.recurring.interval) for one in found.data if one.recurring] == [
        (price.id, 9900, "month")
    ]
    assert isinstance(found.data[0].product, stripe.Product)
    assert found.data[0].product.metadata["plan"] == "high"


async def test_a_lookup_key_is_of_one_price_and_moves_when_told_to(pretend: Pretend) -> None:
    first = await make_price(pretend)
    with pytest.raises(stripe.InvalidRequestError, match="already uses that lookup key"):
        await make_price(pretend)

    second = await make_price(pretend, transfer_lookup_key=True)

    assert second.lookup_key == "own_monthly"
    assert (await pretend.stripe.v1.prices.retrieve_async(first.id)).lookup_key is None


async def test_what_may_change_of_a_product_and_a_price_changes_and_is_told(pretend: Pretend) -> None:
    price = await make_price(pretend)
    product_id = str(price.product)

    await pretend.stripe.v1.prices.update_async(price.id, {"active": False, "metadata": {"plan": "high"}})
    changed = await pretend.stripe.v1.products.update_async(product_id, {"name": "Higher", "description": "x"})
    unset = await pretend.stripe.v1.products.update_async(product_id, {"description": "", "metadata": {"plan": ""}})

    assert (changed.name, changed.description) == ("Higher", "x")
    assert (unset.description, "plan" in unset.metadata) == (None, False)
    told = await pretend.stripe.v1.events.list_async({"types": ["price.updated", "product.updated"]})
    assert [one.type for one in told.data] == ["product.updated", "product.updated", "price.updated"]
    with pytest.raises(stripe.InvalidRequestError, match="unknown parameter: unit_amount"):
        await pretend.stripe.v1.prices.update_async(price.id, {"unit_amount": 1})


async def test_a_product_that_has_prices_stays(pretend: Pretend) -> None:
    price = await make_price(pretend)
    lonely = await pretend.stripe.v1.products.create_async({"name": "x", "id": "prod_of_mine"})

    assert (await pretend.stripe.v1.products.delete_async(lonely.id)).deleted
    with pytest.raises(stripe.InvalidRequestError, match="No such product"):
        await pretend.stripe.v1.products.retrieve_async("prod_of_mine")
    with pytest.raises(stripe.InvalidRequestError, match="cannot be deleted"):
        await pretend.stripe.v1.products.delete_async(str(price.product))
