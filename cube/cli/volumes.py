"""Behind `cube volume ls` and `rm`: what nodes keep, for whom, and what of it is lost."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cube.cli import options, render
from cube.cli.recovered import agree
from cube.cli.settle import wait_of
from cube.errors import InputError
from cube.manager import volumes
from cube.manager.keeping import folder_of, shelf_of
from cube.manager.office import Office
from cube.manager.session import at_hand, at_work_by_hand
from cube.manager.volumes import Held
from cube.model.job import Job
from cube.model.volume import StoredVolume
from cube.reconciler.homes import homes_by_volume
from cube.store.store import Store
from cube.volume.archive import Archive, archives_in

COLUMNS = ("node", "volume", "tasks", "size", "backups", "newest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which volumes: those of one job, of every task there is or was, or whatever there is."""

    job: str | None = None
    everything: bool = False


def listed(place: Office, choice: Choice, folder: Path | None, output: options.Output) -> int:
    """Print the volumes; the exit code."""
    with at_hand(place) as (store, workers):
        chosen = _choice(choice, store, place.cluster.name)
        found = volumes.held(workers, [node.name for node in place.cluster.nodes])
        archives = _archives(place, store.jobs(), folder)
        homes = homes_by_volume((*store.current_tasks(), *store.former_tasks()))
    shown = [volume for volume in found.volumes if chosen(volume)]
    rows = [_row(volume, archives, homes.get(volume.name, frozenset())) for volume in shown]
    render.table(rows, COLUMNS, output)
    warn_of_errors(found)
    return found.exit_code


def remove(place: Office, named: tuple[str, str], folder: Path | None, lock_wait: str, *, yes: bool) -> None:
    """Remove the volume of that name from that node, once somebody agrees. Raises InputError, CubeError."""
    name, node = named
    with at_work_by_hand(place, command=f"volume rm {name}", wait=wait_of(lock_wait)) as (manager, workers):
        manager.refuse_unknown(node)
        (volume,) = volumes.needed(volumes.held(workers, [node]), name, node)
        jobs = manager.store.jobs()
        _tell_loss(volume, jobs, _archives(place, jobs, folder))
        agree(f"Remove it from {node}?", yes=yes)
        volumes.remove(workers[node], manager.store, volume)
    render.line(f"  {node}: {name} removed")


def warn_of_errors(found: Held) -> None:
    """Say which nodes did not answer, and what to do."""
    for node, error in found.errors.items():
        render.warn(f"{node}: {line}" for line in str(error).splitlines())


def _archives(place: Office, jobs: Iterable[Job], folder: Path | None) -> Sequence[Archive]:
    """Those in that folder, and those that jobs have made, the oldest first."""
    backups = (backup for job in jobs for group in job.groups for backup in group.backups.values())
    folders = {folder_of(place, folder), *(shelf_of(place, backup).folder for backup in backups)}
    found = (each for one in folders for each in archives_in(one))
    return sorted(found, key=lambda each: (each.at, each.path.name))


def _choice(choice: Choice, store: Store, cluster: str) -> Callable[[StoredVolume], bool]:
    """Raises InputError for a job that is not known."""
    jobs = store.jobs()
    if choice.job is not None:
        job = next((found for found in jobs if found.name == choice.job), None)
        if job is None:
            known = ", ".join(sorted(found.name for found in jobs)) or "none"
            raise InputError(f"there is no job {choice.job!r}", where=cluster, cure=f"Known jobs: {known}.")
        names = job.named_volumes
        return lambda volume: volume.name in names or any(_is_of(use.slot, job) for use in volume.uses)
    if choice.everything:
        return lambda _volume: True
    wanted = {name for job in jobs for name in job.named_volumes}
    return lambda volume: (
        volume.cluster == cluster or volume.name in wanted or any(use.slot for use in volume.uses)
    )


def _is_of(slot: Any, job: Job) -> bool:
    return slot is not None and slot.job == job.name


def _row(
    volume: StoredVolume, archives: Sequence[Archive], homes: frozenset[str] = frozenset()
) -> Mapping[str, Any]:
    """`homes` are the nodes where slots have their data in a volume of that name."""
    is_left = bool(homes) and volume.node not in homes
    moved = f"left behind: its tasks are on {', '.join(sorted(homes))}" if is_left else None
    mine = [found for found in archives if (found.volume, found.node) == (volume.name, volume.node)]
    return {
        "node": volume.node,
        "volume": volume.name,
        "tasks": ", ".join(map(str, volume.uses)) or ("half restored" if volume.is_half else moved),
        "size": None if volume.size is None else render.size(volume.size),
        "bytes": volume.size,
        "is_half": volume.is_half,
        "backups": len(mine),
        "newest": render.age(mine[-1].at) if mine else None,
        "archives": [str(found.path) for found in mine],
    }


def _tell_loss(volume: StoredVolume, jobs: Iterable[Job], archives: Sequence[Archive]) -> None:
    """What is gone with it, for good unless it was kept."""
    row = _row(volume, archives)
    having = ", ".join(job.name for job in jobs if volume.name in job.named_volumes) or "no job"
    render.line(f"  {volume.node}: {volume.name}, {row['size'] or 'of unknown size'}, wanted by {having}")
    if row["archives"]:
        render.line(f"  its newest backup is {row['newest']} old: {row['archives'][-1]}")
    else:
        render.line("  no backup of it is known: what is in it is lost for good", "yellow")
