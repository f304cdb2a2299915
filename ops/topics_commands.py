"""`billing topics plan|apply|drift`."""

import asyncio
from collections.abc import Sequence

import typer

from ops import connection, console, topics
from ops.console import AsJson
from ops.plainly import plainly
from ops.topics import Step
from runtime.kafka import client_options
from runtime.settings import KafkaSettings

app = typer.Typer(help="Topics as they are against `models/topics.py`; nothing is ever deleted.", no_args_is_help=True)


@app.command("plan")
def show_plan(as_json: AsJson = False) -> None:
    """What `apply` would do."""
    _show(_steps(apply=False), as_json=as_json)


@app.command("apply")
def carry_out(as_json: AsJson = False) -> None:
    """Make, grow and configure topics until they are as listed."""
    _show(_steps(apply=True), as_json=as_json)


@app.command()
def drift(as_json: AsJson = False) -> None:
    """What is not as listed.  Exit status 1 when anything is not."""
    steps = _steps(apply=False)
    _show(steps, as_json=as_json)
    raise typer.Exit(1 if steps else 0)


def _steps(*, apply: bool) -> tuple[Step, ...]:
    settings = connection.settings(KafkaSettings)
    with plainly():
        return asyncio.run(_ask(settings, apply=apply))


async def _ask(settings: KafkaSettings, *, apply: bool) -> tuple[Step, ...]:
    async with topics.connected(client_options(settings)) as ours:
        return await (ours.apply() if apply else ours.plan())


def _show(steps: Sequence[Step], *, as_json: bool) -> None:
    if as_json:
        console.show_json([step.model_dump(mode="json") for step in steps])
    elif steps:
        console.show_table(("do", "topic", "why"), [(step.kind.value, step.topic, step.why) for step in steps])
    else:
        console.say("Every topic is as listed.")
