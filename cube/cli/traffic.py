"""`cube maintenance`: who answers requests for a job."""

from enum import StrEnum
from typing import Annotated

import typer

from cube.cli import options


class Switch(StrEnum):
    """Whether it is to be so."""

    ON = "on"
    OFF = "off"


def maintenance(
    job: options.JobName,
    switch: Annotated[Switch, typer.Argument(metavar="on|off", help="Whether a page answers for it.")],
    retry_after: Annotated[
        str, typer.Option("--retry-after", help="When those who ask are told to come back, such as 10m.")
    ] = "2m",
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Let proxies answer requests for a job by a page, with status 503; its tasks run on.

    Example: cube maintenance shop on --retry-after 10m; cube maintenance shop off
    """
    from cube.cli import settle
    from cube.cli.office import seconds
    from cube.cli.reach import office
    from cube.manager.manager import Manager
    from cube.manager.report import Report
    from cube.manager.turn import Run

    place, waits = office(inventory, state), (timeout, lock_wait)
    after = seconds(retry_after, "--retry-after")

    def ask(manager: Manager, run: Run) -> Report:
        if switch is Switch.OFF:
            return manager.end_maintenance(job, run)
        return manager.begin_maintenance(job, after, run)

    settle.settle(place, f"maintenance {job} {switch}", ask, waits, output)
