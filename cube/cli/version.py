"""`cube rollback`, `promote`, `pause`, `resume`, `history`: the versions of a job."""

from typing import Annotated

import typer

from cube.cli import options


def rollback(
    job: options.JobName,
    version: Annotated[
        int | None, typer.Argument(metavar="[VERSION]", help="Which one; none: the last that had succeeded.")
    ] = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Bring an earlier version of a job back, as a version of its own. Example: cube rollback web 3"""
    from cube.cli import settle
    from cube.cli.reach import office

    place, waits = office(inventory, state), (timeout, lock_wait)
    settle.settle(
        place,
        f"rollback {job}",
        lambda manager, run: manager.rollback(job, version, run),
        waits,
        output,
    )


def promote(
    job: options.JobName,
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Let a new version replace the rest, after its canaries were looked at. Example: cube promote web"""
    from cube.cli import settle
    from cube.cli.reach import office

    place, waits = office(inventory, state), (timeout, lock_wait)
    settle.settle(place, f"promote {job}", lambda manager, run: manager.promote(job, run), waits, output)


def pause(
    job: options.JobName,
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Replace no further task of an older version, until `cube resume`. Example: cube pause web"""
    from cube.cli import settle
    from cube.cli.reach import office

    place, waits = office(inventory, state), (timeout, lock_wait)
    settle.settle(place, f"pause {job}", lambda manager, run: manager.pause(job, run), waits, output)


def resume(
    job: options.JobName,
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Go on with a rollout that was paused. Example: cube resume web"""
    from cube.cli import settle
    from cube.cli.reach import office

    place, waits = office(inventory, state), (timeout, lock_wait)
    settle.settle(place, f"resume {job}", lambda manager, run: manager.resume(job, run), waits, output)


def history(
    job: options.JobName,
    inventory: options.Inventory = None,
    state: options.State = None,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print a job's versions, the oldest first, and what each changed. Example: cube history web"""
    from cube.cli import render, rows
    from cube.cli.reach import office, recorded
    from cube.errors import InputError

    place = office(inventory, state)
    with recorded(place) as store:
        versions, rollouts, known = store.versions(job), store.rollouts_of(job), store.jobs()
    if not versions:
        names = ", ".join(found.name for found in known) or "none"
        raise InputError(f"there is no job {job!r}", where=place.cluster.name, cure=f"Known jobs: {names}.")
    found = rows.of_versions(versions, rollouts)
    if output is options.Output.JSON:
        render.as_json(found)
        return
    for row in found:
        render.row(row, rows.VERSION, output)
        for change in row["changes"]:
            render.line(f"    {change}")
