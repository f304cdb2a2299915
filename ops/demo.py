"""`billing demo`: hundreds of pretend subscribers live for months, and in the end the sums are checked.

A stack of its own is started, a story is played against its door with signed HTTP, twice and shuffled, a worker is
killed in the middle, and when everything has come to rest the books are compared with those of the pretend Stripe.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from consumers import reader
from ops import console
from ops.console import AsJson
from ops.demo_verdict import Evidence, Verdict, judge
from ops.local import folders, state
from ops.local.errors import CannotStart
from ops.local.home import Home
from ops.local.postgres import Role
from ops.local.stack import Say, Stack
from ops.local.waiting import until
from ops.plainly import plainly
from runtime import clock, logs
from simulator import oracle, shapes
from simulator.books import books_of
from simulator.delivery import Delivery, Disorder, Endpoint, Journal, Pace, Sender, Try, arrange
from simulator.dice import Dice
from simulator.happenings import Json
from simulator.story import tell
from simulator.world import World
from store import reports
from store.postgres import is_transient

DUPLICATE_SHARE: Final = 0.1
OVERTAKEN_BY_MAX: Final = 1_000
RATE_PER_SECOND: Final = 250.0
CONCURRENCY_MAX: Final = 32
VICTIM: Final = "books-1"
LOOK_EVERY_SECONDS: Final = 0.5
SAY_EVERY_SECONDS: Final = 3.0  # Where there is no terminal to draw bars on.
DRAIN_SECONDS_MAX: Final = 60.0
SAY_SECONDS_MAX: Final = 30.0
READ_RETRIES_MAX: Final = 5
STORY_SHAPES: Final = (shapes.BEFORE_BASIL, shapes.BASIL)
ENDINGS: Final = (signal.SIGINT, signal.SIGTERM)
TOPICS_READ: Final = ("billing.subscriptions",)

Rows = TypeVar("Rows")
Subscribers = Annotated[int, typer.Option("--subscribers", min=1, help="How many people live in the story.")]
Seed = Annotated[int, typer.Option("--seed", help="The same seed plays the same story.")]
HomeOption = Annotated[Path, typer.Option("--home", help="The stack's folder.")]


@dataclass(frozen=True, slots=True)
class Show:
    """A story as it will be sent: its events in one shape each, and the posts in their disorder."""

    world: World
    events: dict[str, Json]
    posts: tuple[Delivery, ...]


@dataclass(slots=True)
class Stage:
    """What the performance needs to know of itself while it runs."""

    stack: Stack
    progress: Progress
    posts_bar: TaskID
    commits_bar: TaskID
    kill_after: int
    answered: int = 0
    accepted: set[str] = field(default_factory=set)
    killed_pid: int | None = None


def demo(
    subscribers: Subscribers = 240,
    seed: Seed = 2026,
    home: HomeOption = folders.DEFAULT_HOME,
    as_json: AsJson = False,
) -> None:
    """Play a story of many subscribers through the whole pipeline, kill a worker in the middle, check the sums.

    Exit status 0 only when the numbers agree.  On a terminal the stack then stays up until Ctrl-C.
    """
    logs.configure("demo")
    # That a worker dies is part of the show, and told by it; what is worse than that is still said.
    logging.getLogger().setLevel(logging.ERROR)
    home = home.resolve()
    with plainly():
        if state.running(home) is None and Home(home).has_data:
            raise CannotStart(f"{home} holds what an earlier stack left: `make down` removes it, then play again.")
        verdict = asyncio.run(_ended_by_signals(seed, subscribers, home, as_json=as_json))
    raise typer.Exit(0 if verdict is not None and verdict.holds else 1)


def prepare(seed: int, subscribers: int) -> Show:
    """The story of *seed*, each event in a shape by chance, twice now and then, overtaking each other."""
    world, dice = tell(seed, subscribers), Dice(f"{seed}/delivery")
    events = {one.event_id: shapes.render(one, dice.one_of(STORY_SHAPES)) for one in world.happenings}
    deliveries = [Delivery(event_id, shapes.wire(event)) for event_id, event in events.items()]
    disorder = Disorder(duplicate_share=DUPLICATE_SHARE, window=OVERTAKEN_BY_MAX)
    return Show(world, events, tuple(arrange(deliveries, disorder, dice)))


async def _ended_by_signals(seed: int, subscribers: int, home: Path, *, as_json: bool) -> Verdict | None:
    """SIGTERM ends it as Ctrl-C does: in order, leaving nothing behind."""
    playing = asyncio.ensure_future(_perform(seed, subscribers, home, as_json=as_json))

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


async def _perform(seed: int, subscribers: int, home: Path, *, as_json: bool) -> Verdict:
    say = _mute if as_json else console.say
    began = clock.monotonic()
    show = prepare(seed, subscribers)
    say(f"{subscribers} subscribers, {len(show.events)} events, {len(show.posts)} posts (seed {seed}).")
    stack = Stack(home, say=say)
    stack.postgres.url(Role.READER)  # Refused before anything is started: the sums are read as anybody may.
    async with stack:
        verdict = await _play(stack, show, quiet=as_json)
        _tell(verdict, clock.monotonic() - began, as_json=as_json)
        if console.out.is_terminal and not as_json:
            await _stay(stack)
    return verdict


async def _play(stack: Stack, show: Show, *, quiet: bool) -> Verdict:
    async with _stage(stack, show, quiet=quiet) as stage:
        endpoint = Endpoint(stack.webhook_url, (stack.webhook_secret,))
        sender = Sender(endpoint, _wall_seconds, Pace(concurrency_max=CONCURRENCY_MAX, rate_per_second=RATE_PER_SECOND))
        journal = await sender.send(show.posts, lambda one: _note(stage, one))
        await _drain(stage, len(journal.first_accepted))
        return await _judge_when_quiet(stage, show, journal)


@asynccontextmanager
async def _stage(stack: Stack, show: Show, *, quiet: bool) -> AsyncIterator[Stage]:
    """The bars, and a look every now and then at how much is committed; without a terminal, a line of it instead."""
    columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console.err, disable=quiet or not console.err.is_terminal) as progress:
        stage = Stage(
            stack=stack,
            progress=progress,
            posts_bar=progress.add_task("webhooks posted", total=len(show.posts)),
            commits_bar=progress.add_task("facts committed", total=len(show.events)),
            kill_after=len(show.posts) // 2,
        )
        looking = asyncio.create_task(_keep_looking(stage, _mute if quiet or console.err.is_terminal else console.say))
        try:
            yield stage
        finally:
            looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await looking


def _note(stage: Stage, one: Try) -> None:
    """Count a try; at the half of the story a worker dies, and nobody is told."""
    stage.answered += 1
    stage.accepted |= {one.event_id} if one.accepted else set()
    stage.progress.update(stage.posts_bar, advance=1 if one.accepted else 0)
    if stage.killed_pid is None and stage.answered >= stage.kill_after:
        stage.killed_pid = stage.stack.supervisor.kill(VICTIM)
        stage.progress.console.print(f"{VICTIM} (pid {stage.killed_pid}) killed with SIGKILL.", highlight=False)


async def _keep_looking(stage: Stage, say: Say) -> None:
    said_at = clock.monotonic()
    while True:
        committed = await _committed(stage)
        if clock.monotonic() - said_at >= SAY_EVERY_SECONDS:
            say(f"{len(stage.accepted)} events posted, {committed} facts committed.")
            said_at = clock.monotonic()
        await asyncio.sleep(LOOK_EVERY_SECONDS)


async def _committed(stage: Stage) -> int:
    facts = await _read(stage.stack, reports.count_facts)
    stage.progress.update(stage.commits_bar, completed=facts)
    return facts


async def _drain(stage: Stage, accepted: int) -> None:
    """Back when as much is committed as was accepted; or after a minute, for the verdict to say what is missing."""

    async def all_of_it() -> bool:
        return await _committed(stage) >= accepted

    with contextlib.suppress(TimeoutError):
        await until(all_of_it, DRAIN_SECONDS_MAX, every_seconds=LOOK_EVERY_SECONDS)


async def _judge_when_quiet(stage: Stage, show: Show, journal: Journal) -> Verdict:
    """The verdict, once the relay has said everything: it speaks after the commit, so it may still be speaking."""
    verdict = judge(await _evidence(stage.stack, show, journal))

    async def said_everything() -> bool:
        nonlocal verdict
        verdict = judge(await _evidence(stage.stack, show, journal))
        return verdict.holds

    if not verdict.holds:
        with contextlib.suppress(TimeoutError):
            await until(said_everything, SAY_SECONDS_MAX, every_seconds=LOOK_EVERY_SECONDS)
    return verdict


async def _evidence(stack: Stack, show: Show, journal: Journal) -> Evidence:
    return Evidence(
        journal=journal,
        books=books_of(show.world),
        oracle=oracle.fold(event for event_id, event in show.events.items() if event_id in journal.first_accepted),
        facts=await _read(stack, reports.facts),
        subscriptions=await _read(stack, reports.subscriptions),
        history=await _read(stack, reports.subscription_history),
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


def _tell(verdict: Verdict, seconds: float, *, as_json: bool) -> None:
    if as_json:
        console.show_json(verdict.as_json() | {"seconds": round(seconds, 1)})
        return
    console.say("")
    console.show_table(("what", "count", "must be"), _sums(verdict))
    console.say("")
    console.show_table(
        ("plan", "status", "story", "reported"),
        [(line.plan, line.status, line.expected, line.found) for line in verdict.plans],
        title="Subscriptions",
    )
    console.say("")
    for problem in verdict.problems:
        console.problem(problem)
    agreed = "The numbers agree." if verdict.holds else "The numbers do not agree."
    console.say(f"{agreed}  It took {seconds:.0f} s.")


def _sums(verdict: Verdict) -> list[tuple[str, object, object]]:
    return [
        ("sent", verdict.sent, ""),
        ("accepted (2xx)", verdict.accepted, ""),
        ("duplicates dropped", verdict.duplicates_dropped, ""),
        ("committed", verdict.committed, verdict.accepted_distinct),
        ("emitted", verdict.emitted, ""),
        ("emitted again by the relay (same id)", verdict.re_sent, ""),
        ("lost", verdict.lost, 0),
        ("double effects", verdict.double_effects, 0),
        ("gaps in what was emitted", verdict.sequence_gaps, 0),
        ("p50 from first 2xx to commit", f"{verdict.p50_ms:.0f} ms", ""),
        ("p95", f"{verdict.p95_ms:.0f} ms", ""),
        ("p99", f"{verdict.p99_ms:.0f} ms", ""),
        ("subscriptions", verdict.subscriptions_found, verdict.subscriptions_expected),
        ("subscriptions unlike the story's", verdict.subscriptions_wrong, 0),
        ("versions in their histories", verdict.versions_found, verdict.versions_expected),
        ("histories unlike the oracle's", verdict.histories_wrong, 0),
        ("last events unlike the story's", verdict.last_events_wrong, 0),
    ]


async def _stay(stack: Stack) -> None:
    """The stack is anybody's to look at until Ctrl-C."""
    console.say("")
    addresses = [(process.name, process.address or "-") for process in stack.state().processes]
    console.show_table(("service", "address"), [*addresses, *_places(stack)])
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


def _wall_seconds() -> float:
    return clock.now().timestamp()


def _mute(_: str) -> None:
    """For a reader that is a program."""
