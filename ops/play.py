"""A play: a scenario lived in a pretend Stripe, its webhooks delivered to a stack, and the two compared in the end.

What is shared by `billing simulate` and `billing demo`: who starts what, who watches, and when it has come to rest.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from consumers import reader
from consumers.reconcile import LISTINGS
from ops import console
from ops.demo_verdict import Evidence, Verdict, judge
from ops.local.postgres import Role
from ops.local.pretend import KEY, PretendStripe
from ops.local.programs import CATALOG
from ops.local.stack import EVERYTHING, Say, Stack
from ops.local.waiting import until
from ops.reconcile import Place, Walk, reconciling
from runtime import clock
from runtime.settings import ReconcileSettings
from simulator.scenarios.playing import Hour, Player
from simulator.scenarios.stage import Stage
from simulator.scenarios.steps import Scenario
from simulator.webhooks import Disorder
from store import reports
from store.postgres import is_transient

NAMES: Final = (*EVERYTHING, "stripe-requests")
SETTINGS: Final = {"ASK_AFTER_SECONDS": "2", "SETTLE_SECONDS": "0.2", "STRIPE_REQUESTS_PER_SECOND": "100"}
"""A day of the play takes a moment: who would ask Stripe after half a minute asks after two seconds."""

TOPICS_READ: Final = ("billing.subscriptions", "billing.payments")
LOOK_EVERY_SECONDS: Final = 0.5
SAY_EVERY_SECONDS: Final = 3.0  # Where there is no terminal to draw bars on.
DRAIN_SECONDS_MAX: Final = 120.0
REST_SECONDS_MAX: Final = 60.0
READ_RETRIES_MAX: Final = 5
BAR_SHARES: Final = 1_000
SETTLE_DAYS: Final = 4
"""How long the world goes on after the last day: every webhook has been tried for the last time then."""

SHUFFLE_SECONDS: Final = 6 * 60 * 60

Rows = TypeVar("Rows")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be played, and how it is to go wrong."""

    scenario: Scenario
    seed: int
    subscribers: int
    days: int
    disorder: Disorder
    victim: str | None = None  # A worker that dies in the middle.


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    verdict: Verdict
    done: Counter[str]  # What people did, and what followed of itself.
    repaired: int | None  # What reconciling told, where deliveries were dropped.
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """All of it, for a program."""
        return self.verdict.as_json() | {
            "done": dict(self.done),
            "repaired": self.repaired,
            "seconds": round(self.seconds, 1),
        }


@dataclass(slots=True)
class Watch:
    """The bars, and what is known of the play while it runs."""

    wish: Wish
    stack: Stack
    pretend: PretendStripe
    progress: Progress
    clock_bar: TaskID
    books_bar: TaskID
    say: Say
    hour: Hour | None = None
    killed_pid: int | None = None
    counts: dict[str, int] = field(default_factory=dict)

    def on_hour(self, hour: Hour) -> None:
        """The play has come so far; in its middle a worker dies, and nobody is told."""
        self.hour = hour
        today = datetime.fromtimestamp(hour.now, UTC)
        self.progress.update(self.clock_bar, completed=hour.share * BAR_SHARES, description=f"{today:%Y-%m-%d}")
        if self.wish.victim and self.killed_pid is None and hour.share >= 0.5:  # noqa: PLR2004  # The middle.
            self.killed_pid = self.stack.supervisor.kill(self.wish.victim)
            words = f"{self.wish.victim} (pid {self.killed_pid}) killed with SIGKILL."
            self.progress.console.print(words, highlight=False)

    async def keep_looking(self) -> None:
        """Show every now and then how much is delivered and committed."""
        said_at = clock.monotonic()
        while True:
            await self.look()
            if self.hour and clock.monotonic() - said_at >= SAY_EVERY_SECONDS:
                today = datetime.fromtimestamp(self.hour.now, UTC)
                self.say(
                    f"{today:%Y-%m-%d}: {self.counts['accepted']} webhooks accepted, "
                    f"{self.counts['facts']} facts committed."
                )
                said_at = clock.monotonic()
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def look(self) -> None:
        """How much is delivered, and how much of it committed."""
        counts = await self.pretend.counted()
        counts["facts"] = await _read(self.stack, reports.count_facts)
        self.counts = counts
        self.progress.update(
            self.books_bar,
            total=counts["events"] - counts["dropped"],
            completed=counts["facts"],
            description="committed",
        )


def settings_of(pretend: PretendStripe) -> dict[str, str]:
    """What a stack is told so that it asks this Stripe."""
    return SETTINGS | {"STRIPE_API_BASE": pretend.address}


async def perform(stack: Stack, pretend: PretendStripe, wish: Wish, *, quiet: bool) -> Outcome:
    """Play *wish* on a stack that runs, and judge when it has come to rest."""
    began = clock.monotonic()
    await pretend.listen(stack.webhook_url, stack.webhook_secret)
    await pretend.disturb(**asdict(wish.disorder))
    async with _watching(stack, pretend, wish, quiet=quiet) as watch, Stage(pretend.address) as stage:
        done = await Player(wish.scenario, stage, wish.seed).play(wish.subscribers, wish.days, watch.on_hour)
        await pretend.disturb()  # Whoever is late comes; nobody sets out late any more.
        await pretend.advance(days=SETTLE_DAYS)
        await _drained(watch)
    repaired = await _repaired(stack, pretend) if wish.disorder.drop_share else None
    verdict = await _judged_at_rest(stack, pretend)
    books = await pretend.books()
    done.update(_followed(books))
    return Outcome(verdict, done, repaired, clock.monotonic() - began)


def _followed(books: Mapping[str, Any]) -> dict[str, int]:
    """What came of itself: by Stripe's own books."""
    invoices = books["invoices"].values()
    renewed = [one for one in invoices if one["billing_reason"] == "subscription_cycle" and one["status"] == "paid"]
    return {
        "renewals": len(renewed),
        "failed payments": books["events"].get("invoice.payment_failed", 0),
        "recoveries": sum(one["attempt_count"] > 1 for one in invoices if one["status"] == "paid"),
        "disputes lost": sum(one["status"] == "lost" for one in books["disputes"].values()),
        "disputes won": sum(one["status"] == "won" for one in books["disputes"].values()),
    }


@asynccontextmanager
async def _watching(stack: Stack, pretend: PretendStripe, wish: Wish, *, quiet: bool) -> AsyncIterator[Watch]:
    columns = (TextColumn("{task.description:<12}"), BarColumn(24), TaskProgressColumn(), TimeElapsedColumn())
    silent = quiet or console.err.is_terminal
    with Progress(*columns, console=console.err, disable=quiet or not console.err.is_terminal) as progress:
        watch = Watch(
            wish=wish,
            stack=stack,
            pretend=pretend,
            progress=progress,
            clock_bar=progress.add_task("begins", total=BAR_SHARES),
            books_bar=progress.add_task("committed", total=None),
            say=(lambda _: None) if silent else console.say,
        )
        looking = asyncio.create_task(watch.keep_looking())
        try:
            yield watch
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking


async def _drained(watch: Watch) -> None:
    """Back when as much is committed as was accepted; or after a while, for the verdict to say what is missing."""

    async def all_of_it() -> bool:
        await watch.look()
        return watch.counts["facts"] >= watch.counts["events"] - watch.counts["dropped"]

    with contextlib.suppress(TimeoutError):
        await until(all_of_it, DRAIN_SECONDS_MAX, every_seconds=LOOK_EVERY_SECONDS)


async def _repaired(stack: Stack, pretend: PretendStripe) -> int:
    """How many answers mended what was dropped."""
    known = stack.state().settings
    told: dict[str, Any] = {name: known[name] for name in ReconcileSettings.model_fields if name in known}
    told |= {"stripe_api_key": KEY, "stripe_api_base": pretend.address, "stripe_requests_per_second": 100}
    settings = ReconcileSettings(**told | {"catalog_file": CATALOG})
    async with reconciling(settings, "simulate") as (reconciler, database):
        report = await Walk(reconciler, database, LISTINGS, None, repair=True, quiet=True).go(Place(kinds=()))
        await reconciler.settled()
    return report.told


async def _judged_at_rest(stack: Stack, pretend: PretendStripe) -> Verdict:
    """The verdict, once everything has been said and answered; or after a while, as it stands then."""
    verdict = judge(await _evidence(stack, pretend))

    async def holds() -> bool:
        nonlocal verdict
        verdict = judge(await _evidence(stack, pretend))
        return verdict.holds

    if not verdict.holds:
        with contextlib.suppress(TimeoutError):
            await until(holds, REST_SECONDS_MAX, every_seconds=LOOK_EVERY_SECONDS)
    return verdict


async def _evidence(stack: Stack, pretend: PretendStripe) -> Evidence:
    return Evidence(
        tries=await pretend.tries(),
        dropped=(await pretend.counted())["dropped"],
        books=await pretend.books(),
        reports=await _read(stack, reports.whole),
        facts=await _read(stack, reports.facts),
        emitted=await reader.read_all(stack.kafka_options, TOPICS_READ),
    )


async def _read(stack: Stack, report: Callable[[str], Awaitable[Rows]]) -> Rows:
    """As anybody may: through the role that sees nothing but the reports.  A busy machine gets another try."""
    url = stack.postgres.url(Role.READER)
    for _ in range(READ_RETRIES_MAX):
        try:
            return await report(url)
        except Exception as error:
            if not is_transient(error):
                raise
    return await report(url)


# What people are told.


def tell(outcome: Outcome, wanted: Sequence[str] = ()) -> None:
    """The verdict as tables of 80 columns; of what people did, *wanted* at least."""
    verdict = outcome.verdict
    console.say("")
    console.show_table(("what", "count", "must be"), _counts(verdict, outcome.repaired))
    console.say("")
    names = [*wanted, *sorted(outcome.done.keys() - set(wanted))]
    console.show_table(("what happened", "times"), [(name, outcome.done[name]) for name in names])
    console.say("")
    rows = [(one.report, one.expected, one.found, one.wrong) for one in verdict.compared]
    console.show_table(("report", "Stripe's books", "ours", "not the same"), rows)
    console.say("")
    sums = [
        (f"{name} ({one.currency})", _money(theirs), _money(ours))
        for one in verdict.takings
        for name, theirs, ours in zip(("paid", "refunded", "disputed"), one.expected, one.found, strict=True)
    ]
    console.show_table(("to the cent", "Stripe's books", "ours"), sums)
    console.say("")
    plans = [(line.plan, line.status, line.expected, line.found) for line in verdict.plans]
    console.show_table(("plan", "status", "Stripe's books", "ours"), plans)
    console.say("")
    for problem in verdict.problems:
        console.problem(problem)
    agreed = "The numbers agree." if verdict.holds else "The numbers do not agree."
    console.say(f"{agreed}  It took {outcome.seconds:.0f} s.")


def _counts(verdict: Verdict, repaired: int | None) -> list[tuple[str, object, object]]:
    told: Mapping[str, tuple[object, object]] = {
        "webhooks sent": (verdict.sent, ""),
        "accepted (2xx)": (verdict.accepted, ""),
        "dropped on the way": (verdict.dropped, ""),
        "duplicates that counted once": (verdict.duplicates_dropped, ""),
        "committed": (verdict.committed, verdict.accepted_distinct),
        "mended by reconciling": ("-" if repaired is None else repaired, ""),
        "emitted": (verdict.emitted, ""),
        "emitted again by the relay (same id)": (verdict.re_sent, ""),
        "lost": (verdict.lost, 0),
        "waiting for an owner": (verdict.waiting, 0),
        "parked": (verdict.parked, 0),
        "double effects": (verdict.double_effects, 0),
        "gaps in what was emitted": (verdict.sequence_gaps, 0),
        "last events unlike the reports": (verdict.last_events_wrong, 0),
        "p50 from first 2xx to commit": (f"{verdict.p50_ms:.0f} ms", ""),
        "p95": (f"{verdict.p95_ms:.0f} ms", ""),
        "p99": (f"{verdict.p99_ms:.0f} ms", ""),
    }
    return [(name, count, wanted) for name, (count, wanted) in told.items()]


def _money(minor: int) -> str:
    return f"{minor / 100:,.2f}"
