"""Figures and tables as Markdown that reads well unrendered too."""

from collections.abc import Iterable, Sequence
from typing import Final

from bench.statistics import Summary

FIGURES: Final = 3
DASH: Final = "\N{EN DASH}"
CELL_CHARS_MIN: Final = 3  # A ruler of fewer dashes is no ruler.


def number(value: float) -> str:
    """*value* with as many digits as mean something: three, and thousands in groups."""
    whole_digits = len(f"{abs(value):.0f}")
    return f"{value:,.{max(0, min(2, FIGURES - whole_digits))}f}"


def between(low: float, high: float) -> str:
    """From *low* to *high*."""
    return f"{number(low)}{DASH}{number(high)}"


def spread(seen: Summary | None) -> str:
    """Median and extremes in one cell; one round has no extremes, and none has nothing."""
    if seen is None:
        return ""
    if seen.n == 1:
        return number(seen.median)
    return f"{number(seen.median)} ({between(seen.low, seen.high)})"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns line up: the first one to the left, figures to the right."""
    cells = [list(header), *map(list, rows)]
    widths = [max(CELL_CHARS_MIN, *(len(row[at]) for row in cells)) for at in range(len(header))]
    ruler = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join(_line(row, widths) for row in (cells[0], ruler, *cells[1:]))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return f"| {' | '.join(padded)} |"
