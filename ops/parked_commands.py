"""`billing parked ls|show|redrive|discard|resume`: what could not be applied, and its way back."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Annotated, Any, Final, TypeVar

import typer
from msgspec import to_builtins
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from ops import connection, console, parked, tools
from ops.console import AsJson
from ops.local.errors import CannotStart
from ops.parked import Redrive, Redriven, UnknownName
from ops.plainly import plainly
from ops.tools import ToolsSettings
from runtime import clock
from runtime.settings import BooksSettings, DatabaseSettings
from store import apply, stops
from store import parked as rows
from store.apply import NotFirst, Tools
from store.parked import Lane, ParkedFact
from store.postgres import Database

LANES_MAX: Final = 10_000  # Of one redrive.
WAITING_MAX: Final = 1_000  # Counted behind a discarded fact: past that only the size of the trouble matters.
PROGRESS_FROM: Final = 50  # Facts; fewer are in before a bar could be read.
GROUP: Final[str] = BooksSettings.model_fields["kafka_group"].default

Result = TypeVar("Result")
FactId = Annotated[str, typer.Argument(metavar="FACT_ID")]
Name = Annotated[str | None, typer.Argument(metavar="LANE|FACT_ID")]
Everything = Annotated[bool, typer.Option("--all", help="Every lane.")]
WithBody = Annotated[bool, typer.Option("--body", help="The body too.  It holds personal data.")]
Group = Annotated[str, typer.Option("--group", help="The consumer group that is stopped.")]

app = typer.Typer(help="Facts that could not be applied, and those that wait behind them.", no_args_is_help=True)


def _in_words(why: str) -> str:
    if not why.strip():
        raise typer.BadParameter("say why: it is kept for whoever asks later")
    return why.strip()


Reason = Annotated[str, typer.Option("--reason", callback=_in_words, help="Kept in the journal.")]
Because = Annotated[str, typer.Option("--because", callback=_in_words, help="What was mended; kept with the stop.")]


@app.command("ls")
def list_lanes(as_json: AsJson = False) -> None:
    """Every lane: the fact at its head, how many wait behind it, and why."""
    settings = connection.settings(DatabaseSettings)
    lanes = _run(_lanes(settings))
    if as_json:
        console.show_json([_lane(lane) for lane in lanes])
    elif lanes:
        console.out.print(_table(lanes))
    else:
        console.say("Nothing is parked.")


@app.command()
def show(fact_id: FactId, body: WithBody = False, as_json: AsJson = False) -> None:
    """One parked fact: its envelope, where it came from, and why it is here."""
    if body:
        settings = connection.settings(ToolsSettings)
        console.problem("The body holds personal data: it is for your eyes, not for a ticket.")
        told = _run(_told_with_body(settings, fact_id))
    else:
        told = _run(_told(connection.settings(DatabaseSettings), fact_id))
    if as_json:
        console.show_json(told)
        return
    shown = {name: value for name, value in (told | told["envelope"]).items() if name not in {"envelope", "body"}}
    console.show_table(("what", "value"), [(name, escape(str(value))) for name, value in shown.items()])
    if body:
        console.say("")
        console.say(json.dumps(told["body"], indent=2))  # ASCII: what a stranger wrote cannot steer the terminal.


@app.command()
def redrive(name: Name = None, everything: Everything = False, as_json: AsJson = False) -> None:
    """Take parked facts into the books, in order.  A lane stops at the first one that still fails.

    Exit status 1 when something that was asked for is still parked.  Workers may run meanwhile.
    """
    if (name is None) is not everything:
        raise typer.BadParameter("name a lane or a fact, or say --all")
    settings = connection.settings(ToolsSettings)
    done = _run(_redriven(settings, name, quiet=as_json))
    if as_json:
        console.show_json(done.model_dump(mode="json"))
    else:
        _show(done)
    if done.lanes_left:
        console.problem(f"There are more than {LANES_MAX:,} lanes: once these went in, say it again for the rest.")
    raise typer.Exit(1 if done.failed or done.lanes_left else 0)


@app.command()
def discard(fact_id: FactId, reason: Reason, as_json: AsJson = False) -> None:
    """Journal the fact at the head of a lane as refused, for good, and let the lane go on at its next redrive."""
    settings = connection.settings(ToolsSettings)
    lane, waiting = _run(_discarded(settings, fact_id, reason))
    if as_json:
        counted = {"waiting": min(waiting, WAITING_MAX), "more_waiting": waiting > WAITING_MAX}
        console.show_json({"discarded": fact_id, "lane": lane, **counted})
    else:
        console.say(f"{fact_id} is discarded.")
        if waiting:
            how_many = str(waiting) if waiting <= WAITING_MAX else f"More than {WAITING_MAX:,}"
            console.say(f"{how_many} still waiting: billing parked redrive {lane}")


@app.command()
def resume(because: Because, group: Group = GROUP, as_json: AsJson = False) -> None:
    """Let a group that was stopped for too much poison work again; start its workers afterwards."""
    settings = connection.settings(DatabaseSettings)
    stopped_for = _run(_resumed(settings, group, because))
    if as_json:
        console.show_json({"group": group, "stopped_for": stopped_for})
    elif stopped_for is None:
        console.say(f"{group} was not stopped.")
    else:
        console.say(f"{group} may work again.  It was stopped for: {stopped_for}")


async def _lanes(settings: DatabaseSettings) -> list[Lane]:
    async with _database(settings) as database:
        return await rows.filled(database)


async def _told(settings: DatabaseSettings, fact_id: str) -> dict[str, Any]:
    async with _database(settings) as database:
        return await _document(database, await parked.find(database, fact_id))


async def _told_with_body(settings: ToolsSettings, fact_id: str) -> dict[str, Any]:
    async with tools.connected(settings) as ours:
        one = await parked.find(ours.database, fact_id)
        return await _document(ours.database, one) | {"body": _body(ours, one)}


async def _redriven(settings: ToolsSettings, name: str | None, *, quiet: bool) -> Redriven:
    async with tools.connected(settings) as ours:
        total = await rows.count(ours.database)
        with _bar(total, quiet=quiet) as bar:
            task = bar.add_task("redriving", total=total)
            over = Redrive(ours, stepped=lambda: bar.advance(task))
            if name is None:
                return await _every_lane(ours.database, over)
            if await parked.head_of(ours.database, name) is not None:
                return await over.lanes([name])
            one = await parked.find(ours.database, name)
            return await _at_head(ours.database, one, over.fact(one))


async def _every_lane(database: Database, over: Redrive) -> Redriven:
    found = await rows.filled(database, lanes_max=LANES_MAX + 1)
    done = await over.lanes([lane.lane for lane in found[:LANES_MAX]])
    return done.model_copy(update={"lanes_left": len(found) > LANES_MAX})


async def _discarded(settings: ToolsSettings, fact_id: str, why: str) -> tuple[str, int]:
    async with tools.connected(settings) as ours:
        one = await parked.find(ours.database, fact_id)
        await _at_head(ours.database, one, apply.discard(ours, one, why))
        return one.lane, len(await rows.listed(ours.database, lane=one.lane, rows_max=WAITING_MAX + 1))


async def _at_head(database: Database, one: ParkedFact, step: Coroutine[Any, Any, Result]) -> Result:
    """What *step* gives; where others stand before the fact, a sentence that names the first of them."""
    try:
        return await step
    except NotFirst:
        head = await parked.head_of(database, one.lane)
        if head is None:
            raise CannotStart(f"{one.envelope.id} is not parked any more.") from None
        raise CannotStart(
            f"{one.envelope.id} is not the first of its lane: {head.envelope.id} stands before it."
        ) from None


async def _resumed(settings: DatabaseSettings, group: str, because: str) -> str | None:
    async with _database(settings) as database:
        return await stops.clear(database, group, because)


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    with plainly():
        try:
            return asyncio.run(work)
        except UnknownName as name:
            raise CannotStart(f"Nothing is parked under {name}: see `billing parked ls`.") from None


def _database(settings: DatabaseSettings) -> Database:
    return Database(settings.database_url.get_secret_value(), application_name="billing-operator")


def _bar(total: int, *, quiet: bool) -> AbstractContextManager[Progress]:
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = quiet or total < PROGRESS_FROM or not console.err.is_terminal
    return Progress(*columns, console=console.err, transient=True, disable=hidden)


def _lane(lane: Lane) -> dict[str, Any]:
    return {
        "lane": lane.lane,
        "account_id": lane.account_id,
        "root": lane.fact_id,
        "source": lane.source,
        "type": lane.type,
        "followers": lane.followers,
        "reason": lane.reason,
        "attempts": lane.attempts,
        "parked_at": lane.parked_at.isoformat(),
        "age_seconds": round(_age(lane).total_seconds(), 3),
    }


def _table(lanes: Sequence[Lane]) -> Table:
    """Lanes with their roots below their names: both are copied from here, so neither may be folded at 80 columns."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("lane\nroot", no_wrap=True)
    for name in ("followers", "age", "tries", "reason"):
        table.add_column(name, overflow="fold")
    for lane in lanes:
        names = f"{escape(lane.lane)}\n{escape(lane.fact_id)}"
        table.add_row(names, str(lane.followers), _rough(_age(lane)), str(lane.attempts), escape(lane.reason))
    return table


def _age(lane: Lane) -> timedelta:
    return max(clock.now() - lane.parked_at, timedelta(0))


def _rough(age: timedelta) -> str:
    """An age in its largest unit, rounded down: somebody decides by it whether to hurry."""
    for unit, seconds in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if age.total_seconds() >= seconds:
            return f"{age.total_seconds() // seconds:.0f} {unit}"
    return f"{age.total_seconds():.0f} s"


async def _document(database: Database, one: ParkedFact) -> dict[str, Any]:
    head = await parked.head_of(database, one.lane)
    return {
        "lane": one.lane,
        "first_of_its_lane": head is not None and head.parked_id == one.parked_id,
        "root": one.root,
        "account_id": one.account_id,
        "reason": one.reason,
        "attempts": one.attempts,
        "parked_at": one.parked_at.isoformat(),
        "topic": one.origin.topic,
        "partition": one.origin.partition,
        "topic_offset": one.origin.offset,
        "envelope": to_builtins(one.envelope),
    }


def _body(ours: Tools, one: ParkedFact) -> Any:
    """The body as a document; as text where it is none; a sentence where no seal of the edge's proved it."""
    again = ours.reader.again(one.envelope, one.origin, one.body(ours.store_keys), opened=one.opened)
    if not again.opened:
        return f"still sealed: {again.trouble}"
    text = again.body.decode("utf-8", errors="backslashreplace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # Nested too deeply: that may be just what was wrong with it.
        return text


def _show(done: Redriven) -> None:
    console.say(f"{done.went_in} went in; {done.still_parked} still parked.")
    if done.failed:
        columns = ("lane", "stopped at", "why")
        console.show_table(columns, [(escape(one.lane), escape(one.fact_id), escape(one.why)) for one in done.failed])
