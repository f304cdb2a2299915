"""Trials and results as a bench would have measured them."""

from dataclasses import replace

from bench.experiments import ALL
from bench.machine import Machine
from bench.results import Part, Results, Run
from bench.trial import Load, Quantiles, Trial

MACHINE = Machine(
    at="2026-01-31T12:00:00+00:00",
    commit="abc1234",
    dirty=False,
    cpu="A Processor of Some Make, 3 GHz",
    cores=2,
    memory_gib=24.0,
    kernel="6.1.0",
    load_1_minute=0.1,
    python="3.11.2",
    java="openjdk 17",
    servers={"PostgreSQL": "18.4", "fsync": "on", "Kafka": "4.3.0"},
    packages={"aiohttp": "3.14.1", "psycopg": "3.3.2"},
)


def quantiles(p99_ms: float) -> Quantiles:
    return Quantiles(n=1_000, p50=p99_ms / 4, p90=p99_ms / 2, p99=p99_ms, p999=p99_ms * 2, max=p99_ms * 3)


def a_trial(side: str = "ours", *, seconds: float = 5.0, events: int = 10_000, p99_ms: float = 20.0) -> Trial:
    return Trial(
        side=side,
        load=Load(None, events=events, connections=64),
        statuses={"200": events + events // 10},
        accepted=events,
        committed=events,
        duplicates=events // 10,
        said=events // 3,
        seconds={"accepted": seconds * 0.8, "committed": seconds, "said": seconds * 1.01},
        answer_ms=quantiles(p99_ms / 2),
        commit_ms=quantiles(p99_ms),
        cpu_us_per_event={
            "ingress": 150.0,
            "books": 220.0,
            "relay": 30.0,
            "clock": 1.0,
            "postgres": 90.0,
            "kafka": 70.0,
            "load": 40.0,
        },
        rss_mb={"ingress": (60.0, 62.0), "books": (110.0, 118.0)},
        problems=[],
    )


def a_part(experiment: str, seconds_of: dict[str, float], *, rounds: int = 3, quick: bool = False) -> Part:
    """Every variant in every round, later rounds a little slower."""
    runs = [
        Run(variant, number, place, a_trial(variant, seconds=seconds * (1 + number / 50), p99_ms=seconds * 4))
        for number in range(1, rounds + 1)
        for place, (variant, seconds) in enumerate(seconds_of.items(), start=1)
    ]
    return Part(experiment, MACHINE, quick=quick, rounds=rounds, runs=runs)


def all_parts(*, quick: bool = False) -> Results:
    """Every experiment, every variant: bare takes four seconds for what takes anybody else five."""
    parts = {
        name: a_part(
            name,
            {case.variant: 4.0 if case.side.startswith("bare") else 5.0 for case in experiment.cases(quick)},
            quick=quick,
        )
        for name, experiment in ALL.items()
    }
    parts["memory"].runs = [replace(run, trial=_with_memory(run.trial)) for run in parts["memory"].runs]
    return Results(parts=parts)


def _with_memory(trial: Trial) -> Trial:
    held = {"ingress": 61.0, "books": 112.0, "relay": 58.0, "clock": 50.0, "postgres": 240.0, "kafka": 330.0}
    series = {name: [(second * 5.0, mb + min(second, 4)) for second in range(60)] for name, mb in held.items()}
    return replace(trial, rss_series_mb=series)
