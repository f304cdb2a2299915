"""`billing import`: the customers, subscriptions and payments that one has already."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from consumers.reconcile import KINDS, LISTINGS
from ops import connection, console
from ops.console import AsJson
from ops.local.errors import CannotStart
from ops.plainly import plainly
from ops.reconcile import Place, Report, Walk, begun, reconciling, show_kinds, shown
from runtime import clock
from runtime.settings import ReconcileSettings
from store import go_live
from store.postgres import Database

NAME: Final = "import"

GoLiveAt = Annotated[
    str | None,
    typer.Option("--go-live-at", help="When we went, or go, live, in UTC: 2026-12-01T00:00.  Now, if it is not said."),
]
Anew = Annotated[bool, typer.Option("--anew", help="Do not go on where an earlier one was broken off.")]


def import_(go_live_at: GoLiveAt = None, anew: Anew = False, as_json: AsJson = False) -> None:
    """Bring in what is at Stripe already, without granting, mailing or alerting any of it.

    What was made before we went live is told as history.  That moment is set once and stays.  It may be broken off
    (Ctrl-C) and given again: then it goes on where it was.
    """
    settings = connection.settings(ReconcileSettings)
    wished = moment(go_live_at) if go_live_at else None
    with plainly():
        report, went_at = asyncio.run(_import(settings, wished, anew=anew, as_json=as_json))
    _tell(report, went_at, as_json=as_json)


def moment(written: str) -> datetime:
    """A moment in UTC.  Raises BadParameter with what would be right."""
    try:
        read = datetime.fromisoformat(written)
    except ValueError:
        raise typer.BadParameter(
            f"{written} is no moment: 2026-12-01 and 2026-12-01T08:30 are", param_hint="--go-live-at"
        ) from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


async def _import(
    settings: ReconcileSettings, wished: datetime | None, *, anew: bool, as_json: bool
) -> tuple[Report, datetime]:
    async with Database(settings.database_url.get_secret_value(), application_name="billing-import") as database:
        went_at = await go_live.settle(database, wished or clock.now(), livemode=settings.stripe_livemode)
    if wished is not None and went_at != wished:
        raise CannotStart(f"We went live at {went_at:%Y-%m-%dT%H:%M:%SZ}, as was said before; that stays.")
    cause = f"import-{went_at:%Y%m%dT%H%M%S}"
    async with reconciling(settings, cause, went_at) as (reconciler, database):
        place = Place(kinds=KINDS)
        if not anew:
            place = await begun(database, NAME, place, quiet=as_json)
        report = await Walk(reconciler, database, LISTINGS, NAME, repair=True, quiet=as_json).go(place)
        if not await reconciler.settled():
            console.problem("Some facts wait for their owner: is the process `stripe-requests` running?")
    return report, went_at


def _tell(report: Report, went_at: datetime, *, as_json: bool) -> None:
    if as_json:
        console.show_json({"go_live_at": went_at.isoformat(), "told": report.told} | shown(report))
        return
    show_kinds(report)
    console.say(
        f"\n{report.told} objects were brought in.  What was made before {went_at:%Y-%m-%dT%H:%M:%SZ} is history."
    )
