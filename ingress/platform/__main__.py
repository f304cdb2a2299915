"""`python -m ingress.platform`: the platform's door, until SIGTERM."""

import asyncio
import signal
import sys

import uvloop

from ingress.platform.serving import serve
from runtime import logs
from runtime.settings import PlatformSettings, load
from store.catalog import BadCatalog


async def _run(settings: PlatformSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, stop)


def main() -> None:
    """Run the platform's door as settings say."""
    settings = load(PlatformSettings)
    logs.configure("platform")
    try:
        uvloop.run(_run(settings))
    except (BadCatalog, OSError, ValueError) as error:  # A file that is missing or is not what it should be.
        logs.get_logger(__name__).critical("process ends", error=type(error).__name__, reason=str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
