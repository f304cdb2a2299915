"""A pretend Stripe at an address of its own, and our client before it, in more of a hurry than in life."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from runtime.stripe_circuit import Circuit
from runtime.stripe_client import Limits, StripeClient
from runtime.stripe_patience import Patience
from simulator.server.desk import Desk, desk_for
from simulator.server.faults import Fault
from simulator.server.journal import Entry
from simulator.server.serving import serving
from simulator.world import World

KEY = "sk_test_0123456789abcdef"
TRY_SECONDS_MAX = 0.3
HURRIED = Limits(
    requests_per_second=1_000,
    try_seconds_max=TRY_SECONDS_MAX,
    patience=Patience(retries_max=30, pause_seconds_first=0.01, pause_seconds_max=0.1),
    circuit=lambda: Circuit(failures_max=8, open_seconds=0.05),
)


@dataclass(frozen=True, slots=True)
class Pretend:
    """A pretend Stripe that runs."""

    desk: Desk
    address: str

    def fault(self, kind: str, **rule: Any) -> Fault:
        """Let something go wrong.  Whoever says `share` looks at `struck` afterwards: the dice may spare all."""
        return self.desk.faults.add({"kind": kind, **rule})

    def heal(self) -> None:
        """Let nothing go wrong any more."""
        self.desk.faults.clear()

    def things(self, kind: str) -> list[Any]:
        """The bodies of all objects of a kind, the newest first."""
        return [thing.body for thing in self.desk.world.shelf.all(kind)]

    def asked(self, method: str, path: str) -> Iterator[Entry]:
        """The requests that came for a path."""
        entries = self.desk.journal.entries
        return (entry for entry in entries if (entry.method, entry.path) == (method, path))

    def client(self, limits: Limits = HURRIED, key: str = KEY) -> StripeClient:
        """One that asks here."""
        return StripeClient(key, self.address, limits)


@asynccontextmanager
async def pretending(seed: int = 3) -> AsyncIterator[Pretend]:
    """A pretend Stripe for as long as the block runs, without a limit of requests."""
    desk = desk_for(World(seed=seed), asyncio.get_running_loop().time, rate_per_second=0)
    async with serving(desk) as address:
        yield Pretend(desk, address)
    await asyncio.sleep(0)  # A closed transport lets go of its socket in the next turn of the loop.
