"""An experiment: a question, the cases that are run in turn to answer it, and the gates that judge the answer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bench.figures import ACCEPTED, BEHIND, COMMITTED, Column
from bench.gates import Verdict
from bench.results import Part
from bench.trial import Load, Mix

CONNECTIONS: Final = 64
DUPLICATE_SHARE: Final = 0.1
QUICK_EVENTS: Final = 1_000
QUICK_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Case:
    """One variant of an experiment: a side under a load, and what else is different about it."""

    variant: str
    side: str
    load: Load
    settings: Mapping[str, str] = field(default_factory=dict)  # As environment variables, told to every process.
    ingresses: int = 1
    books: int = 1
    stack: str = "main"  # Cases of one stack share its two servers, and the rows in them.
    known_subscribers: int = 0  # So many are in the books before the first trial on that stack.
    rss_every_seconds: float | None = None  # How often memory is looked at during the trial; None: at its ends only.
    collects_traces: bool = False  # Whether somebody listens for spans, and the processes are told where.


def _no_details(_: Part) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One question to the machine."""

    name: str
    question: str
    rounds: int
    cases: Callable[[bool], Sequence[Case]]  # Told whether the run is a quick one.
    judge: Callable[[Part], Sequence[Verdict]]
    minutes: float  # About so long with the rounds above, on two cores.
    columns: Sequence[Column] = (COMMITTED, ACCEPTED, BEHIND)
    details: Callable[[Part], str] = _no_details  # A table of its own, as Markdown.


def with_mix(cases: Sequence[Case], mix: Mix) -> list[Case]:
    """The same cases, with other events."""
    return [replace(case, load=replace(case.load, mix=mix)) for case in cases]


def burst(events: int, *, quick: bool, connections: int = CONNECTIONS) -> Load:
    """*events* as fast as the connections take them."""
    sent = QUICK_EVENTS if quick else events
    return Load(None, events=sent, connections=connections, duplicate_share=DUPLICATE_SHARE)


def steady(rate_per_second: float, seconds: float, *, quick: bool, connections: int = CONNECTIONS) -> Load:
    """*rate_per_second* on schedule, whatever the answers take."""
    requests = rate_per_second * (QUICK_SECONDS if quick else seconds)
    events = round(requests / (1 + DUPLICATE_SHARE))
    return Load(rate_per_second, events=events, connections=connections, duplicate_share=DUPLICATE_SHARE)


def ungated(_: Part) -> Sequence[Verdict]:
    """No gate: the experiment is there to be read."""
    return ()
