"""`cube deploy`, `plan`, `stop`, `scale`, `remove`, `reconcile`: one desired fact, then the loop."""

from pathlib import Path
from typing import Annotated

import typer

from cube.cli import options


def deploy(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE...]", help="The job file, or Compose files; not with --plan."),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option("--plan", help="Do what `cube plan --out` wrote, if the fleet is still as it was then."),
    ] = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    var: options.Variables = None,
    profile: options.Profiles = None,
    scheduler: options.Algorithm = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Make the fleet run a job as its file says, and wait until it does.

    Running it again changes nothing. Example: cube deploy jobs/web.yml -i inventories/lab.yml --var tag=2
    """
    from cube.cli import building, settle
    from cube.cli.reach import office

    place, waits = office(inventory, state, scheduler), (timeout, lock_wait)
    if plan is not None:
        settle.refuse_both(files, var)
        settle.settle(place, f"deploy --plan {plan}", settle.as_planned(plan, place), waits, output)
    job = settle.read_job(settle.needed(files), var or [], profile or [], place)
    building.build(job, settle.needed(files)[0].parent, place)
    said = f"deploy {' '.join(map(str, files or []))}"
    settle.settle(place, said, lambda manager, run: manager.deploy(job, run), waits, output)


def plan(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE...]", help="A job file, or Compose files; none: what a sweep would do."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the plan to a file, for `cube deploy --plan`.")
    ] = None,
    inventory: options.Inventory = None,
    state: options.State = None,
    var: options.Variables = None,
    profile: options.Profiles = None,
    scheduler: options.Algorithm = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option("--detailed-exitcode", help="Exit 2 where there are changes, 0 where there are none."),
    ] = False,
    why: Annotated[
        bool, typer.Option("--why", help="Tell of each decision all, as `cube why` does of a task.")
    ] = False,
    output: options.Format = options.Output.TABLE,
) -> None:
    """Print what deploy would do first, and change nothing. Example: cube plan jobs/web.yml --out web.plan"""
    from cube.cli import progress, settle
    from cube.cli.reach import office

    place = office(inventory, state, scheduler)
    job = settle.read_job(files, var or [], profile or [], place) if files else None
    tell = progress.print_plan_and_why if why else progress.print_plan
    code = settle.preview(place, job, output, out, tell=tell)
    raise typer.Exit(code if detailed_exitcode or code != 2 else 0)


def stop(
    job: options.JobName,
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Stop every task of a job; the job stays known. Example: cube stop web"""
    from cube.cli import settle
    from cube.cli.reach import office

    place, waits = office(inventory, state), (timeout, lock_wait)
    settle.settle(place, f"stop {job}", lambda manager, run: manager.stop(job, run), waits, output)


def remove(
    job: options.JobName,
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Stop a job and forget it; its events stay. Example: cube remove web"""
    from cube.cli import settle
    from cube.cli.reach import office

    place, waits = office(inventory, state), (timeout, lock_wait)
    settle.settle(place, f"remove {job}", lambda manager, run: manager.remove(job, run), waits, output)


def scale(
    job: options.JobName,
    counts: Annotated[
        list[str], typer.Argument(metavar="GROUP=COUNT...", help="How many tasks of each group.")
    ],
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """Run another number of tasks, until the next deploy says otherwise. Example: cube scale web web=5"""
    from cube.cli import settle
    from cube.cli.reach import office

    place, waits = office(inventory, state), (timeout, lock_wait)
    wanted = settle.counts_of(counts)
    settle.settle(place, f"scale {job}", lambda manager, run: manager.scale(job, wanted, run), waits, output)


def reconcile(
    watch: Annotated[
        bool, typer.Option("--watch", help="Stay, and sweep whenever something is due, until Ctrl-C.")
    ] = False,
    every: Annotated[str, typer.Option("--every", help="With --watch: sweep at least this often.")] = "1m",
    inventory: options.Inventory = None,
    state: options.State = None,
    timeout: options.Timeout = "5m",
    lock_wait: options.LockWait = "0s",
    output: options.Format = options.Output.TABLE,
) -> None:
    """One sweep for cron: look at every node and put right what is not as it should be.

    Says nothing when there was nothing to do; exits 4 while another Cube is at work.
    `--timeout` is the deadline of one sweep.
    Example: cube reconcile -i inventories/production.yml --watch
    """
    from cube.cli import settle
    from cube.cli.office import seconds
    from cube.cli.reach import office

    waits = (timeout, lock_wait)
    if watch:
        from cube.cli.office import office as own_office
        from cube.cli.watch import watch as stay

        limits = (seconds(every, "--every"), seconds(timeout, "--timeout"), settle.wait_of(lock_wait))
        stay(lambda: own_office(inventory, state), *limits, output)
        return
    place = office(inventory, state)
    try:
        settle.settle(
            place, "reconcile", lambda manager, run: manager.reconcile(run), waits, output, is_quiet=True
        )
    except typer.Exit as end:
        from cube.cli import backups

        raise typer.Exit(end.exit_code or backups.keep_what_is_due(place, output)) from None
