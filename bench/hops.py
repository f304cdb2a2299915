"""Where the time of one event goes, hop by hop: `python -m bench.hops --rate 50 500 2000`.

Our three processes run as they are, with traces on, beside real servers; the hops are read off the spans of the events
that were sampled, and nothing is measured beside them.  Few enough are sampled that tracing is no load of its own.
`--write` puts the table into docs/where-the-time-goes.md.
"""

import argparse
import asyncio
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Final

from bench import machine, markdown
from bench.collector import Collector, Seen
from bench.generator import Generator
from bench.machine import Machine
from bench.servers import describe
from bench.sides import Ground, Side, on_ground
from bench.trial import Load
from models.topics import STRIPE_EVENTS
from ops.local.folders import PROJECT
from ops.local.postgres import Role
from runtime.tracing import now_ns
from store.traces import Step

PAGE: Final = PROJECT / "docs" / "where-the-time-goes.md"
BEGIN: Final = "<!-- What stands between these two lines is written by `python -m bench.hops --write`. -->"
END: Final = "<!-- Until here. -->"

RATES: Final = (50, 500, 2_000)
TRACES_PER_SECOND: Final = 100
"""How many events are sampled: a p99 after some seconds, and less than a hundredth of a core for it in each process."""

CONNECTIONS: Final = 64
QUIET_SECONDS: Final = 3.0
DRAIN_SECONDS_MAX: Final = 120.0
LOOK_EVERY_SECONDS: Final = 0.5
PERCENTS: Final = 100
COLUMNS: Final = 120
SERVERS: Final = ("PostgreSQL", "Kafka", "fsync")

HTTP, SEND = "POST /webhooks/stripe", f"send {STRIPE_EVENTS.name}"
COMMIT = f"commit {STRIPE_EVENTS.name}"
SAY: Final = "send billing."
STEPS: Final = tuple(Step)

HOPS: Final = (
    "the door: HTTP, signature, seal",
    "until Kafka has it: produce and its ack",
    "in Kafka and in Faust, until the books read it",
    "waiting for the batch before",
    "opening and reading the batch",
    "PostgreSQL is asked: BEGIN until all answers",
    "deciding",
    "PostgreSQL saves: rows until COMMIT is answered",
    "from the request to the commit",
    "in the outbox, until the relay claims it",
    "until Kafka has our event: produce and its ack",
    "from the request to the emitted event",
)
SUMS: Final = (HOPS[8], HOPS[11])

Milliseconds = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Measured:
    """One rate: how many milliseconds each sampled event spent in each hop."""

    rate: int
    ratio: float
    events: Sequence[Milliseconds]

    def quantiles(self, hop: str) -> tuple[float, float] | None:
        """The median and the 99th percentile; None when too few events came so far."""
        seen = [event[hop] for event in self.events if hop in event]
        if len(seen) < PERCENTS:
            return None
        cuts = quantiles(seen, n=PERCENTS, method="inclusive")
        return cuts[49], cuts[98]


class Traces:
    """Spans, by the trace that they are of."""

    def __init__(self, spans: Iterable[Seen]) -> None:
        self._traces: dict[str, list[Seen]] = {}
        for span in spans:
            self._traces.setdefault(span.trace_id, []).append(span)

    def events(self, since_ns: int) -> Iterator[Milliseconds]:
        """Each event whose request came after *since_ns* and that is committed: its hops, as far as it came."""
        for spans in self._traces.values():
            way = {span.name: span for span in sorted(spans, key=lambda span: -span.begun_ns)}  # The first of each.
            if {HTTP, SEND, COMMIT} <= way.keys() and way[HTTP].begun_ns >= since_ns:
                batch, steps = self._batch(way[COMMIT])
                if batch and steps:
                    yield dict(zip(HOPS, _hops(way, batch, steps), strict=False))

    def _batch(self, commit: Seen) -> tuple[Seen | None, Sequence[Seen]]:
        """The batch that a fact was part of, and its steps; where their spans were dropped, there are none."""
        ((trace_id, span_id),) = commit.links
        spans = self._traces.get(trace_id, [])
        batch = next((span for span in spans if span.span_id == span_id), None)
        return batch, [span for span in spans if span.parent_id == span_id]


def _hops(way: Mapping[str, Seen], batch: Seen, steps: Sequence[Seen]) -> Iterator[float]:
    """One after the other: an event that nobody is told of ends with its commit."""
    http, send, commit = way[HTTP], way[SEND], way[COMMIT]
    saved_ns = max(span.ended_ns for span in steps)
    yield _ms(http.begun_ns, send.begun_ns)
    yield send.milliseconds
    yield _ms(send.ended_ns, commit.begun_ns)
    yield _ms(commit.begun_ns, batch.begun_ns)
    yield _ms(batch.begun_ns, min(span.begun_ns for span in steps))
    for step in STEPS:
        yield sum(span.milliseconds for span in steps if span.name == step)
    yield _ms(http.begun_ns, saved_ns)
    said = next((span for name, span in way.items() if name.startswith(SAY)), None)
    if said is not None:
        yield _ms(saved_ns, said.begun_ns)
        yield said.milliseconds
        yield _ms(http.begun_ns, said.ended_ns)


async def measure(ground: Ground, rate: int, seconds: float) -> Measured:
    """Send at *rate* for so long, and read the hops off the spans."""
    ratio = min(1.0, TRACES_PER_SECOND / rate)
    load = Load(rate_per_second=rate, events=max(1, int(rate * seconds * 0.9)), connections=CONNECTIONS)
    async with Collector() as collector:
        async with ground.side("ours", _settings(collector, ratio)) as side:
            since_ns = await _send(side, load, seconds)
            await _quiet(collector)
            if problems := side.problems():
                raise RuntimeError("; ".join(problems))
        # Stopped: each process has sent its last spans.
        return Measured(rate, ratio, tuple(Traces(collector.spans).events(since_ns)))


def _settings(collector: Collector, ratio: float) -> dict[str, str]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "500",
        "OTEL_BSP_MAX_QUEUE_SIZE": "20000",
        "TRACE_SAMPLE_RATIO": str(ratio),
    }


async def _send(side: Side, load: Load, seconds: float) -> int:
    """Send all of the load; when its first request was, so that the warmup is no part of it."""
    async with Generator(load, side.door) as generator:
        await generator.warm()
        since_ns = now_ns()
        await generator.go(seconds * 2 + DRAIN_SECONDS_MAX)
        answers = await generator.answers()
    sys.stderr.write(f"{load.rate_per_second:g}/s: {dict(Counter(answers.statuses))}\n")
    return since_ns


async def _quiet(collector: Collector) -> None:
    """Return when no span has come for a while: all of it is through."""
    async with asyncio.timeout(DRAIN_SECONDS_MAX):
        seen, quiet_seconds = -1, 0.0
        while quiet_seconds < QUIET_SECONDS:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            quiet_seconds = quiet_seconds + LOOK_EVERY_SECONDS if len(collector.spans) == seen else 0.0
            seen = len(collector.spans)


def table(measured: Sequence[Measured]) -> str:
    """The hops, a row each, with p50 and p99 of every rate in milliseconds."""
    header = ["ms, p50 / p99", *(f"{one.rate:,}/s" for one in measured)]
    rows = [[_bold(hop, hop), *(_bold(hop, _cell(one.quantiles(hop))) for one in measured)] for hop in HOPS]
    counts = ["events that were sampled", *(f"{len(one.events):,}" for one in measured)]
    return markdown.table(header, [*rows, counts])


def _cell(seen: tuple[float, float] | None) -> str:
    return "" if seen is None else " / ".join(map(markdown.number, seen))


def _bold(hop: str, text: str) -> str:
    return f"**{text}**" if hop in SUMS and text else text


def _ms(since_ns: int, until_ns: int) -> float:
    return (until_ns - since_ns) / 1e6


def section(measured: Sequence[Measured], on: Machine, seconds: float) -> str:
    """The table, and what it was measured on."""
    ratios = ", ".join(f"{one.ratio:.0%} at {one.rate:,}/s" for one in measured)
    servers = ", ".join(f"{name} {on.servers[name]}" for name in SERVERS if name in on.servers)
    about = (
        f"Measured {on.at} at commit {on.commit}{' and changes to it' if on.dirty else ''}, {seconds:g} s at each"
        f" rate; one request in ten is a copy.  Traced were {ratios}.  One process each on {on.cpu}, {on.cores} cores,"
        f" Linux {on.kernel}, Python {on.python}, with {servers}; the load before it began was {on.load_1_minute:g}."
    )
    return f"{table(measured)}\n\n{textwrap.fill(about, COLUMNS)}"


def write(page: Path, text: str) -> None:
    """Put *text* into the page, in the place of what stood there."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


async def _run(rates: Sequence[int], seconds: float) -> str:
    with tempfile.TemporaryDirectory(prefix="billstream-hops-") as folder:
        async with on_ground(Path(folder) / "home") as ground:
            on = machine.describe(await describe(ground.stack.postgres.url(Role.SUPERUSER)))
            measured = [await measure(ground, rate, seconds) for rate in rates]
    return section(measured, on, seconds)


def main() -> None:
    """Measure and print; with `--write`, into the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.hops", description=__doc__.partition("\n")[0])
    parser.add_argument("--rate", type=int, nargs="+", default=RATES, help="events per second, one or several")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each rate is held")
    parser.add_argument("--write", action="store_true", help="put the table into docs/where-the-time-goes.md")
    told = parser.parse_args()
    found = asyncio.run(_run(told.rate, told.seconds))
    sys.stdout.write(f"{found}\n")
    if told.write:
        write(PAGE, found)


if __name__ == "__main__":
    main()
