"""`billing reconcile`: Stripe's objects beside ours, one by one, and what mends the difference."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from consumers.facts import Facts
from consumers.reconcile import CUSTOMER, KINDS, LISTINGS, Found, Listing, Page, Reconciler
from models.base import Model
from models.drift import Drift, Why
from ops import connection, console
from ops.console import AsJson
from ops.plainly import plainly
from runtime import clock, kafka
from runtime.keys import Keyring
from runtime.settings import ReconcileSettings
from runtime.stripe_client import StripeClient
from store import bookmarks, catalog
from store import drift as held_objects
from store.postgres import Database

NAME: Final = "reconcile"
EXAMPLES_MAX: Final = 20
DOUBTED_MAX: Final = 5_000
SETTLE_SECONDS: Final = 3.0
"""How long a difference is given to go away by itself."""

BAR_SHARES: Final = 100

Repair = Annotated[bool, typer.Option("--repair", help="Tell the books what mends each difference, and look again.")]
Kinds = Annotated[list[str] | None, typer.Option("--kind", help=f"Only these: {', '.join(KINDS)}.")]
Anew = Annotated[bool, typer.Option("--anew", help="Do not go on where an earlier one was broken off.")]


class Place(Model):
    """Where it stands: all lists before this one are done, and this one up to an object."""

    kinds: tuple[str, ...]
    listing: int = 0
    after: str | None = None


@dataclass(slots=True)
class Report:
    """What was found, by kind."""

    listed: Counter[str] = field(default_factory=Counter)
    apart: Counter[tuple[str, Why]] = field(default_factory=Counter)
    examples: list[Drift] = field(default_factory=list)
    told: int = 0

    def take(self, found: Sequence[Found]) -> None:
        """Add what is apart."""
        for one in found:
            self.apart[one.drift.kind, one.drift.why] += 1
        room = EXAMPLES_MAX - len(self.examples)
        self.examples.extend(one.drift for one in found[:room])

    @property
    def drift(self) -> int:
        """How many objects are apart."""
        return sum(self.apart.values())


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk through the lists."""

    reconciler: Reconciler
    database: Database
    listings: Sequence[Listing]
    name: str | None  # Under which its place is kept; None: it begins anew whenever it is broken off.
    repair: bool
    quiet: bool
    doubted: list[Found] = field(default_factory=list)

    async def go(self, place: Place) -> Report:
        """Go through all lists from *place*."""
        report = Report()
        expected = await held_objects.counts(self.database)
        columns = (TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn(), TimeRemainingColumn())
        hidden = self.quiet or not console.err.is_terminal
        with Progress(*columns, console=console.err, disable=hidden) as bars:
            bar = bars.add_task("begins", total=len(self.listings) * BAR_SHARES)
            for number in range(place.listing, len(self.listings)):
                listing = self.listings[number]
                after = place.after if number == place.listing else None
                here = 0
                async for page in self.reconciler.pages(listing, after):
                    report.listed[listing.kind] += page.listed
                    await (self._mend(report, page) if self.repair else self._doubt(report, page))
                    await self._mark(place, number, page)
                    here += page.listed
                    share = min(1.0, here / max(expected.get(listing.kind, 0), here, 1))
                    done = int((number + share) * BAR_SHARES)
                    bars.update(bar, completed=done, description=f"{listing.kind}: {here}")
            if any(listing.kind == CUSTOMER for listing in self.listings):
                async for page in self.reconciler.unseen():
                    await (self._mend(report, page) if self.repair else self._doubt(report, page))
            await self._judge(report)
        if self.name is not None:
            await bookmarks.take_out(self.database, self.name)
        return report

    async def _doubt(self, report: Report, page: Page) -> None:
        """Look at a difference again later: what changed a moment ago is on its way."""
        self.doubted.extend(page.found)
        if len(self.doubted) >= DOUBTED_MAX:
            await self._judge(report)

    async def _judge(self, report: Report) -> None:
        if self.doubted:
            await asyncio.sleep(SETTLE_SECONDS)
            report.take(await self.reconciler.still(self.doubted))
            self.doubted.clear()

    async def _mend(self, report: Report, page: Page) -> None:
        """Tell at once: an answer that was not needed does no harm."""
        report.take(page.found)
        if not page.found:
            return
        fact_ids = await self.reconciler.tell(page.found)
        report.told += len(fact_ids)
        if not await self.reconciler.taken(fact_ids):
            console.problem("The books do not keep up: `billing lag` and `billing parked ls` say why.")
            raise typer.Exit(1)

    async def _mark(self, place: Place, number: int, page: Page) -> None:
        """What may be gone is known only of a list that was read as a whole: such a one begins anew."""
        if self.name is None:
            return
        after = None if page.listing.may_go else page.last_id
        done = page.last_id is None and not (page.listing.may_go and page.listed)
        here = place.model_copy(update={"listing": number + done, "after": after})
        await bookmarks.move(self.database, self.name, here.model_dump_json())


def reconcile(repair: Repair = False, kind: Kinds = None, anew: Anew = False, as_json: AsJson = False) -> None:
    """Compare Stripe's objects with ours; exit status 1 when any is not the same.

    It may be broken off (Ctrl-C) and given again: then it goes on where it was.
    """
    if unknown := set(kind or ()) - set(KINDS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the kinds are {', '.join(KINDS)}", param_hint="--kind")
    settings = connection.settings(ReconcileSettings)
    with plainly():
        report = asyncio.run(_reconcile(settings, tuple(kind or KINDS), repair=repair, anew=anew, as_json=as_json))
    raise typer.Exit(1 if report.drift else 0)


@asynccontextmanager
async def reconciling(
    settings: ReconcileSettings, cause: str, go_live_at: datetime | None = None
) -> AsyncIterator[tuple[Reconciler, Database]]:
    """What it takes, until the block ends."""
    url, keyring = settings.database_url.get_secret_value(), Keyring.from_file(settings.edge_keys_file)
    async with (
        StripeClient.of(settings) as stripe,
        Database(url, application_name="billing-reconcile") as database,
        Facts(kafka.client_options(settings), keyring, livemode=settings.stripe_livemode) as facts,
    ):
        wanted = catalog.read(settings.catalog_file)
        yield (
            Reconciler(
                stripe,
                database,
                wanted,
                facts,
                cause,
                clock.now,
                livemode=settings.stripe_livemode,
                go_live_at=go_live_at,
            ),
            database,
        )


async def _reconcile(
    settings: ReconcileSettings, kinds: tuple[str, ...], *, repair: bool, anew: bool, as_json: bool
) -> Report:
    cause = f"reconcile-{clock.now():%Y%m%dT%H%M%S}"
    listings = [listing for listing in LISTINGS if listing.kind in kinds]
    async with reconciling(settings, cause) as (reconciler, database):
        place = Place(kinds=kinds)
        name = NAME if repair else None  # Who only looks wants to see all of it.
        if repair and not anew:
            place = await begun(database, NAME, place, quiet=as_json)
        report = await Walk(reconciler, database, listings, name, repair, as_json).go(place)
        if not (repair and as_json):
            _tell(report, as_json=as_json)
        if not repair:
            return report
        if not await reconciler.settled():
            console.problem("Some facts wait for their owner: is the process `stripe-requests` running?")
        again = await Walk(reconciler, database, listings, None, repair=False, quiet=as_json).go(Place(kinds=kinds))
    _tell_again(report, again, as_json=as_json)
    return again


async def begun(database: Database, name: str, place: Place, *, quiet: bool) -> Place:
    """Where an earlier one of the same kinds was broken off, else *place*."""
    found = await bookmarks.read(database, name)
    earlier = Place.model_validate_json(found) if found else place
    if earlier.kinds != place.kinds or earlier == place:
        return place
    if not quiet:
        console.say("It goes on where it was broken off.  --anew begins again.")
    return earlier


def _tell(report: Report, *, as_json: bool) -> None:
    if as_json:
        console.show_json(shown(report))
        return
    show_kinds(report)
    if report.examples:
        console.say("")
        examples = [(one.object_id, one.why.value, ", ".join(one.fields)) for one in report.examples]
        console.show_table(("object", "why", "fields"), examples, title=f"The first {len(examples)}")
    console.say(f"\n{report.drift} of {sum(report.listed.values())} objects are not as Stripe shows them.")


def show_kinds(report: Report) -> None:
    """By kind, how many Stripe lists, and how many are apart."""
    rows = [
        (kind, report.listed[kind], *(report.apart[kind, why] or "-" for why in Why))
        for kind in KINDS
        if report.listed[kind] or any(report.apart[kind, why] for why in Why)
    ]
    console.show_table(("kind", "listed", *(why.value for why in Why)), rows)


def _tell_again(report: Report, again: Report, *, as_json: bool) -> None:
    if as_json:
        console.show_json({"before": shown(report), "told": report.told, "after": shown(again)})
        return
    console.say(f"{report.told} answers of Stripe were told.  Looked at again: {again.drift} are not as Stripe shows.")
    if again.drift:
        _tell(again, as_json=False)


def shown(report: Report) -> dict[str, object]:
    """A report for a program."""
    return {
        "listed": dict(report.listed),
        "drift": report.drift,
        "apart": [{"kind": kind, "why": why.value, "objects": count} for (kind, why), count in report.apart.items()],
        "examples": [one.model_dump(mode="json") for one in report.examples],
    }
