import asyncio

import aiohttp
import pytest
import stripe

from simulator.server.desk import desk_for
from simulator.server.limits import Bucket
from simulator.server.serving import serving
from simulator.world import World
from tests.simulator_server.support import Pretend, client_of


def test_a_second_lets_through_its_rate_and_a_long_pause_no_more_than_one_seconds_worth() -> None:
    now = 100.0
    bucket = Bucket(25, lambda: now)

    assert [bucket.lets_through() for _ in range(26)] == [True] * 25 + [False]
    now += 0.04
    assert [bucket.lets_through() for _ in range(2)] == [True, False]
    now += 3_600
    assert [bucket.lets_through() for _ in range(26)] == [True] * 25 + [False]


async def test_who_asks_too_fast_is_told_when_to_come_again_and_nothing_was_done() -> None:
    desk = desk_for(World(seed=7), lambda: 0.0, rate_per_second=2)
    async with serving(desk) as address, aiohttp.ClientSession(address) as http:
        pretend = Pretend(desk, address, client_of(address, http), http)
        statuses = [(await pretend.ask("POST", "/v1/customers", "name=x"))[0] for _ in range(3)]
        _, told, headers = await pretend.ask("GET", "/v1/customers")
        with pytest.raises(stripe.RateLimitError):
            await pretend.stripe.v1.customers.list_async()
    await asyncio.sleep(0)

    assert statuses == [200, 200, 429]
    assert (told["error"]["code"], headers["retry-after"]) == ("rate_limit", "1")
    assert len(list(desk.world.shelf.all("customer"))) == 2
