"""Three answers that whoever runs a process asks for: does it live, may it have work, what did it count.

`/livez` says that the loop turns.  `/readyz` says that what the process depends on answers; an orchestrator takes it
out of service meanwhile and does not kill it.  `/metrics` is Prometheus' text.  The server listens where settings say,
which is 127.0.0.1 unless somebody decided otherwise: metrics tell an attacker when we are weak.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from runtime import metrics
from runtime.logs import get_logger

Ready = Callable[[], Awaitable[object]]
"""Returns when the process may have work; raises, with the reason, when it may not."""

READY_SECONDS_MAX: Final = 2.0

log = get_logger(__name__)


async def serve(host: str, port: int, ready: Ready) -> web.AppRunner:
    """A running health server.  `await runner.cleanup()` ends it."""

    async def livez(_: web.Request) -> web.Response:
        return lives()

    async def readyz(_: web.Request) -> web.Response:
        return await ready_or_not(ready)

    async def show(_: web.Request) -> web.Response:
        return counted()

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", show)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner


def lives() -> web.Response:
    """The answer of a loop that turns."""
    return web.Response(text="ok\n")


async def ready_or_not(ready: Ready) -> web.Response:
    """200, or 503 without a reason: reasons are for the log, the door may be asked by anybody."""
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            await ready()
    except Exception as error:  # noqa: BLE001  # Whatever keeps it from being ready, the answer is the same.
        log.warning("not ready", error=type(error).__name__, reason=str(error))
        return web.Response(status=503, text="not ready\n")
    return web.Response(text="ok\n")


def counted() -> web.Response:
    """Every metric of this process."""
    return web.Response(body=metrics.exposition(), headers={"Content-Type": metrics.CONTENT_TYPE})
