"""Which setting trades what: each moved alone, at a usual rate and in a burst.

Latency is read at 500/s, where nothing waits for a full batch; throughput in a burst, where everything does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from bench.experiments.experiment import Case, Experiment, burst, steady, ungated
from bench.figures import COMMIT_P50, COMMIT_P99, COMMITTED, SAID_AFTER

DEFAULT: Final = "defaults"
AT_500: Final = "500/s"
IN_A_BURST: Final = "burst"


@dataclass(frozen=True, slots=True)
class Knob:
    """One setting away from its default, or one process more."""

    name: str
    settings: dict[str, str] = field(default_factory=dict)
    ingresses: int = 1
    books: int = 1


def _setting(name: str, *values: float) -> list[Knob]:
    return [Knob(f"{name}={value}", {name: str(value)}) for value in values]


KNOBS: Final = (
    # BATCH_RECORDS_MAX=500, BATCH_FILL_SECONDS_MAX=0.04, POLL_SECONDS=0.05, BATCH_MAX=500, one process each.
    Knob(DEFAULT),
    *_setting("BATCH_RECORDS_MAX", 50, 200, 2000),
    *_setting("BATCH_FILL_SECONDS_MAX", 0, 0.1),
    *_setting("POLL_SECONDS", 0.01, 0.2),
    *_setting("BATCH_MAX", 100, 2000),
    Knob("two books", books=2),
    Knob("two ingresses", ingresses=2),
)


def variant(knob: Knob, load: str) -> str:
    """What a knob under a load is called in the results."""
    return f"{knob.name}, {load}"


def cases(quick: bool) -> Sequence[Case]:
    """Every knob under both loads; a quick run moves those alone that need other processes."""
    loads = {AT_500: steady(500, 8.0, quick=quick), IN_A_BURST: burst(10_000, quick=quick)}
    if quick:
        del loads[AT_500]
    return [
        Case(variant(knob, name), "ours", load, settings=knob.settings, ingresses=knob.ingresses, books=knob.books)
        for knob in ((KNOBS[0], *KNOBS[-2:]) if quick else KNOBS)
        for name, load in loads.items()
    ]


EXPERIMENT: Final = Experiment(
    name="knobs",
    question="Which setting trades what?",
    rounds=3,
    cases=cases,
    judge=ungated,
    minutes=21,
    columns=(COMMITTED, replace(COMMIT_P50, spread=False), COMMIT_P99, replace(SAID_AFTER, spread=False)),
)
