"""`cube logs` and `cube exec`: what tasks say, and a hand inside them."""

import re
import sys
import time
from typing import Annotated

import typer

from cube.cli import options, render
from cube.errors import InputError
from cube.model.task import State

COLOURS = ("cyan", "magenta", "blue", "green", "yellow", "red")

TaskName = Annotated[
    str,
    typer.Argument(metavar="TASK", help="A job, job/group, job/group[index], or the start of a task's id."),
]


def logs(
    task: TaskName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come.")] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", "-n", help="Only the last lines of each.", min=0)
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Not older than this, such as 10m.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", "-t", help="With each line's time.")] = False,
    inventory: options.Inventory = None,
    state: options.State = None,
) -> None:
    """Print what tasks write, merged by time, each line with its task. Example: cube logs web -f --tail 20"""
    from cube.cli.office import office, seconds
    from cube.manager.session import at_hand
    from cube.manager.tasks import Extract, LogLine, find_tasks, follow_logs, read_logs

    extract = Extract(tail=tail, since=time.time() - seconds(since, "--since") if since else None)
    with at_hand(office(inventory, state)) as (store, workers):
        tasks = find_tasks(store.current_tasks(), task)
        colours = {found.id: COLOURS[number % len(COLOURS)] for number, found in enumerate(tasks)}
        width = max(len(str(found.slot)) for found in tasks)
        for line in (follow_logs if follow else read_logs)(workers, tasks, extract):
            if isinstance(line, LogLine):
                at = f"{line.at} " if timestamps else ""
                prefix = typer.style(str(line.task.slot).ljust(width), fg=colours[line.task.id])
                typer.echo(f"{prefix}  {at}{readable(line.text)}")
            else:
                typer.echo(f"cube: {line}", err=True)


def execute(
    task: TaskName,
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="What to run in its container.")
    ],
    interactive: Annotated[bool, typer.Option("--interactive", "-t", help="With a terminal.")] = False,
    inventory: options.Inventory = None,
    state: options.State = None,
) -> None:
    """Run a command in a task's container, and exit as it does. Example: cube exec 'web/web[0]' -- env"""
    from cube.cli.office import office
    from cube.manager.session import at_hand
    from cube.manager.tasks import execute, find_tasks

    if interactive and not sys.stdin.isatty():
        raise InputError(
            "there is no terminal to hand on", where="--interactive", cure="Leave the option out."
        )
    with at_hand(office(inventory, state)) as (store, workers):
        found = find_tasks(store.current_tasks(), task)
        chosen = next((each for each in found if each.state is State.RUNNING), found[0])
        raise typer.Exit(execute(workers, chosen, command, interactive=interactive))


def readable(text: bytes) -> str:
    """A container's line, without what would move the cursor or write to the clipboard; colours may stay."""
    decoded = text.rstrip(b"\r\n").decode("utf-8", "replace")
    parts = re.split(r"(\x1b\[[0-9;]*m)", decoded)
    return "".join(
        part if part.startswith("\x1b[") else render.shown(part.replace("\t", "    ")) for part in parts
    )
