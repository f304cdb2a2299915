"""One picture of the results: throughput, CPU, latency and memory, ours beside bare.

python -m bench.plot bench/results/2026-01-31-abc1234.json
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

import matplotlib as mpl
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench import figures
from bench.experiments import burst, growth, ingress, latency, throughput
from bench.figures import OURS, SERVERS, Pick
from bench.results import Part, Results
from bench.statistics import Summary

OURS_COLOUR: Final = "#1f5fa8"
BARE_COLOUR: Final = "#9aa0a6"
PROCESS_COLOURS: Final = dict(
    zip((*OURS, *SERVERS), ("#1f5fa8", "#5b9bd5", "#a9cdec", "#d5e5f5", "#e0a458", "#b5b5b5"), strict=True)
)
SIZE_INCHES: Final = (12.0, 8.5)
DOTS_PER_INCH: Final = 130
Dashes = Literal["-", "--"]
Draw = Callable[[Axes, Results], None]


def draw(results: Results, path: Path) -> None:
    """Draw *results* into *path*; its suffix says in which format.  A panel without measurements says so."""
    with mpl.rc_context(
        {
            "font.size": 10,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.grid": True,
            "grid.color": "#e6e6e6",
            "axes.axisbelow": True,
        }
    ):
        figure = Figure(figsize=SIZE_INCHES, layout="constrained")
        for axes, panel in zip(figure.subplots(2, 2).flat, PANELS, strict=True):
            panel(axes, results)
        figure.suptitle(heading(results), x=0.01, ha="left", fontsize=10, color="#555555")
        figure.savefig(path, dpi=DOTS_PER_INCH)


def heading(results: Results) -> str:
    """What was measured where, in one line; a quick run says first that it is none."""
    machines = [part.machine for part in results.parts.values()]
    if not machines:
        return "Nothing was measured yet."
    first = machines[0]
    quick = "QUICK RUN, NO MEASUREMENT.  " if results.quick else ""
    return (
        f"{quick}{first.at[:10]}, commit {first.commit}, {first.cpu}, {first.cores} cores.  "
        "Medians; whiskers from the smallest to the largest round."
    )


def _throughput(axes: Axes, results: Results) -> None:
    """How many a second: dots with whiskers, one row a side."""
    axes.set_title("Events a second, in a burst")
    rows = _rows(
        results,
        (
            ("ingress", ingress.CONSTRUCT_EVENT, "door with construct_event", figures.accepted_per_second),
            ("ingress", ingress.BARE, "door, bare", figures.accepted_per_second),
            ("ingress", ingress.OURS, "door, ours", figures.accepted_per_second),
            ("throughput", throughput.BARE, "to the books, bare", figures.committed_per_second),
            ("throughput", throughput.OURS, "to the books, ours", figures.committed_per_second),
            ("burst", burst.BARE, "storm of 100,000, bare", figures.committed_per_second),
            ("burst", burst.OURS, "storm of 100,000, ours", figures.committed_per_second),
            ("growth", growth.KNOW_FEW, "ours, 1,000 known", figures.committed_per_second),
            ("growth", growth.KNOW_MANY, "ours, 1,000,000 known", figures.committed_per_second),
        ),
    )
    if not rows:
        return _empty(axes)
    for at, (label, seen) in enumerate(reversed(rows)):
        colour = OURS_COLOUR if "ours" in label else BARE_COLOUR
        axes.barh(at, seen.median, color=colour, height=0.62)
        axes.plot([seen.low, seen.high], [at, at], color="black", linewidth=1)
        axes.annotate(f"{seen.median:,.0f}", (seen.high, at), (5, -3), textcoords="offset points", fontsize=9)
    axes.set_yticks(range(len(rows)), [label for label, _ in reversed(rows)])
    axes.margins(x=0.15)
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return None


def _cpu(axes: Axes, results: Results) -> None:
    """What an event costs, process by process."""
    axes.set_title("CPU microseconds an event")
    part = results.parts.get("throughput")
    sides = [side for side in (throughput.OURS, throughput.BARE) if part and part.trials(side)]
    if part is None or not sides:
        return _empty(axes)
    left = dict.fromkeys(sides, 0.0)
    for process, colour in PROCESS_COLOURS.items():
        for at, side in enumerate(sides):
            width = _median(part, side, figures.cpu_us(process))
            axes.barh(at, width, left=left[side], color=colour, height=0.5, label=process if at == 0 else None)
            left[side] += width
    for at, side in enumerate(sides):
        axes.annotate(f"{left[side]:,.0f}", (left[side], at), (5, -3), textcoords="offset points", fontsize=9)
    axes.set_yticks(range(len(sides)), sides)
    axes.margins(x=0.12)
    axes.grid(visible=False, axis="y")
    axes.legend(ncols=len(PROCESS_COLOURS), loc="upper center", bbox_to_anchor=(0.45, -0.08), frameon=False, fontsize=9)
    return None


def _latency(axes: Axes, results: Results) -> None:
    """From due to committed, by rate: medians drawn through, the 99th percentile dashed."""
    axes.set_title("From due to committed, milliseconds")
    part = results.parts.get("latency")
    if part is None or not part.runs:
        return _empty(axes)
    picks: tuple[tuple[str, Dashes, Pick], ...] = (
        ("p50", "-", figures.commit_ms_p50),
        ("p99", "--", figures.commit_ms_p99),
    )
    for side, colour in ((latency.BARE, BARE_COLOUR), (latency.OURS, OURS_COLOUR)):
        for name, dashes, pick in picks:
            _line(axes, part, side, pick, f"{side}, {name}", colour=colour, dashes=dashes)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(latency.RATES, [f"{rate:,}/s" for rate in latency.RATES])
    axes.minorticks_off()
    ticks = (2, 5, 10, 20, 50, 100, 250, 500, 1_000, 2_000)
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.legend(frameon=False, fontsize=9)
    return None


def _line(axes: Axes, part: Part, side: str, pick: Pick, label: str, *, colour: str, dashes: Dashes) -> None:
    seen = [(rate, part.summary(latency.variant(side, rate), pick)) for rate in latency.RATES]
    points = [(rate, found) for rate, found in seen if found]
    rates = [rate for rate, _ in points]
    medians = [found.median for _, found in points]
    spread = [[found.median - found.low for _, found in points], [found.high - found.median for _, found in points]]
    axes.errorbar(
        rates, medians, yerr=spread, label=label, color=colour, linestyle=dashes, marker="o", markersize=4, capsize=3
    )


def _memory(axes: Axes, results: Results) -> None:
    """What each process held while a million events went through."""
    axes.set_title("Memory (RSS), MB by the second of a long run")
    part = results.parts.get("memory")
    trials = part.trials("ours") if part else []
    if not trials:
        return _empty(axes)
    for process, colour in PROCESS_COLOURS.items():
        series = trials[-1].rss_series_mb.get(process, [])
        if series:
            seconds, held = zip(*series, strict=True)
            axes.plot(seconds, held, color=colour, label=process, linewidth=1.6)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=9, ncols=len(PROCESS_COLOURS), columnspacing=1.0, handlelength=1.2)
    return None


PANELS: Final[Sequence[Draw]] = (_throughput, _cpu, _latency, _memory)


def _rows(results: Results, wanted: Sequence[tuple[str, str, str, Pick]]) -> list[tuple[str, Summary]]:
    found = (
        (label, results.parts[experiment].summary(variant, pick))
        for experiment, variant, label, pick in wanted
        if experiment in results.parts
    )
    return [(label, seen) for label, seen in found if seen]


def _median(part: Part, variant: str, pick: Pick) -> float:
    seen = part.summary(variant, pick)
    return seen.median if seen else 0.0


def _empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes, color="#888888")
    axes.set_axis_off()


def main(
    file: Annotated[Path, typer.Argument(help="A file of results.", exists=True, dir_okay=False)],
) -> None:
    """Draw *file* into a picture beside it."""
    draw(Results.read(file), file.with_suffix(".png"))


if __name__ == "__main__":
    typer.run(main)
