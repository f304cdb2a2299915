"""One trial: a side, a load, and what was seen of both.  `bench.run.run_trial` makes one.

Times are taken from the moment a request was due, not from when the generator came round to sending it: a slow answer
may not hide the wait of those behind it.  What a trial shows is only worth something when its `problems` are empty:
everything that was accepted is committed, once, and said, and copies changed nothing.
"""

from dataclasses import dataclass, field
from enum import StrEnum


class Mix(StrEnum):
    """Which events are sent."""

    EVERYTHING = "everything"  # All that Stripe sends about subscribers, in its proportions and of every size.
    SUBSCRIPTIONS = "subscriptions"  # Of subscriptions only, of 5 to 9 KB.


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent.  A burst has no rate: it goes as fast as the connections take it."""

    rate_per_second: float | None  # Requests, copies among them.
    events: int  # Distinct ones; the copies come on top.
    connections: int
    duplicate_share: float = 0.1
    known_subscribers: int | None = None  # Events of these only, in turn; None: the lives of ever new ones.
    warmup_events: int = 300  # Sent and committed before anything is measured; part of no figure.
    mix: Mix = Mix.SUBSCRIPTIONS  # What was sent before there was a choice.


@dataclass(frozen=True, slots=True)
class Quantiles:
    """How long it took, in milliseconds."""

    n: int
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What was seen.  Processes go by their names: ingress, books, relay, clock, postgres, kafka, and load, which is
    the generator.
    """

    side: str
    load: Load
    statuses: dict[str, int]  # Answers by status, copies too; "none" where the connection broke.
    accepted: int  # Distinct events with a 2xx.
    committed: int  # Distinct events in the books, those among them that wait for their owner.
    duplicates: int  # Requests that carried a copy, accepted.
    said: int  # Events that left for the world.
    seconds: dict[str, float]  # From the first send until all were: "accepted", "committed", "said".
    answer_ms: Quantiles
    commit_ms: Quantiles
    cpu_us_per_event: dict[str, float]
    rss_mb: dict[str, tuple[float, float]]  # First and last.
    problems: list[str]
    rss_series_mb: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # (second, MB), where asked for.
    behind_max: int = 0  # The most events that were accepted and not committed at one time.
    waiting: int = 0  # Events in the books at the end that still waited for whoever tells whose they are.
    notes: dict[str, float] = field(default_factory=dict)  # Figures that some side or load alone has.
