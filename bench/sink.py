"""Somebody who takes spans and forgets them: where tracing sends to while its cost is measured."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from ops.local import ports


@asynccontextmanager
async def listening(wanted: bool) -> AsyncIterator[dict[str, str]]:
    """What processes are told of the collector, which listens until the block ends; nothing when none is wanted."""
    if not wanted:
        yield {}
        return
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/traces", _take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    port = ports.free_port()
    try:
        await web.TCPSite(runner, ports.HOST, port).start()
        yield {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{ports.HOST}:{port}"}
    finally:
        await runner.cleanup()


async def _take(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(content_type="application/x-protobuf")
