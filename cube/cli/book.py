"""`cube run`: a task in the wire format of the book, from the files that its clients have."""

from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options


def run(
    filename: Annotated[
        Path, typer.Option("--filename", "-f", help="The task event as JSON, as `POST /tasks` takes it.")
    ] = Path("task.json"),
    inventory: options.Inventory = None,
    state: options.State = None,
    scheduler: options.Algorithm = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Run a task that a file has in the format of the book (State 2), or stop it (State 3), and wait.

    It becomes the job task-ID, which every other command knows. Example: cube run -f task.json
    """
    from cube.cli import settle, submitting
    from cube.cli.reach import office

    place, waits = office(inventory, state, scheduler), (timeout, lock_wait)
    settle.settle(place, f"run -f {filename}", submitting.asked(filename, place), waits, output)
