"""`python -m simulator.server`: a pretend Stripe at an address of its own, which it tells as one line of JSON."""

import argparse
import asyncio
import json
import os
import signal
import sys
import time

from simulator import story
from simulator.server.desk import desk_for
from simulator.server.limits import SANDBOX_RATE_PER_SECOND
from simulator.server.serving import serving
from simulator.server.versions import shape_version
from simulator.shapes import NEWEST
from simulator.world import STORY_START_SECONDS, World


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m simulator.server", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="all chance comes from it")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 is any that is free")
    parser.add_argument("--start", type=int, default=STORY_START_SECONDS, help="the world's first second, since 1970")
    parser.add_argument("--api-version", default=NEWEST, help="the account's own, in whose shape events are kept")
    parser.add_argument(
        "--rate-per-second", type=float, default=SANDBOX_RATE_PER_SECOND, help="requests let through; 0 is no limit"
    )
    parser.add_argument("--subscribers", type=int, default=0, help="how many people live there by themselves")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> None:
    """Serve until somebody says it is enough."""
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, enough.set)
    world = World(arguments.seed, arguments.start)
    story.let_arrive(world, arguments.subscribers)
    desk = desk_for(world, time.monotonic, arguments.rate_per_second)
    desk.api_version = shape_version(arguments.api_version)
    async with serving(desk, arguments.host, arguments.port) as address:
        sys.stdout.write(json.dumps({"address": address, "pid": os.getpid(), "now": desk.world.now}) + "\n")
        sys.stdout.flush()
        await enough.wait()


if __name__ == "__main__":
    asyncio.run(_serve(_arguments()))
