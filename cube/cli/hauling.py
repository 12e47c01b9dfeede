"""Behind `cube move --with-data`: a task and what it has written go to another node."""

import time
from contextlib import nullcontext

from cube.cli import following, options, progress, render, settle
from cube.cli.office import seconds
from cube.manager.moves_with_data import Asked, move_with_data
from cube.manager.office import Office
from cube.manager.session import at_work_by_hand


def move(place: Office, asked: Asked, waits: tuple[str, str], output: options.Output) -> int:
    """Move the task with its data, tell how it goes; the exit code.

    `waits` as for `settle`. Raises InputError, CubeError.
    """
    timeout, lock_wait = seconds(waits[0], "--timeout"), settle.wait_of(waits[1])
    started, is_table = time.time(), output is options.Output.TABLE
    command = f"move {asked.task} {asked.node} --with-data"
    with (
        at_work_by_hand(place, command=command, wait=lock_wait) as (manager, workers),
        following.telling() if is_table else nullcontext(settle.say_nothing) as tell,
    ):
        run = settle.run_of(started + timeout, tell)
        say = (lambda text: render.line(f"  {text}")) if is_table else render.note
        report = move_with_data(manager, workers, asked, run, say)
    with render.whether_read_or_not():
        if is_table:
            progress.print_report(report, time.time() - started)
        else:
            render.as_json(settle.report_data(report))
    return report.exit_code
