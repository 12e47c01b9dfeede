"""Behind `cube logs`: what tasks write, each line with its task."""

import re
from collections.abc import Iterable, Sequence

import typer

from cube.cli import render
from cube.cli.reach import Place, at_hand
from cube.errors import CubeError
from cube.manager.tasks import Extract, Following, LogLine, find_tasks, read_logs
from cube.model.task import Task

COLOURS = ("cyan", "magenta", "blue", "green", "yellow", "red")


def tell(place: Place, name: str, extract: Extract, *, follow: bool, timestamps: bool) -> int:
    """Print the lines of the tasks of that name, with `follow` as they come; the exit code.

    Raises InputError where there is no such task.
    """
    with at_hand(place) as (store, workers):
        tasks = find_tasks(store.current_tasks(), name)
        lines = (Following if follow else read_logs)(workers, tasks, extract)
        return print_lines(lines, tasks, timestamps=timestamps)


def print_lines(lines: Iterable[LogLine | CubeError], tasks: Sequence[Task], *, timestamps: bool) -> int:
    """Each line with its task, and what went wrong on standard error; the highest of the exit codes."""
    colours = {found.id: COLOURS[number % len(COLOURS)] for number, found in enumerate(tasks)}
    width, code = max(len(str(found.slot)) for found in tasks), 0
    for line in lines:
        if isinstance(line, CubeError):
            code = max(code, line.exit_code)
            typer.echo(f"cube: {line}", err=True)
        else:
            at = f"{line.at} " if timestamps else ""
            prefix = typer.style(str(line.task.slot).ljust(width), fg=colours[line.task.id])
            typer.echo(f"{prefix}  {at}{readable(line.text)}")
    return code


def readable(text: bytes) -> str:
    """A container's line, without what would move the cursor or write to the clipboard; colours may stay."""
    decoded = text.rstrip(b"\r\n").decode("utf-8", "replace")
    parts = re.split(r"(\x1b\[[0-9;]*m)", decoded)
    return "".join(
        part if part.startswith("\x1b[") else render.shown(part.replace("\t", "    ")) for part in parts
    )
