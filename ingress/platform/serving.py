"""The process around the platform's door: what it needs is opened before it, and closed behind it."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Final

from aiohttp import web

from ingress.platform.calls import Tools
from ingress.platform.connections import PlatformServer
from ingress.platform.door import Door
from ingress.platform.tables import Tables
from runtime import clock, garbage, health, logs
from runtime.keys import Keyring
from runtime.settings import PlatformSettings
from runtime.stripe_client import StripeClient
from store import catalog
from store.postgres import Database

BACKLOG: Final = 1_024
CLEANUP_SECONDS_MAX: Final = 1.0
STATEMENT_SECONDS_MAX: Final = 2

log = logs.get_logger(__name__)


async def serve(settings: PlatformSettings, stop: asyncio.Event) -> None:
    """Keep the platform's door open until *stop*, then finish what is in hand."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(
            Database(
                settings.database_url.get_secret_value(),
                application_name="billing-platform",
                statement_seconds_max=STATEMENT_SECONDS_MAX,
            )
        )
        tables = Tables(database, settings.database_connections_max)
        stripe = await stack.enter_async_context(StripeClient.of(settings))
        tools = Tools(stripe, tables, catalog.read(settings.catalog_file), settings.platform_return_origins)
        door = Door(settings, tools, Keyring.from_file(settings.store_keys_file), clock.now)
        aside = await health.serve(settings.metrics_host, settings.metrics_port, tables.ping)
        stack.push_async_callback(aside.cleanup)
        forgetting = asyncio.create_task(door.onces.go_on_forgetting(clock.now))
        stack.push_async_callback(_end, forgetting)
        await _answer(door, settings, stop)


async def _answer(door: Door, settings: PlatformSettings, stop: asyncio.Event) -> None:
    server = PlatformServer(door.handle, settings)
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=CLEANUP_SECONDS_MAX)
    await runner.setup()
    site = web.TCPSite(runner, settings.platform_host, settings.platform_port, backlog=BACKLOG, reuse_port=True)
    await site.start()
    garbage.settle()
    log.info("the door is open", host=settings.platform_host, port=settings.platform_port)
    await stop.wait()
    log.info("the door closes")
    await site.stop()
    await server.finish(settings.stop_seconds_max)
    await runner.cleanup()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
