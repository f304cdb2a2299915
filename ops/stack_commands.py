"""`billing up|down|status`: the local stack for a person, and for a script of somebody else's."""

import asyncio
import contextlib
import re
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import console
from ops.console import AsJson
from ops.local import detached, folders, health, ports, state
from ops.local.errors import CannotStart
from ops.local.home import Home
from ops.local.stack import Stack
from ops.local.state import Phase, State
from ops.plainly import plainly

HomeOption = Annotated[Path, typer.Option("--home", help="The stack's folder.")]
Detach = Annotated[bool, typer.Option("--detach", help="Come back when all is ready; the stack stays.")]
KeepData = Annotated[bool, typer.Option("--keep-data", help="Leave topics, database and secrets for the next `up`.")]
WebhookPort = Annotated[int | None, typer.Option("--webhook-port", help="The door's port; a free one if not given.")]


def up(
    home: HomeOption = folders.DEFAULT_HOME,
    detach: Detach = False,
    keep_data: KeepData = False,
    webhook_port: WebhookPort = None,
    as_json: AsJson = False,
) -> None:
    """Start Kafka, PostgreSQL and every process, and stay until Ctrl-C."""
    home = home.resolve()
    if state.running(home) is not None:
        raise CannotStart(f"A stack runs in {home} already: `make status` shows it, `make down` ends it.")
    if not detach:
        with plainly():
            asyncio.run(_in_foreground(home, webhook_port, keep_data=keep_data, as_json=as_json))
        return
    with console.err.status("Starting Kafka, PostgreSQL and the processes…"):
        asyncio.run(detached.start(home, *_door(webhook_port)))
    status(home, as_json=as_json)


def down(home: HomeOption = folders.DEFAULT_HOME, keep_data: KeepData = False, as_json: AsJson = False) -> None:
    """Stop the stack; nothing is left running or lying about, whatever became of its supervisor."""
    place = Home(home.resolve())
    ended = asyncio.run(place.end())
    place.clear(keep_data=keep_data)
    if as_json:
        console.show_json({"ended": ended})
    else:
        console.say("The stack has ended." if ended else f"No stack ran in {place.folder}.")


def status(home: HomeOption = folders.DEFAULT_HOME, as_json: AsJson = False) -> None:
    """What runs, and where.  Exit status 0 only when all of it is up."""
    found = state.running(home.resolve())
    report = asyncio.run(_report(found)) if found is not None else {"up": False, "phase": None, "processes": []}
    if as_json:
        console.show_json(report)
    elif found is None:
        console.say(f"No stack runs in {home}.")
    else:
        _show(report)
    raise typer.Exit(0 if report["up"] else 1)


async def _in_foreground(home: Path, webhook_port: int | None, *, keep_data: bool, as_json: bool) -> None:
    ending = asyncio.create_task(_told_to_end())
    stack = Stack(home, webhook_port=webhook_port, say=_mute if as_json else console.say)
    starting = asyncio.create_task(stack.up())
    await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting  # It ends what it began.
        return
    await starting
    (console.show_json if as_json else _show)(await _report(stack.state()))
    await ending
    await stack.down(keep_data=keep_data)


async def _told_to_end() -> None:
    """Back on the first SIGINT or SIGTERM."""
    told = asyncio.Event()
    for what in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(what, told.set)
    await told.wait()


async def _report(found: State) -> dict[str, Any]:
    """What `status --json` gives."""
    processes = await asyncio.gather(*(_process(found, name) for name in found.names))
    up = found.phase is Phase.READY and all(process["health"] == "ready" for process in processes)
    return {"up": up, "phase": found.phase.value, **found.addresses, "processes": processes}


async def _process(found: State, name: str) -> dict[str, Any]:
    seen = next((process for process in found.processes if process.name == name), None)
    if seen is None or not seen.alive:
        return {"name": name, "pid": None, "health": "dead", "address": None}
    ready = await _answers(seen.address or "")
    return {"name": name, "pid": seen.pid, "health": "ready" if ready else "not ready", "address": seen.address}


async def _answers(address: str) -> bool:
    if address.startswith("http://"):
        return await health.is_ready(address)
    return ports.is_open(int(address.rpartition(":")[2]))


def _show(report: dict[str, Any]) -> None:
    rows = [
        (process["name"], process["pid"] or "-", process["health"], process["address"] or "-")
        for process in report["processes"]
    ]
    console.show_table(("process", "pid", "health", "address"), rows)
    console.say("")
    places = [(name.replace("_", " "), _masked(value)) for name, value in report.items() if isinstance(value, str)]
    console.show_table(("what", "where"), places)


def _masked(address: str) -> str:
    """A person reads over another's shoulder; who needs the password takes `--json`."""
    return re.sub(r"(://[^:/@]+):[^@]+@", r"\1:***@", address)


def _door(webhook_port: int | None) -> list[str]:
    return [] if webhook_port is None else ["--webhook-port", str(webhook_port)]


def _mute(_: str) -> None:
    """For a reader that is a program."""
