"""`python -m bench`: run experiments, keep what they measured, and show it.

    python -m bench                             # All of it.
    python -m bench ingress latency --rounds 7  # Two experiments, more rounds.
    python -m bench ingress --mix subscriptions # Its events alone, of 5 to 9 KB.
    python -m bench --quick                     # Tiny sizes, to see that everything works.

Results go to bench/results/<date>-<commit>.json, with a report and a picture beside it; those of a quick run stay out
of git.  An experiment that runs again replaces its own part of the file.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich import table
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bench import machine, plot, report, stage
from bench.experiments import ALL
from bench.experiments.experiment import Experiment
from bench.gates import Outcome
from bench.results import Part, Results
from bench.schedule import Turn
from bench.trial import Mix
from ops import console
from ops.local import folders
from ops.local.errors import CannotStart
from ops.plainly import plainly
from runtime import clock

RESULTS: Final = folders.PROJECT / "bench" / "results"
QUICK_RESULTS: Final = folders.DEFAULT_HOME / "bench"
EXIT_STATUS_PROBLEMS: Final = 1
SECONDS_OF_A_QUICK_TRIAL: Final = 8.0

Names = Annotated[list[str] | None, typer.Argument(help=f"Some of: {', '.join(ALL)}.  Without any, all of them.")]
Rounds = Annotated[int | None, typer.Option("--rounds", min=1, help="Rounds of each experiment, not its own number.")]
Quick = Annotated[bool, typer.Option("--quick", help="Tiny sizes, to see that everything works; judged by no gate.")]
Mixed = Annotated[Mix, typer.Option("--mix", help="Which events are sent.")]
Into = Annotated[Path | None, typer.Option("--into", help="The file of results, kept or begun.", dir_okay=False)]


class Bars:
    """How far it is, as bars: the trials of one experiment, and the subscribers that are put in before."""

    def __init__(self, progress: Progress, experiment: Experiment, trials: int) -> None:
        self._progress = progress
        self._name = experiment.name
        self._bar = progress.add_task(experiment.name, total=trials)
        self._began = clock.monotonic()

    def began(self, turn: Turn) -> None:
        """Name the trial."""
        self._began = clock.monotonic()
        self._progress.update(self._bar, description=self._words(turn))

    def ended(self, turn: Turn) -> None:
        """Count it; where there is no terminal to draw bars on, say so."""
        self._progress.advance(self._bar)
        if not console.out.is_terminal:
            console.say(f"{self._words(turn)}: {clock.monotonic() - self._began:.0f} s")

    def filling(self, count: int) -> Callable[[int], None]:
        """A bar of its own."""
        bar: TaskID = self._progress.add_task(f"{self._name}: subscribers to be known", total=count)
        return lambda more: self._progress.advance(bar, more)

    def _words(self, turn: Turn) -> str:
        return f"{self._name} {turn.round}: {turn.case.variant}"

    def done(self) -> None:
        """Leave the bar full, under the experiment's name."""
        self._progress.update(self._bar, description=self._name)


def bench(
    names: Names = None,
    rounds: Rounds = None,
    quick: Quick = False,
    mix: Mixed = Mix.EVERYTHING,
    into: Into = None,
) -> None:
    """Measure ours beside its own bare parts, in one run."""
    with plainly():
        chosen = _chosen(names or list(ALL))
        file = into or _file(mix, quick=quick)
        console.say(f"{_minutes(chosen, rounds, quick=quick):.0f} minutes or so, on two cores with nothing else to do.")
        asyncio.run(_run(chosen, mix, rounds=rounds, quick=quick, file=file))
        _show(file, [one.name for one in chosen])


def _chosen(names: Sequence[str]) -> list[Experiment]:
    unknown = [name for name in names if name not in ALL]
    if unknown:
        raise CannotStart(f"There is no experiment {unknown[0]}; there are {', '.join(ALL)}.")
    return [one for name, one in ALL.items() if name in names]


def _file(mix: Mix, *, quick: bool) -> Path:
    folder, mark = (QUICK_RESULTS, "-quick") if quick else (RESULTS, "")
    events = "" if mix is Mix.EVERYTHING else f"-{mix}"
    return folder / f"{clock.now():%Y-%m-%d}-{machine.commit()}{events}{mark}.json"


def _minutes(chosen: Sequence[Experiment], rounds: int | None, *, quick: bool) -> float:
    if quick:
        return sum(len(one.cases(True)) for one in chosen) * SECONDS_OF_A_QUICK_TRIAL / 60
    return sum(one.minutes * (rounds or one.rounds) / one.rounds for one in chosen)


async def _run(chosen: Sequence[Experiment], mix: Mix, *, rounds: int | None, quick: bool, file: Path) -> None:
    with _progress() as progress:
        whole = progress.add_task("experiments", total=len(chosen))
        for one in chosen:
            count = rounds or (1 if quick else one.rounds)
            bars = Bars(progress, one, count * len(one.cases(quick)))
            try:
                await stage.run(one, mix, rounds=count, quick=quick, watcher=bars, keep=lambda part: _keep(part, file))
            except CannotStart as why:  # The next one begins with servers of its own.
                console.problem(f"{one.name}: {why}")
            bars.done()
            progress.advance(whole)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", table_column=table.Column(width=42, no_wrap=True)),
        BarColumn(bar_width=10),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console.out,
    )


def _keep(part: Part, file: Path) -> None:
    results = Results.read(file)
    results.parts[part.experiment] = part
    results.write(file)


def _show(file: Path, names: Sequence[str]) -> None:
    results = Results.read(file)
    file.with_suffix(".md").write_text(report.report(results), encoding="utf-8")
    plot.draw(results, file.with_suffix(".png"))
    judged = report.verdicts(results)
    if judged:
        console.show_table(("gate", "n", "median", "limit", "outcome"), map(report.short, judged))
    problems = [problem for name in names if name in results.parts for problem in results.parts[name].problems()]
    for problem in problems:
        console.problem(problem)
    console.say(f"Written: {file} and, beside it, the report (.md) and the picture (.png).")
    if problems or any(one.outcome in {Outcome.MISSED, Outcome.BROKEN} for one in judged):
        raise typer.Exit(EXIT_STATUS_PROBLEMS)


if __name__ == "__main__":
    typer.run(bench)
