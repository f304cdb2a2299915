"""`python -m bench.year`: how long a year of the pretend Stripe takes, alone and with its webhooks delivered.

The door is the real one, with a real Kafka behind it; nobody reads the topic meanwhile.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from ops import console
from ops.console import AsJson
from ops.local.pretend import PretendStripe
from ops.local.stack import Stack
from runtime import clock

DAYS = 365


@dataclass(frozen=True, slots=True)
class Year:
    """One year, as it went."""

    way: str
    seconds: float
    events: int
    tries: int
    accepted: int


async def alone(pretend: PretendStripe, tell: Callable[[str], None]) -> Year:
    """The year when nobody listens."""
    return await _played("alone", pretend, tell)


async def delivered(pretend: PretendStripe, tell: Callable[[str], None]) -> Year:
    """The year when a real door hears of all of it."""
    with tempfile.TemporaryDirectory(prefix="billstream-year-") as home:
        async with Stack(Path(home), names=("ingress",)) as stack:
            await pretend.listen(stack.webhook_url, stack.webhook_secret)
            return await _played("delivered", pretend, tell)


WAYS: dict[str, Callable[[PretendStripe, Callable[[str], None]], Awaitable[Year]]] = {
    "alone": alone,
    "delivered": delivered,
}


async def _played(way: str, pretend: PretendStripe, tell: Callable[[str], None]) -> Year:
    began = clock.monotonic()
    for day in range(DAYS):
        await pretend.advance(days=1)
        if day % 30 == 0:
            tell(f"{way}: day {day} of {DAYS}")
    seconds = clock.monotonic() - began
    counts = await pretend.counted()
    return Year(way, seconds, counts["events"], counts["tries"], counts["accepted"])


async def _years(customers: int, seed: int, rounds: int) -> list[Year]:
    years = []
    with console.err.status("begins") as status:
        for _ in range(rounds):
            for play in WAYS.values():
                async with PretendStripe(seed, subscribers=customers) as pretend:
                    years.append(await play(pretend, status.update))
    return years


def main(
    customers: Annotated[int, typer.Option(min=1)] = 1_000,
    seed: Annotated[int, typer.Option()] = 2026,
    rounds: Annotated[int, typer.Option(min=1)] = 1,
    as_json: AsJson = False,
) -> None:
    """Play the year both ways, in turns."""
    years = asyncio.run(_years(customers, seed, rounds))
    rows = []
    for way in WAYS:
        mine = [year for year in years if year.way == way]
        seconds = [year.seconds for year in mine]
        spread = f"{statistics.median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f})"
        rows.append((way, len(mine), spread, mine[0].events, mine[0].tries, mine[0].accepted))
    columns = ("year", "n", "seconds", "events", "tries", "accepted")
    if as_json:
        console.show_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        console.show_table(columns, rows, title=f"{customers} customers, seed {seed}")


if __name__ == "__main__":
    typer.run(main)
