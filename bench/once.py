"""`python -m bench.once SIDE`: one trial, as a table of 80 columns or as JSON.  To profile by, not to publish."""

import asyncio
import json
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import psutil
import typer

from bench.run import run_trial
from bench.sides import SIDES, Side, on_ground
from bench.trial import Load, Mix, Quantiles, Trial
from ops.console import AsJson, problem, say, show_table
from ops.local import folders


def main(  # noqa: PLR0917  # typer makes options of them.
    side: Annotated[str, typer.Argument(help=f"One of {', '.join(SIDES)}.")],
    rate: Annotated[float | None, typer.Option(help="Requests a second; without it, a burst.")] = None,
    events: Annotated[int, typer.Option(min=1, help="Distinct events; copies come on top.")] = 5_000,
    connections: Annotated[int, typer.Option(min=1)] = 64,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="The share that is sent twice.")] = 0.1,
    known: Annotated[int | None, typer.Option(min=1, help="Events of so many subscribers only.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Trials, one after the other, on the same servers.")] = 1,
    profile: Annotated[str | None, typer.Option(help="A process to sample by py-spy: ingress, books, relay.")] = None,
    mix: Annotated[Mix, typer.Option(help="Which events are sent.")] = Mix.EVERYTHING,
    durable: Annotated[bool, typer.Option(help="Whether PostgreSQL waits for the disk.")] = True,
    as_json: AsJson = False,
) -> None:
    """Run one side under one load on servers of its own, and show what was seen."""
    if side not in SIDES:
        raise typer.BadParameter(f"{side} is none of {', '.join(SIDES)}.")
    load = Load(rate, events, connections, duplicates, known, mix=mix)
    trials = asyncio.run(_tried(side, load, rounds, profile, durable=durable))
    if as_json:
        typer.echo(json.dumps([asdict(trial) for trial in trials], indent=2))
    else:
        for trial in trials:
            show(trial)
    raise typer.Exit(1 if any(trial.problems for trial in trials) else 0)


PY_SPY: Final = Path(sys.executable).with_name("py-spy")


async def _tried(side: str, load: Load, rounds: int, profile: str | None, *, durable: bool) -> list[Trial]:
    alongside = partial(_profiled, profile)
    with tempfile.TemporaryDirectory(prefix="billstream-bench-") as home:
        async with on_ground(Path(home), durable=durable) as ground:
            return [await run_trial(ground.side(side), load, alongside=alongside) for _ in range(rounds)]


@asynccontextmanager
async def _profiled(process: str | None, side: Side) -> AsyncIterator[None]:
    """The stacks of *process* are sampled until the block ends, into a file that flamegraph.pl and others read."""
    if process is None:
        yield
        return
    stacks = folders.private_folder(folders.DEFAULT_HOME / "bench") / f"{side.name}.{process}.stacks"
    words = ("record", "--format", "raw", "--rate", "250", "--output", str(stacks))
    sampler = await asyncio.create_subprocess_exec(PY_SPY, *words, "--pid", str(side.pids[process][0]), stderr=DEVNULL)
    try:
        yield
    finally:
        sampler.send_signal(signal.SIGINT)
        await sampler.wait()
    say(f"Stacks: {stacks.relative_to(folders.PROJECT)}")


def show(trial: Trial) -> None:
    """A trial as people read it."""
    load = trial.load
    pace = "a burst" if load.rate_per_second is None else f"{load.rate_per_second:g} requests/s"
    say(f"{trial.side}: {load.events} events ({load.mix}), {load.duplicate_share:.0%} of them twice, {pace}")
    show_table(("what", "events", "seconds", "events/s"), _throughput(trial))
    show_table(
        ("milliseconds", "n", "p50", "p90", "p99", "p99.9", "max"),
        [_latency("answer", trial.answer_ms), *([_latency("commit", trial.commit_ms)] if trial.commit_ms.n else [])],
    )
    show_table(("process", "CPU µs/event", "MB first", "MB last"), _costs(trial))
    say(f"Answers: {trial.statuses}; the most behind at once: {trial.behind_max}; still waiting: {trial.waiting}.")
    say(f"The machine's load in the last minute, this and all else: {psutil.getloadavg()[0]:.1f}.")
    for one in trial.problems:
        problem(one)


def _throughput(trial: Trial) -> list[tuple[str, ...]]:
    counts = {"accepted": trial.accepted, "committed": trial.committed, "said": trial.said}
    return [
        (name, str(counts[name]), f"{seconds:.2f}", f"{counts[name] / seconds:.0f}" if seconds else "")
        for name, seconds in trial.seconds.items()
    ]


def _latency(name: str, seen: Quantiles) -> tuple[str, ...]:
    return (name, str(seen.n), *(f"{value:.1f}" for value in (seen.p50, seen.p90, seen.p99, seen.p999, seen.max)))


def _costs(trial: Trial) -> list[tuple[str, ...]]:
    rows = [
        (name, f"{us:.0f}", *(f"{mb:.0f}" for mb in trial.rss_mb[name])) for name, us in trial.cpu_us_per_event.items()
    ]
    return [*rows, ("all but load", f"{sum(us for name, us in trial.cpu_us_per_event.items() if name != 'load'):.0f}")]


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
