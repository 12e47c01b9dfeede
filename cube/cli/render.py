"""Model to text or JSON: the only place that knows columns, colours and widths."""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from cube.cli.options import Output
from cube.view import words

WIDE = 1000
"""Columns where nobody watches: a line is for grep, and is never folded."""

LONG = frozenset({"reason", "nodes", "wanted", "found"})
"""Columns of words, which may be folded."""

LEAST = 24
"""Columns for each of those at least."""

BAR = 20
"""Characters of what is full."""

STYLES = {
    "Running": "green", "healthy": "green", "ok": "green", "ready": "green",
    "Failed": "bold red", "unhealthy": "bold red", "failed": "bold red", "unknown": "bold red",
    "Pending": "yellow", "Scheduled": "yellow", "starting": "yellow", "cordoned": "yellow",
    "draining": "yellow", "paused": "yellow", "succeeded": "green",
    "Completed": "dim",
}  # fmt: skip


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], output: Output) -> None:
    """Print the rows: the named columns as a table, or everything in them as JSON."""
    if output is Output.JSON:
        as_json(rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        drawn.add_column(column.upper(), overflow="fold", no_wrap=column not in LONG)
    for row in rows:
        cells = (shown(row.get(column)) for column in columns)
        drawn.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in cells))
    console = Console(width=None if is_live() else WIDE, highlight=False)
    console.width = max(console.width, _least_width(rows, columns))
    with console.capture() as printed:
        console.print(drawn)
    typer.echo("\n".join(text.rstrip() for text in printed.get().splitlines()))


def _least_width(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> int:
    """Columns that nobody could read in pieces stay whole: what is wider than a terminal goes on below."""
    short = [column for column in columns if column not in LONG]
    widths = (max(len(column), *(len(shown(row.get(column))) for row in rows), 0) for column in short)
    return sum(width + 2 for width in widths) + LEAST * (len(columns) - len(short))


def row(values: Mapping[str, Any], columns: Sequence[str], output: Output) -> None:
    """Print one more row of a table that goes on."""
    if output is Output.JSON:
        as_json(values)
    else:
        line("  ".join(shown(values.get(column)) for column in columns))


def as_json(value: Any) -> None:
    """Print the value as indented JSON."""
    typer.echo(json.dumps(value, indent=2, default=str))


def line(text: str, style: str | None = None) -> None:
    """Print one line at once, in a colour where colours are wanted."""
    typer.secho(shown(text), fg=style)
    sys.stdout.flush()


def shown(value: Any) -> str:
    """A cell: a dash for None, and no control character that would move the cursor."""
    text = "-" if value is None else str(value)
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def warn(lines: Iterable[str]) -> None:
    """Say it on standard error, where no pipe takes it for an answer."""
    for text in lines:
        typer.secho(f"warning: {shown(text)}", fg="yellow", err=True)


def note(text: str) -> None:
    """Say how it goes on standard error, where no pipe takes it for an answer."""
    typer.echo(shown(text), err=True)


def bar(share: float) -> str:
    """A share 0..1 as a bar of BAR characters."""
    full = round(min(max(share, 0.0), 1.0) * BAR)
    return "#" * full + "." * (BAR - full)


def moment(at: float) -> str:
    """A time as the operator's clock shows it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def age(then: float | None, now: float | None = None) -> str:
    """How long ago, in the largest unit that says enough: 12s, 5m, 3h, 2d."""
    if then is None:
        return "never"
    seconds = max((time.time() if now is None else now) - then, 0)
    return words.age(seconds)


def size(amount: float) -> str:
    """Bytes for a person: 512MiB, 7.7GiB."""
    return words.size(amount)


def percent(share: float | None) -> str:
    """A share 0..1, or a dash where it is not known."""
    return "-" if share is None else f"{share:.0%}"


@contextmanager
def whether_read_or_not() -> Iterator[None]:
    """What is printed is lost where nobody reads any more; the work is not given up for that."""
    try:
        yield
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def is_live() -> bool:
    """Somebody watches a terminal."""
    return sys.stdout.isatty()
