"""What is read off a trial: the few figures that gates, tables and plots are made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bench.trial import Trial

Pick = Callable[[Trial], float]


@dataclass(frozen=True, slots=True)
class Column:
    """A figure that a table shows of every variant."""

    title: str
    pick: Pick
    spread: bool = True  # Whether the extremes stand beside the median: a table has 120 columns.


OURS: Final = ("ingress", "books", "relay", "clock")
"""Our own processes; what a bare side runs in their place goes by the same names."""

SERVERS: Final = ("postgres", "kafka")
GENERATOR: Final = "load"
"""Makes the load, so it is shown, and counted into no sum."""

LAG_SECONDS_MAX: Final = 1.0


def accepted_per_second(trial: Trial) -> float:
    """Webhooks answered with 2xx a second, copies too: each of them cost a request."""
    return sum(count for status, count in trial.statuses.items() if status.startswith("2")) / trial.seconds["accepted"]


def committed_per_second(trial: Trial) -> float:
    """Distinct events in the books a second, from the first send to the last commit."""
    return trial.committed / trial.seconds["committed"]


def committed_seconds(trial: Trial) -> float:
    """From the first send to the last commit."""
    return trial.seconds["committed"]


def seconds_behind(trial: Trial) -> float:
    """From the last answer to the last commit: what had piled up between the two."""
    return max(0.0, trial.seconds["committed"] - trial.seconds["accepted"])


def said_ms_after(trial: Trial) -> float:
    """From the last commit to the moment when the last event about it was out, in milliseconds."""
    return 1_000 * (trial.seconds["said"] - trial.seconds["committed"])


def commit_ms_p50(trial: Trial) -> float:
    """From the moment a request was due to its commit: the median."""
    return trial.commit_ms.p50


def commit_ms_p99(trial: Trial) -> float:
    """From the moment a request was due to its commit: one in a hundred took longer."""
    return trial.commit_ms.p99


def answer_ms_p50(trial: Trial) -> float:
    """From the moment a request was due to its answer: the median."""
    return trial.answer_ms.p50


def answer_ms_p99(trial: Trial) -> float:
    """From the moment a request was due to its answer: one in a hundred took longer."""
    return trial.answer_ms.p99


def behind_max(trial: Trial) -> float:
    """The most events that were accepted and not committed at one time."""
    return float(trial.behind_max)


def cpu_us(*processes: str) -> Pick:
    """CPU microseconds an event, of these processes together."""

    def of(trial: Trial) -> float:
        return sum(trial.cpu_us_per_event.get(process, 0.0) for process in processes)

    return of


cpu_us_in_all: Final = cpu_us(*OURS, *SERVERS)
"""Of everything but the load's generator."""

ACCEPTED: Final = Column("accepted/s", accepted_per_second)
COMMITTED: Final = Column("committed/s", committed_per_second)
COMMITTED_SECONDS: Final = Column("all committed, s", committed_seconds)
BEHIND: Final = Column("behind at the end, s", seconds_behind)
BEHIND_MAX: Final = Column("events behind, most", behind_max)
ANSWER_P50: Final = Column("answer p50 ms", answer_ms_p50)
ANSWER_P99: Final = Column("answer p99 ms", answer_ms_p99)
SAID_AFTER: Final = Column("said after, ms", said_ms_after)
COMMIT_P50: Final = Column("commit p50 ms", commit_ms_p50)
COMMIT_P99: Final = Column("commit p99 ms", commit_ms_p99)
