"""Backups that jobs ask for by the clock: of which volumes, on which nodes, and whether one is due. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cube.model.job import Backup, Job, JobType
from cube.model.task import State, Task
from cube.reconciler.periodic import last_run


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedBackup:
    """A job, in that version, wants the volume of that node kept so."""

    job: str
    version: int
    volume: str
    node: str
    backup: Backup

    def __str__(self) -> str:
        return f"backup of {self.volume} on {self.node}"


def wanted_backups(jobs: Iterable[Job], tasks: Iterable[Task]) -> Iterator[WantedBackup]:
    """One for each volume on each node where a task runs whose group wants it kept, however many do."""
    nodes: dict[tuple[str, str], set[str]] = {}
    for task in tasks:
        if task.state is State.RUNNING and task.node is not None:
            nodes.setdefault(task.slot.group_key, set()).add(task.node)
    found = {
        (volume, node): WantedBackup(
            job=job.name, version=job.version, volume=volume, node=node, backup=backup
        )
        for job in jobs
        for group in job.groups
        if job.type_of(group) in (JobType.SERVICE, JobType.SYSTEM)
        for volume, backup in sorted(group.backups.items())
        for node in sorted(nodes.get((job.name, group.name), ()))
    }
    yield from found.values()


def is_due(wanted: WantedBackup, newest: float | None, wanted_since: float, now: float) -> bool:
    """A time of its schedule has come since its newest archive was begun; without one, since it is wanted.

    All in seconds since the epoch. Times that were missed are made up for by one.
    """
    at = last_run(wanted.backup.schedule, now)
    return at is not None and at > (wanted_since if newest is None else newest)
