"""Waiting for Kafka's port: a Faust worker that is started while the broker is away dies after a second and a half."""

import asyncio
from contextlib import suppress
from typing import Final

from runtime.logs import get_logger

PAUSE_SECONDS: Final = 0.1
CONNECT_SECONDS_MAX: Final = 2.0

log = get_logger(__name__)


async def wait_for_broker(bootstrap_servers: str) -> None:
    """Return when one of the servers takes a connection, however late: without Kafka there is nothing to do."""
    servers = [server.rsplit(":", 1) for server in bootstrap_servers.split(",")]
    waiting = False
    while not any([await _listens(host, int(port)) for host, port in servers]):
        if not waiting:
            log.warning("waiting for the broker", servers=bootstrap_servers)
        waiting = True
        await asyncio.sleep(PAUSE_SECONDS)


async def _listens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
