"""`billing backfill`: events that Stripe lists and no webhook brought."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from consumers.backfill import KEPT, Backfill, Place, Wish
from consumers.backfill import Progress as Come
from consumers.facts import Facts
from ops import connection, console
from ops.console import AsJson
from ops.plainly import plainly
from runtime import clock, kafka
from runtime.keys import Keyring
from runtime.settings import BackfillSettings
from runtime.stripe_client import Asking, StripeClient
from store.postgres import Database

NAME: Final = "backfill"
BAR_SHARES: Final = 1_000

Since = Annotated[
    str, typer.Option("--since", help="How far back: days (30d), hours (6h), or a date in UTC (2026-11-01).")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what is missing, and tell nothing.")]
Anew = Annotated[bool, typer.Option("--anew", help="Do not go on where an earlier one was broken off.")]


def backfill(since: Since = "30d", dry_run: DryRun = False, anew: Anew = False, as_json: AsJson = False) -> None:
    """Tell what Stripe lists and no webhook brought.

    Stripe lists the last 30 days; what is older, `billing reconcile` finds.  It may be broken off (Ctrl-C) and given
    again: then it goes on where it was.
    """
    settings = connection.settings(BackfillSettings)
    with plainly():
        asyncio.run(_backfill(settings, since, dry_run=dry_run, anew=anew, as_json=as_json))


def moment(written: str, now: datetime) -> datetime:
    """What --since names, by Stripe's clock *now*.  Raises BadParameter with what would be right."""
    number, unit = written[:-1], written[-1:]
    if number.isdecimal() and unit in {"d", "h"}:
        then = now - (timedelta(days=int(number)) if unit == "d" else timedelta(hours=int(number)))
    else:
        try:
            then = datetime.fromisoformat(written)
        except ValueError:
            raise typer.BadParameter(
                f"{written} is neither days (30d), hours (6h) nor a date (2026-11-01)", param_hint="--since"
            ) from None
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
    if then < now - KEPT:
        raise typer.BadParameter(
            "Stripe lists the last 30 days; `billing reconcile` finds what is older", param_hint="--since"
        )
    return then


async def _backfill(settings: BackfillSettings, since: str, *, dry_run: bool, anew: bool, as_json: bool) -> None:
    url, keyring = settings.database_url.get_secret_value(), Keyring.from_file(settings.edge_keys_file)
    async with (
        StripeClient.of(settings) as stripe,
        Database(url, application_name="billing-backfill") as database,
        Facts(kafka.client_options(settings), keyring, livemode=settings.stripe_livemode) as facts,
    ):
        looking = Backfill(stripe, database, facts, clock.now)
        wish = Wish(NAME, tell=not dry_run)
        begun = None if anew or dry_run else await looking.begun(wish)
        if begun and not as_json:
            console.say(f"It goes on where it was broken off, at {begun.after}.  --anew begins again.")
        now = (await stripe.read("/v1/events", {"limit": 1}, Asking())).answered_at
        place = begun or Place(since=int(moment(since, now).timestamp()))
        come = await _watched(looking, wish, place, quiet=as_json)
    _tell(come, dry_run=dry_run, as_json=as_json)


async def _watched(looking: Backfill, wish: Wish, place: Place, *, quiet: bool) -> Come:
    come = Come(place)
    columns = (TextColumn("{task.description}"), BarColumn(24), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console.err, disable=quiet or not console.err.is_terminal) as bars:
        bar = bars.add_task("events", total=BAR_SHARES)
        async for come in looking.look(wish, place):
            counts = f"{come.listed} events, {come.missing} missing"
            bars.update(bar, completed=int(come.share * BAR_SHARES), description=counts)
        bars.update(bar, completed=BAR_SHARES)
    return come


def _tell(come: Come, *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        counts = asdict(come)
        console.show_json({name: counts[name] for name in ("listed", "missing", "told")})
        return
    done = "would be told" if dry_run else "told as facts"
    console.say(f"Stripe lists {come.listed} events; {come.missing} were missing here, and {done}.")
