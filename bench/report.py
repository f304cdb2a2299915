"""Results as Markdown: the gates first, then a table an experiment, then the ratios for the README.

python -m bench.report bench/results/2026-01-31-abc1234.json
"""

import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from bench import figures
from bench.experiments import ALL
from bench.figures import GENERATOR, OURS, SERVERS
from bench.gates import Verdict
from bench.machine import Machine
from bench.markdown import between, number, spread, table
from bench.results import Part, Results

QUICK: Final = "A quick run: tiny sizes, to see that everything works.  No gate is judged by it."
CELLS: Final = "Cells are medians of the rounds, with the smallest and the largest round in parentheses."
PROBLEMS_SHOWN_MAX: Final = 10
COLUMNS_MAX: Final = 118


def report(results: Results) -> str:
    """All of it, as one page."""
    sections = [_head(results), _gates(results)]
    sections += [_part(results.parts[name]) for name in ALL if name in results.parts]
    sections.append(_readme(results))
    return "\n\n".join(section for section in sections if section) + "\n"


def verdicts(results: Results) -> list[Verdict]:
    """What became of every gate of what was measured; a quick part has none."""
    judged = [results.parts[name] for name in ALL if name in results.parts and not results.parts[name].quick]
    return [
        replace(verdict, broken=bool(part.problems()))
        for part in judged
        for verdict in ALL[part.experiment].judge(part)
    ]


def _head(results: Results) -> str:
    words = ["# What was measured", *([f"**{QUICK}**"] if results.quick else [])]
    machines = {_machine(part.machine): None for part in results.parts.values()}
    return "\n\n".join((*words, *machines, CELLS))


def _machine(machine: Machine) -> str:
    changed = ", with changes" if machine.dirty else ""
    lines = (
        f"{machine.at[:10]}, commit {machine.commit}{changed}",
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:g} GiB, Linux {machine.kernel}",
        _versions({"Python": machine.python, "Java": machine.java} | machine.servers),
        _versions(machine.packages),
    )
    return "\n".join(textwrap.fill(line, COLUMNS_MAX, initial_indent="- ", subsequent_indent="  ") for line in lines)


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _gates(results: Results) -> str:
    rows = [_gate(verdict) for verdict in verdicts(results)]
    header = ("gate", "n", "median", "quartiles", "extremes", "limit", "outcome")
    return f"## Gates\n\n{table(header, rows)}" if rows else ""


def short(verdict: Verdict) -> tuple[str, ...]:
    """A gate for a narrow table: its rule, and the median of so many rounds."""
    name, n, median, _, _, limit, outcome = _gate(verdict)
    return (name, n, median, limit, outcome)


def _gate(verdict: Verdict) -> tuple[str, ...]:
    gate, seen = verdict.gate, verdict.measured
    limit = f"{gate.bound} {number(gate.limit)} {gate.unit}".rstrip()
    if seen is None:
        return (gate.name, "0", "", "", "", limit, verdict.outcome)
    quartiles = between(seen.quartile_low, seen.quartile_high)
    extremes = between(seen.low, seen.high)
    return (gate.name, str(seen.n), number(seen.median), quartiles, extremes, limit, verdict.outcome)


def _part(part: Part) -> str:
    experiment = ALL[part.experiment]
    shown = (_when(part), _figures(part), _cpu(part), experiment.details(part), _problems(part))
    return "\n\n".join((f"## {part.experiment}: {experiment.question}", *(text for text in shown if text)))


def _when(part: Part) -> str:
    began = f"{part.machine.at[11:16]} UTC, one-minute load before it {part.machine.load_1_minute:g}"
    return f"Begun at {began}.  Rounds asked for: {part.rounds}."


def _figures(part: Part) -> str:
    columns = ALL[part.experiment].columns
    rows = [
        (variant, str(len(part.trials(variant))), *(_cell(part, variant, column) for column in columns))
        for variant in part.variants
    ]
    return table(("variant", "n", *(column.title for column in columns)), rows) if rows else ""


def _cell(part: Part, variant: str, column: figures.Column) -> str:
    return spread(part.summary(variant, column.pick)) if column.spread else _median(part, variant, column.pick)


def _cpu(part: Part) -> str:
    picks = {process: figures.cpu_us(process) for process in (*OURS, *SERVERS)}
    picks |= {"sum": figures.cpu_us_in_all, f"({GENERATOR})": figures.cpu_us(GENERATOR)}
    trials = [run.trial for run in part.runs]
    there = {name: pick for name, pick in picks.items() if any(map(pick, trials))}
    rows = [(variant, *(_median(part, variant, pick) for pick in there.values())) for variant in part.variants]
    return f"CPU µs an event, medians:\n\n{table(('variant', *there), rows)}" if rows else ""


def _median(part: Part, variant: str, pick: figures.Pick) -> str:
    seen = part.summary(variant, pick)
    return number(seen.median) if seen else ""


def _problems(part: Part) -> str:
    seen = part.problems()
    if not seen:
        return "Every trial: accepted = committed, copies changed nothing, no 5xx, nothing parked."
    more = [f"- and {len(seen) - PROBLEMS_SHOWN_MAX} more"] if len(seen) > PROBLEMS_SHOWN_MAX else []
    return "\n".join(("**Problems:**\n", *(f"- {problem}" for problem in seen[:PROBLEMS_SHOWN_MAX]), *more))


def _readme(results: Results) -> str:
    """The ratios, one line each, to be copied: what is said of the pipeline's speed is said in ratios."""
    ratios = [(one.gate.name, one.measured) for one in verdicts(results) if one.measured and not one.gate.unit]
    lines = [f"- {name}: {spread(measured)}, n = {measured.n}" for name, measured in ratios]
    return "\n".join(("## Ratios for the README\n", *lines)) if lines else ""


def main(
    file: Annotated[Path, typer.Argument(help="A file of results.", exists=True, dir_okay=False)],
) -> None:
    """Print *file* as a page of Markdown."""
    typer.echo(report(Results.read(file)), nl=False)


if __name__ == "__main__":
    typer.run(main)
