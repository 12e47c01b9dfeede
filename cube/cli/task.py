"""`cube logs` and `cube exec`: what tasks say, and a hand inside them."""

import sys
import time
from typing import Annotated

import typer

from cube.cli import options
from cube.errors import InputError
from cube.model.task import State

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
    from cube.cli import lines
    from cube.cli.office import seconds
    from cube.cli.reach import office
    from cube.manager.tasks import Extract

    extract = Extract(tail=tail, since=time.time() - seconds(since, "--since") if since else None)
    place = office(inventory, state)
    raise typer.Exit(lines.tell(place, task, extract, follow=follow, timestamps=timestamps))


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
    from cube.cli.reach import at_hand, office
    from cube.manager.tasks import execute, find_tasks

    if interactive and not sys.stdin.isatty():
        raise InputError(
            "there is no terminal to hand on", where="--interactive", cure="Leave the option out."
        )
    with at_hand(office(inventory, state)) as (store, workers):
        found = find_tasks(store.current_tasks(), task)
        chosen = next((each for each in found if each.state is State.RUNNING), found[0])
        raise typer.Exit(execute(workers, chosen, command, interactive=interactive))
