"""What happened: events as they are recorded, and what failed containers left behind."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass

from cube.cli import options, render, rows
from cube.cli.reach import Place, recorded
from cube.errors import InputError
from cube.manager.tasks import is_called, is_name_of
from cube.model.task import Slot, State, Task, TaskEvent
from cube.store.rows import Death
from cube.store.store import Store

PAUSE = 1.0
"""Seconds between two looks for new events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which events: of a job, on a node, from a time to a time (seconds since the epoch); None: any."""

    job: str | None
    node: str | None
    since: float | None
    until: float | None

    def has(self, event: TaskEvent) -> bool:
        """The node and the end; the store asks for the rest."""
        return self.node in (None, event.node) and (self.until is None or event.at <= self.until)


def tell(place: Place, chosen: Chosen, limit: int, output: options.Output, *, follow: bool) -> None:
    """Print the newest of the chosen events, and with `follow` each further one until Ctrl-C."""
    # From the first line on Ctrl-C is the end that is meant.
    ends_by_hand = suppress(KeyboardInterrupt) if follow else nullcontext()
    with recorded(place) as store, ends_by_hand:
        last = max((event.number for event in store.events(limit=1)), default=0)
        before = store.events(job=chosen.job, since=chosen.since)
        found = [event for event in before if event.number <= last and chosen.has(event)][-limit:]
        render.table([rows.of_event(event) for event in found], rows.EVENT, output)
        if follow:
            _follow(store, chosen, last, output)


def _follow(store: Store, chosen: Chosen, last: int, output: options.Output) -> None:
    while True:
        for event in store.events(job=chosen.job, after=last):
            last = event.number
            if chosen.has(event):
                render.row(rows.of_event(event), rows.EVENT, output)
        time.sleep(PAUSE)


def tell_deaths(place: Place, name: str, limit: int, output: options.Output) -> None:
    """Print what the containers of a job, group or task left behind. Raises InputError."""
    with recorded(place) as store:
        meant = [task for task in store.current_tasks() if is_called(task, name)]
        slots = _slots(store, name.partition("/")[0])
        deaths = _deaths(store, name, slots)[-limit:]
        is_known = bool(deaths or meant) or store.job(name) is not None
    if not is_known and not any(is_name_of(slot, name) for slot in slots.values()):
        raise InputError(f"no job and no task is called {name!r}", where=place.cluster.name)
    names = {task: str(slot) for task, slot in slots.items()}
    if output is options.Output.JSON:
        render.as_json([rows.of_death(death, names.get(death.task)) for death in deaths])
        return
    for death in deaths:
        for line in _lines(death, names.get(death.task) or death.job):
            render.line(line)
    kept = _kept(meant, deaths)
    for task in kept:
        render.line(
            f"{task.slot} on {task.node}: {task.reason}; its container is kept: cube logs {task.slot}"
        )
    if not deaths and not kept:
        render.line(f"{name}: none of its containers has ended badly")


def _slots(store: Store, job: str) -> Mapping[str, Slot]:
    """By task, of all that are recorded, and of those of the job that only events remember."""
    forgotten = {event.task: event.slot for event in store.events(job=job) if event.task}
    return forgotten | {task.id: task.slot for task in store.tasks()}


def _deaths(store: Store, name: str, slots: Mapping[str, Slot]) -> tuple[Death, ...]:
    job, is_slot, _ = name.partition("/")
    if not is_slot:
        return store.post_mortems(name) if name else ()
    ids = {task for task, slot in slots.items() if is_name_of(slot, name)}
    return tuple(death for death in store.post_mortems(job) if death.task in ids)


def _kept(tasks: Iterable[Task], deaths: Iterable[Death]) -> list[Task]:
    """Those that failed for good: nothing has restarted or removed their containers since."""
    told = {death.found.container for death in deaths}
    return [task for task in tasks if task.state is State.FAILED and task.container not in (None, *told)]


def _lines(death: Death, name: str) -> Iterator[str]:
    found = death.found
    yield f"{render.moment(found.at)}  {name} on {death.node}  {death.task[:8]}: {death.reason}"
    code = "it had not ended" if found.exit_code is None else f"exit code {found.exit_code}"
    yield f"  {code}{', out of memory' * found.oom_killed}; container {found.container[:12]}"
    if found.started_at:
        yield f"  ran from {found.started_at[:19]} to {found.finished_at[:19] or '-'} UTC"
    for check in found.checks:
        yield f"  check: {check}"
    for line in found.log.splitlines():
        yield f"  | {line}"
