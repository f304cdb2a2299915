"""The library as people really use it: synchronous, from threads, and by its module's own settings."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import stripe

from tests.simulator_server.support import KEY, Pretend


@pytest.fixture
def modules_own_settings(pretend: Pretend) -> Iterator[None]:
    kept = stripe.api_key, stripe.api_base, stripe.default_http_client
    stripe.api_key, stripe.api_base, stripe.default_http_client = KEY, pretend.address, stripe.UrllibClient()
    yield
    stripe.api_key, stripe.api_base, stripe.default_http_client = kept


@pytest.mark.usefixtures("modules_own_settings")
async def test_api_base_is_all_that_it_takes() -> None:
    def use() -> tuple[list[str], stripe.Customer]:
        made = stripe.Customer.create(name="Ada", metadata={"account_id": "acct-1"})
        stripe.Customer.modify(made.id, name="Augusta Ada")
        names = [str(one.name) for one in stripe.Customer.list(limit=1).auto_paging_iter()]
        return names, stripe.Customer.delete(made.id)

    names, deleted = await asyncio.to_thread(use)

    assert (names, deleted.deleted) == (["Augusta Ada"], True)


async def test_many_threads_with_one_key_make_one_payment(pretend: Pretend) -> None:
    client = stripe.StripeClient(KEY, base_addresses={"api": pretend.address}, http_client=stripe.UrllibClient())

    def pay(_: int) -> str:
        return client.v1.payment_intents.create(
            {"amount": 2_000, "currency": "usd", "payment_method": "pm_card_visa", "confirm": True},
            {"idempotency_key": "once"},
        ).id

    with ThreadPoolExecutor(8) as pool:
        ids = await asyncio.gather(*(asyncio.wrap_future(pool.submit(pay, number)) for number in range(40)))

    assert len(set(ids)) == 1
    assert len(list(pretend.desk.world.shelf.all("charge"))) == 1
