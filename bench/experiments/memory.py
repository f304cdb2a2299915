"""Memory of each process over a million events: flat or not.

Flat: the median of what a process holds in the last fifth of the run is at most 1.1 times that of the second fifth (the
first fifth, in which everything is loaded and warmed, is left out).  PostgreSQL's shared buffers and Kafka's heap fill
up to limits of their own, so they are shown and not judged.
"""

from collections.abc import Sequence
from typing import Final

from bench.experiments.experiment import Case, Experiment, burst
from bench.figures import OURS, SERVERS
from bench.gates import Verdict, at_most
from bench.markdown import number, table
from bench.results import Part
from bench.statistics import POINTS_MIN, Summary, growth, summary, warm_and_end
from bench.trial import Trial

EVENTS: Final = 1_000_000
LOOK_SECONDS: Final = 2.0
QUICK_LOOK_SECONDS: Final = 0.05
RATIO_MAX: Final = 1.1
PROCESSES: Final = (*OURS, *SERVERS)


def cases(quick: bool) -> Sequence[Case]:
    """One long burst, each process looked at every few seconds."""
    return [
        Case(
            "ours", "ours", burst(EVENTS, quick=quick), rss_every_seconds=QUICK_LOOK_SECONDS if quick else LOOK_SECONDS
        )
    ]


def judge(part: Part) -> Sequence[Verdict]:
    """Each process of ours holds at the end what it held when it was warm."""
    return [at_most(f"memory of {process}: end to warm", RATIO_MAX, _growth(part, process)) for process in OURS]


def _growth(part: Part, process: str) -> Summary | None:
    seen = [series for trial in part.trials("ours") if len(series := _rss_mb(trial, process)) >= POINTS_MIN]
    return summary(map(growth, seen)) if seen else None


def _rss_mb(trial: Trial, process: str) -> list[float]:
    return [mb for _, mb in trial.rss_series_mb.get(process, ())]


def details(part: Part) -> str:
    """What each process held, in MB: at the first look, when it was warm, and at the end."""
    rows = [_row(process, _rss_mb(trial, process)) for trial in part.trials("ours") for process in PROCESSES]
    header = ("process", "first MB", "warm MB", "end MB", "largest MB", "end to warm")
    return "Memory (RSS):\n\n" + table(header, [row for row in rows if row])


def _row(process: str, series: Sequence[float]) -> list[str]:
    if len(series) < POINTS_MIN:
        return []
    warm, end = warm_and_end(series)
    return [process, *map(number, (series[0], warm, end, max(series), growth(series)))]


EXPERIMENT: Final = Experiment(
    name="memory",
    question="Does the memory of each process stay flat over 1,000,000 events?",
    rounds=1,
    cases=cases,
    judge=judge,
    minutes=8,
    details=details,
)
