"""`cube reconcile --watch`: one sweep after the other, until somebody ends it."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress

from cube.cli import following, options, progress, render, settle
from cube.errors import CubeError, InputError, LockedError
from cube.manager.keeping import keeping
from cube.manager.office import Office
from cube.manager.report import Report
from cube.manager.session import Watch, watching

SOONEST = 1.0
"""Seconds between two sweeps at least."""


def watch(
    find: Callable[[], Office], every: float, timeout: float, lock_wait: float, output: options.Output
) -> None:
    """Sweep, sleep until something is due but no longer than `every` seconds, and again, until interrupted.

    `find` is asked for the office before each sweep, so that a changed inventory counts. The lock is held
    during a sweep only. What is under way when the interrupt comes ends first, and is recorded.
    """
    office = find()
    with _ended_by_signals(), watching(office) as place, keeping(find, _warn):
        before: Report | None = None
        while True:
            office = _found_again(find, office)
            report = _sweep(place, office, timeout, lock_wait, output)
            if report is not None:
                _tell(report, before, output)
                before = report
            due = report.plan.wake if report is not None else None
            time.sleep(every if due is None else max(min(due - time.time(), every), SOONEST))


def _warn(error: CubeError) -> None:
    render.warn([str(error)])


def _found_again(find: Callable[[], Office], before: Office) -> Office:
    try:
        return find()
    except InputError as error:
        render.warn([f"{error}", "  The inventory is taken as it was before."])
        return before


def _sweep(
    place: Watch, office: Office, timeout: float, lock_wait: float, output: options.Output
) -> Report | None:
    """One sweep; None where another Cube is at work."""
    started = time.time()
    is_table = output is options.Output.TABLE
    try:
        with (
            place.at_work(office, command="reconcile --watch", wait=lock_wait) as manager,
            following.telling() if is_table else nullcontext(settle.say_nothing) as tell,
        ):
            return manager.reconcile(settle.run_of(started + timeout, tell))
    except LockedError as error:
        render.line(f"{render.moment(started)}  left to another Cube: {error.why}")
        return None


def _tell(report: Report, before: Report | None, output: options.Output) -> None:
    """What is as it was after the sweep before is not said again."""
    is_news = bool(report.done) or before is None or _troubles(report) != _troubles(before)
    if output is options.Output.JSON:
        render.as_json({"at": time.time(), **settle.report_data(report)})
    elif is_news and not settle.is_uneventful(report):
        render.line(render.moment(time.time()))
        progress.print_report(report)


def _troubles(report: Report) -> tuple[object, ...]:
    failed = tuple(task.id for task in report.failed)
    silent = tuple(found.node for found in report.unknown)
    return failed, silent, report.held, len(report.waiting), report.plan.warnings


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM is taken for Ctrl-C, which every wait and every wave of effects knows how to end by."""
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
