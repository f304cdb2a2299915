"""`billing lag`."""

import asyncio
from itertools import groupby
from typing import Annotated, Final

import typer

from ops import connection, console, lag
from ops.console import AsJson
from ops.lag import Lag, PartitionLag
from ops.plainly import plainly
from runtime.kafka import client_options
from runtime.settings import DatabaseSettings, KafkaSettings
from store.postgres import Database

CANNOT_TELL: Final = 2

Group = Annotated[str | None, typer.Option("--group", help="This group alone.")]
RecordsMax = Annotated[int | None, typer.Option("--max-records", min=0, help="Exit status 1 when more are waiting.")]
SecondsMax = Annotated[float | None, typer.Option("--max-seconds", min=0, help="Exit status 1 when one waits longer.")]


class LagSettings(KafkaSettings, DatabaseSettings):
    """What it takes to see how far behind everybody is."""


def show(
    group: Group = None, max_records: RecordsMax = None, max_seconds: SecondsMax = None, as_json: AsJson = False
) -> None:
    """How far behind each group and the outbox are, in records and in seconds.

    Limits hold for each group as a whole, and for the outbox.  Exit status 1: one is exceeded; 2: it cannot be told.
    """
    settings = connection.settings(LagSettings)
    with plainly(CANNOT_TELL):
        found = asyncio.run(_measure(settings, group))
    if as_json:
        console.show_json(found.model_dump(mode="json"))
    else:
        _show(found)
    exceeded = found.exceeds(max_records, max_seconds)
    raise typer.Exit(1 if exceeded else 0 if found.told else CANNOT_TELL)


async def _measure(settings: LagSettings, group: str | None) -> Lag:
    async with Database(settings.database_url.get_secret_value(), application_name="billing-lag") as database:
        return await lag.measure(client_options(settings), database, group)


def _show(found: Lag) -> None:
    for (group, topic), partitions in groupby(found.partitions, key=lambda one: (one.group, one.topic)):
        console.say(f"{group}, of {topic}:")  # No title of the table: that would be folded to its width.
        console.show_table(
            ("partition", "position", "end", "records", "seconds"),
            [(one.partition, _known(one.position), one.end, _records(one), _known(one.seconds)) for one in partitions],
        )
        console.say("")
    outbox = found.outbox
    console.say(f"The outbox holds {outbox.events} unsent, the oldest for {outbox.seconds} s.")
    for lost in (one for one in found.partitions if one.lost):
        console.problem(f"{lost.topic}/{lost.partition} lost {lost.lost} records before {lost.group} took them.")


def _records(one: PartitionLag) -> str:
    return "topic made anew" if one.records is None else str(one.records)


def _known(number: float | None) -> str:
    return "-" if number is None else str(number)
