import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
import stripe

from simulator.server.desk import desk_for
from simulator.server.serving import serving
from simulator.world import World
from tests.simulator_server.support import Pretend, client_of

stripe.enable_telemetry = False


@pytest.fixture
async def pretend() -> AsyncIterator[Pretend]:
    """A pretend Stripe of the test's own, at an address of its own, and without a limit of requests."""
    desk = desk_for(World(seed=7), asyncio.get_running_loop().time, rate_per_second=0)
    async with serving(desk) as address, aiohttp.ClientSession(address) as http:
        yield Pretend(desk, address, client_of(address, http), http)
    await asyncio.sleep(0)  # A closed transport lets go of its socket in the next turn of the loop.
