"""`billing demo`: a year of a small business goes through the whole pipeline, and in the end the sums are checked.

A stack and a pretend Stripe are started, hundreds of people live a year in it (`shipped/year.yaml` in
`simulator/scenarios`), its webhooks are delivered twice now and then and in no order, a worker is killed in the middle,
and when everything has come to rest, the reports are compared with the pretend Stripe's own books, to the cent.
"""

import asyncio
import logging
import signal
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from ops import console, play
from ops.console import AsJson
from ops.local import folders, state
from ops.local.errors import CannotStart
from ops.local.home import Home
from ops.local.postgres import Role
from ops.local.pretend import PretendStripe
from ops.local.stack import Stack
from ops.plainly import plainly
from ops.play import SHUFFLE_SECONDS, Outcome, Wish
from ops.simulate import wished
from runtime import logs
from simulator.webhooks import Disorder

SCENARIO: Final = "year"
DUPLICATE_SHARE: Final = 0.1
VICTIM: Final = "books-1"
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM)
TOLD_FIRST: Final = (
    *("checkouts", "renewals", "failed payments", "recoveries", "upgrades", "downgrades", "refunds", "disputes"),
    *("cancellations", "portal visits"),
)
"""What a year must have of everything."""

Subscribers = Annotated[int, typer.Option("--subscribers", min=1, help="How many people live in the story.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed plays the same story.")]
Days = Annotated[int, typer.Option("--days", min=1, help="For how long.")]
HomeOption = Annotated[Path, typer.Option("--home", help="The stack's folder.")]


def demo(
    subscribers: Subscribers = 300,
    seed: Seed = 2026,
    days: Days = 365,
    home: HomeOption = folders.DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Play a year of many subscribers through the whole pipeline, kill a worker in the middle, check the sums.

    Exit status 0 only when the numbers agree.  On a terminal the stack then stays up until Ctrl-C.
    """
    logs.configure("demo")
    # That a worker dies is part of the show, and told by it; what is worse than that is still said.
    logging.getLogger().setLevel(logging.ERROR)
    home = home.resolve()
    with plainly():
        if state.running(home) is None and Home(home).has_data:
            raise CannotStart(f"{home} holds what an earlier stack left: `make down` removes it, then play again.")
        disorder = Disorder(duplicate_share=DUPLICATE_SHARE, shuffle_seconds=SHUFFLE_SECONDS)
        wish = replace(wished(SCENARIO, seed, disorder), subscribers=subscribers, days=days, victim=VICTIM)
        outcome = asyncio.run(_ended_by_signals(wish, home, as_json=as_json))
    raise typer.Exit(0 if outcome is not None and outcome.verdict.holds else 1)


async def _ended_by_signals(wish: Wish, home: Path, *, as_json: bool) -> Outcome | None:
    """SIGTERM ends it as Ctrl-C does: in order, leaving nothing behind."""
    playing = asyncio.ensure_future(_perform(wish, home, as_json=as_json))

    def end() -> None:
        """The first one counts: a second must not break off the clearing up."""
        for what in ENDINGS:
            asyncio.get_running_loop().add_signal_handler(what, lambda: None)
        playing.cancel()

    for what in ENDINGS:
        asyncio.get_running_loop().add_signal_handler(what, end)
    try:
        return await playing
    except asyncio.CancelledError:
        return None


async def _perform(wish: Wish, home: Path, *, as_json: bool) -> Outcome:
    say = (lambda _: None) if as_json else console.say
    say(f"{wish.subscribers} subscribers for {wish.days} days (seed {wish.seed}): {wish.scenario.about}")
    async with PretendStripe(wish.seed) as pretend:
        stack = Stack(home, names=play.NAMES, settings=play.settings_of(pretend), say=say)
        stack.postgres.url(Role.READER)  # Refused before anything is started: the sums are read as anybody may.
        async with stack:
            outcome = await play.perform(stack, pretend, wish, quiet=as_json)
            if as_json:
                console.show_json(outcome.as_json())
            else:
                play.tell(outcome, TOLD_FIRST)
            if console.out.is_terminal and not as_json:
                await _stay(stack, pretend)
    return outcome


async def _stay(stack: Stack, pretend: PretendStripe) -> None:
    """The stack is anybody's to look at until Ctrl-C."""
    console.say("")
    addresses = [(process.name, process.address or "-") for process in stack.state().processes]
    console.show_table(("service", "address"), [*addresses, ("pretend Stripe", pretend.address), *_places(stack)])
    console.say("\nIt stays up until Ctrl-C.  From another terminal, in this folder:")
    console.say("".join(f"\n  .venv/bin/billing {words}" for words in ("status", "lag", "send invoice.paid")))
    told = asyncio.Event()
    for what in ENDINGS:
        asyncio.get_running_loop().add_signal_handler(what, told.set)
    await told.wait()
    console.say("\nEnding.")


def _places(stack: Stack) -> list[tuple[str, str]]:
    """What it takes to send something oneself.  The database's password is for `billing status --json`."""
    addresses = stack.state().addresses
    return [(name.replace("_", " "), addresses[name]) for name in ("webhook_url", "webhook_secret_file")]
