"""`billing simulate`: a scenario, lived in a pretend Stripe against a stack of its own, and judged."""

import asyncio
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from ops import console, play
from ops.console import AsJson
from ops.local import folders, state
from ops.local.errors import CannotStart
from ops.local.home import Home
from ops.local.pretend import PretendStripe
from ops.local.stack import Stack
from ops.plainly import plainly
from ops.play import SHUFFLE_SECONDS, Outcome, Wish
from runtime import logs
from simulator.scenarios import reading
from simulator.scenarios.reading import BadScenario
from simulator.webhooks import Disorder

DEFAULT_HOME: Final = folders.DEFAULT_HOME.with_name(".simulate")
_LENGTH: Final = re.compile(r"(\d{1,4})(d|mo|y)")
_DAYS: Final = {"d": 1.0, "mo": 365.25 / 12, "y": 365.25}
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d+)?)%?")

Scenario = Annotated[str | None, typer.Argument(help="A file, or the name of a shipped one; without it, their list.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed plays the same lives.")]
Subscribers = Annotated[int | None, typer.Option("--subscribers", min=1, help="Else as the scenario says.")]
Advance = Annotated[str | None, typer.Option("--advance", help="For how long: 90d, 14mo, 2y.  Else as it says.")]
Shuffle = Annotated[bool, typer.Option("--shuffle", help="Webhooks come up to six hours late, and so in no order.")]
Duplicate = Annotated[str, typer.Option("--duplicate", help="So many are sent twice: 5%.")]
Drop = Annotated[str, typer.Option("--drop", help="So many are never sent; reconciling mends it in the end.")]
HomeOption = Annotated[Path, typer.Option("--home", help="The stack's folder.")]


def simulate(  # noqa: PLR0917  # typer makes options of them.
    scenario: Scenario = None,
    seed: Seed = 1,
    subscribers: Subscribers = None,
    advance: Advance = None,
    shuffle: Shuffle = False,
    duplicate: Duplicate = "0%",
    drop: Drop = "0%",
    home: HomeOption = DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Live a scenario in a pretend Stripe, deliver its webhooks to a stack, and compare the two.

    The stack is started for it and removed in the end.  Exit status 0 only when the numbers agree.
    """
    logs.configure("simulate")
    logging.getLogger().setLevel(logging.ERROR)
    if scenario is None:
        _list(as_json=as_json)
        return
    disorder = Disorder(
        drop_share=share("--drop", drop),
        duplicate_share=share("--duplicate", duplicate),
        shuffle_seconds=SHUFFLE_SECONDS if shuffle else 0,
    )
    with plainly():
        wish = wished(scenario, seed, disorder)
        wish = replace(
            wish,
            subscribers=subscribers or wish.subscribers,
            days=days("--advance", advance) if advance else wish.days,
        )
        outcome = asyncio.run(_simulate(wish, fresh(home.resolve()), as_json=as_json))
    if as_json:
        console.show_json(outcome.as_json())
    else:
        play.tell(outcome)
    raise typer.Exit(0 if outcome.verdict.holds else 1)


def wished(named: str, seed: int, disorder: Disorder) -> Wish:
    """The scenario that is named, as it says itself."""
    try:
        scenario = reading.read(reading.find(named))
    except BadScenario as bad:
        raise CannotStart(str(bad)) from None
    return Wish(scenario, seed, scenario.subscribers, scenario.days, disorder)


def fresh(home: Path) -> Path:
    """A home without anything of an earlier stack in it."""
    if state.running(home) is None and Home(home).has_data:
        raise CannotStart(f"{home} holds what an earlier stack left: `billing down --home {home}` removes it.")
    return home


def share(option: str, written: str) -> float:
    """A share of all: `5%`, or `5`."""
    found = _SHARE.fullmatch(written.strip())
    if found is None or float(found[1]) > 100:  # noqa: PLR2004  # Per cent.
        raise typer.BadParameter(f"{written} is no share: 5% is", param_hint=option)
    return float(found[1]) / 100


def days(option: str, written: str) -> int:
    """A length of time: `90d`, `14mo`, `2y`."""
    found = _LENGTH.fullmatch(written.strip())
    if found is None or found[1] == "0":
        raise typer.BadParameter(f"{written} is no length of time: 90d, 14mo and 2y are", param_hint=option)
    return round(int(found[1]) * _DAYS[found[2]])


async def _simulate(wish: Wish, home: Path, *, as_json: bool) -> Outcome:
    say = (lambda _: None) if as_json else console.say
    say(f"{wish.subscribers} subscribers for {wish.days} days (seed {wish.seed}): {wish.scenario.about}")
    async with (
        PretendStripe(wish.seed) as pretend,
        Stack(home, names=play.NAMES, settings=play.settings_of(pretend), say=say) as stack,
    ):
        return await play.perform(stack, pretend, wish, quiet=as_json)


def _list(*, as_json: bool) -> None:
    found = {name: reading.read(path) for name, path in reading.shipped().items()}
    if as_json:
        console.show_json({name: one.about for name, one in found.items()})
    else:
        rows = [(name, one.subscribers, one.days, one.about) for name, one in found.items()]
        console.show_table(("scenario", "people", "days", "about"), rows)
