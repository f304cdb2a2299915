"""How `billing` speaks: sentences and tables that hold at 80 columns, or one JSON document for a script."""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of text for people.")]

out: Final = Console(highlight=False)
err: Final = Console(stderr=True, highlight=False)


def say(sentence: str) -> None:
    """One line for the person at the terminal."""
    out.print(sentence, markup=False)


def problem(sentence: str) -> None:
    """What is wrong, where it is not taken for a result."""
    err.print(sentence, markup=False, style="red")


def show_json(document: Any) -> None:
    """*document* as it is, unwrapped and uncoloured: its reader is a program."""
    typer.echo(json.dumps(document, indent=2, default=str))


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Rows under columns; long cells are folded, never cut: an address is copied from here."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    out.print(table)
