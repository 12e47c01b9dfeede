"""Behind `cube simulate --replay`: the recorded history through other algorithms, told and drawn."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cube.cli import options, plot, render
from cube.cli.reach import Place, recorded
from cube.cli.supposed import recorded_world
from cube.errors import InputError
from cube.model.codec import to_data
from cube.model.job import Job
from cube.model.task import TaskEvent
from cube.scheduler.algorithms import ALGORITHMS, refuse_unknown
from cube.store.store import Store
from cube.whatif.history import Account, Stay, as_it_was, chosen_by, empty_fleet, relive, stays_of

COLUMNS = ("scheduler", "placed", "waited", "never", "elsewhere", "nodes mean", "nodes most", "time")

RECORDED = "as it was"
"""What the first row is about."""

STEPS = 12
"""Lines of the plot on a terminal, for each algorithm."""


def show(
    place: Place, schedulers: str | None, since: float | None, file: Path | None, output: options.Output
) -> None:
    """Print what came of the tasks since then (None: since the first), and what would have under others.

    `file`: where to draw it. Raises InputError where nothing is recorded.
    """
    names = tuple(dict.fromkeys((schedulers or place.scheduler).split(",")))
    for name in names:
        refuse_unknown(name)
    world = recorded_world(place)
    events, stays = _stays(place)
    began = max(min(stay.began for stay in stays), since or 0.0)
    _refuse_emptiness(stays, began, world.now)
    render.warn(_left_out(place, events, stays, began))
    choices = {RECORDED: as_it_was} | {name: chosen_by(ALGORITHMS[name]) for name in names}
    found: dict[str, tuple[Account, float]] = {}
    for name, choose in choices.items():
        started = time.perf_counter()
        account = relive(choose, empty_fleet(world), stays, since=began, until=world.now)
        found[name] = account, time.perf_counter() - started
    accounts = {name: account for name, (account, _) in found.items()}
    if file is not None:
        plot.write(file, partial(_draw, accounts=accounts, began=began, until=world.now))
    render.table([_row(name, *result) for name, result in found.items()], COLUMNS, output)
    if output is options.Output.TABLE:
        for name, account in accounts.items():
            _plot(name, account, began, world.now, len(world.nodes))


def _stays(place: Place) -> tuple[tuple[TaskEvent, ...], tuple[Stay, ...]]:
    with recorded(place) as store, store.moment():
        events = store.events()
        stays = tuple(stays_of(events, _jobs(store, events)))
    if not stays:
        why, cure = "no task of a job that is still known was ever placed", "Deploy a job first."
        raise InputError("there is no history", where=place.cluster.name, why=why, cure=cure)
    return events, stays


def _refuse_emptiness(stays: Sequence[Stay], began: float, until: float) -> None:
    """Raises InputError where the time is not over yet, or no task was there in it."""
    if began >= until:
        raise InputError(f"{render.moment(began)} is not over yet", where="--since")
    if all(stay.ended is not None and stay.ended <= began for stay in stays):
        raise InputError(f"no task was anywhere since {render.moment(began)}", where="--since")


def _jobs(store: Store, events: tuple[TaskEvent, ...]) -> Mapping[tuple[str, int], Job]:
    """Every version of every job that the events name, as far as it is known."""
    names = dict.fromkeys(event.slot.job for event in events if event.task)
    versions = (found for name in names for found in store.versions(name))
    return {(found.job.name, found.job.version): found.job for found in versions}


def _left_out(
    place: Place, events: Iterable[TaskEvent], stays: Iterable[Stay], began: float
) -> Iterator[str]:
    """What is not played: tasks that nobody knows enough of, and nodes that are gone."""
    known = {stay.task for stay in stays}
    since = (event for event in events if event.task and event.node is not None and event.at >= began)
    if lost := len({event.task for event in since} - known):
        tasks = "1 task" if lost == 1 else f"{lost} tasks"
        yield f"left out: {tasks} of forgotten jobs, for nobody knows what they asked"
    away = {stay.node for stay in stays if stay.ended is None or stay.ended > began}
    if gone := away - {node.name for node in place.cluster.nodes}:
        yield f"not in the inventory any more, and not in the fleet here: {', '.join(sorted(gone))}"


def _draw(axes: Any, *, accounts: Mapping[str, Account], began: float, until: float) -> None:
    for name, account in accounts.items():
        hours = [(moment.at - began) / 3600 for moment in account.course]
        nodes = [moment.nodes for moment in account.course]
        last = [(until - began) / 3600], nodes[-1:]
        axes.step([*hours, *last[0]], [*nodes, *last[1]], where="post", label=name)
    axes.set(xlabel="hours", ylabel="nodes with a task")
    axes.set_ylim(bottom=0)


def _row(name: str, account: Account, seconds: float) -> dict[str, Any]:
    return {
        **to_data(account),
        "scheduler": name,
        "nodes mean": f"{account.nodes_mean:.2f}",
        "nodes most": account.nodes_most,
        "time": f"{seconds:.2f}s",
        "seconds": seconds,
    }


def _plot(name: str, account: Account, began: float, until: float, nodes: int) -> None:
    """How many nodes had a task at twelve moments, as bars of plain characters."""
    render.line("")
    render.line(f"{name}: nodes with a task")
    for step in range(1, STEPS + 1):
        at = began + (until - began) * step / STEPS
        moment = [found for found in account.course if found.at <= at][-1]
        render.line(f"{render.moment(at)}  {render.bar(moment.nodes / nodes)} {moment.nodes:>4}")
