"""A server that runs: the API, the hosted pages and the strings behind the stage, at one address."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from simulator.server import checkout_page, portal_page
from simulator.server.app import BODY_BYTES_MAX, Api
from simulator.server.control import Control
from simulator.server.couriers import Couriers
from simulator.server.deliveries import Deliveries
from simulator.server.desk import Desk
from simulator.server.fate import Fate
from simulator.server.resources.all import ROUTES
from simulator.server.routes import Routes

GOODBYE_SECONDS_MAX: Final = 2.0


def application(desk: Desk, couriers: Couriers) -> web.Application:
    """Everything that this pretend Stripe answers."""
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes(Control(desk).routes())
    app.add_routes(Deliveries(couriers).routes())
    app.add_routes(Fate(desk).routes())
    app.add_routes(checkout_page.Page(desk).routes())
    app.add_routes(portal_page.Page(desk).routes())
    app.router.add_route("*", "/{anywhere:.*}", Api(desk, Routes(ROUTES)).handle)
    return app


@asynccontextmanager
async def serving(desk: Desk, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """The address at which *desk* is served, for as long as the block runs; port 0 is any that is free.

    What happens meanwhile is delivered to the endpoints that there are.
    """
    couriers = Couriers(desk, time.time)  # noqa: TID251  # Endpoints check signatures by the wall clock.
    runner = web.AppRunner(application(desk, couriers), access_log=None, shutdown_timeout=GOODBYE_SECONDS_MAX)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        desk.world.address = f"http://{host}:{runner.addresses[0][1]}"
        async with couriers.working():
            yield desk.world.address
    finally:
        desk.leaving.set()
        await runner.cleanup()
