"""Behind `cube volume ls` and `rm`: what nodes keep, for whom, and what of it is lost."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cube.cli import options, reach, render
from cube.cli.recovered import agree
from cube.cli.settle import wait_of
from cube.errors import CubeError, InputError
from cube.manager import volumes
from cube.manager.shelves import Place, open_shelf, place_of
from cube.manager.volumes import Held
from cube.model.job import Job
from cube.model.volume import LeftVolume, StoredVolume
from cube.reconciler.homes import homes_by_volume
from cube.store.store import Store
from cube.view import words
from cube.volume.archive import Archive, archives_on

COLUMNS = ("node", "volume", "tasks", "size", "backups", "newest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which volumes: those of one job, of every task there is or was, or whatever there is."""

    job: str | None = None
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Archives:
    """Those that were found, the oldest first, and why other shelves could not be seen.

    With the names of the volumes whose archives may be there; None: of any.
    """

    found: tuple[Archive, ...]
    unseen: tuple[tuple[CubeError, frozenset[str] | None], ...]

    def of(self, volume: StoredVolume) -> list[Archive]:
        """What was found of that volume of that node."""
        return [each for each in self.found if (each.volume, each.node) == (volume.name, volume.node)]

    def are_known(self, volume: str) -> bool:
        """All shelves that may have archives of it were seen."""
        return all(names is not None and volume not in names for _, names in self.unseen)

    @property
    def exit_code(self) -> int:
        """3 where a shelf could not be reached, 1 where it refused, else 0."""
        return max((error.exit_code for error, _ in self.unseen), default=0)


def listed(place: reach.Place, choice: Choice, folder: str | None, output: options.Output) -> int:
    """Print the volumes; the exit code."""
    with reach.at_hand(place) as (store, workers):
        chosen = _choice(choice, store, place.cluster.name)
        found = volumes.held(workers, [node.name for node in place.cluster.nodes])
        archives = _archives(place, store.jobs(), folder)
        homes = homes_by_volume((*store.current_tasks(), *store.former_tasks()))
        left = store.left.all()
    shown = [volume for volume in found.volumes if chosen(volume)]
    rows = [
        _row(volume, archives, homes.get(volume.name, frozenset()), left.get((volume.node, volume.name)))
        for volume in shown
    ]
    render.table(rows, COLUMNS, output)
    warn_of_errors(found)
    _warn_of_unseen(archives)
    return max(found.exit_code, archives.exit_code)


def remove(
    place: reach.Place, named: tuple[str, str], folder: str | None, lock_wait: str, *, yes: bool
) -> None:
    """Remove the volume of that name from that node, once somebody agrees. Raises InputError, CubeError."""
    name, node = named
    at_work = reach.at_work_by_hand(place, command=f"volume rm {name}", wait=wait_of(lock_wait))
    with at_work as (manager, workers):
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


def _warn_of_unseen(archives: Archives) -> None:
    for error, _ in archives.unseen:
        render.warn(f"the archives there are not known: {error}".splitlines())


def _archives(office: reach.Place, jobs: Iterable[Job], folder: str | None) -> Archives:
    """Those in that folder, and those that jobs have made."""
    named = place_of(office.cluster, folder or "")
    wanted: dict[Place, set[str]] = {named: set()}
    for group in (group for job in jobs for group in job.groups):
        for name, backup in group.backups.items():
            wanted.setdefault(place_of(office.cluster, backup.folder), set()).add(name)
    found, unseen = list[Archive](), []
    for place, names in wanted.items():
        try:
            with open_shelf(reach.keys_of(office), place) as shelf:
                found += archives_on(shelf)
        except CubeError as error:
            unseen.append((error, None if place == named else frozenset(names)))
    found.sort(key=lambda each: (each.at, each.name))
    return Archives(found=tuple(found), unseen=tuple(unseen))


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
    volume: StoredVolume,
    archives: Archives,
    homes: frozenset[str] = frozenset(),
    left: LeftVolume | None = None,
) -> Mapping[str, Any]:
    """`homes` are the nodes where slots have their data in a volume of that name; `left`: this is kept so."""
    is_left = bool(homes) and volume.node not in homes
    until = left.until if left and is_left else None
    moved = f"left behind: its tasks are on {', '.join(sorted(homes))}" if is_left else None
    if until is not None:
        moved = f"{moved}; kept until {words.utc(until)}"
    mine, are_known = archives.of(volume), archives.are_known(volume.name)
    return {
        "node": volume.node,
        "volume": volume.name,
        "tasks": ", ".join(map(str, volume.uses)) or ("half restored" if volume.is_half else moved),
        "size": None if volume.size is None else render.size(volume.size),
        "bytes": volume.size,
        "is_half": volume.is_half,
        "kept_until": until,
        "backups": len(mine) if are_known else None,
        "newest": render.age(mine[-1].at) if mine else None,
        "archives": [found.where for found in mine],
    }


def _tell_loss(volume: StoredVolume, jobs: Iterable[Job], archives: Archives) -> None:
    """What is gone with it, for good unless it was kept."""
    row = _row(volume, archives)
    having = ", ".join(job.name for job in jobs if volume.name in job.named_volumes) or "no job"
    render.line(f"  {volume.node}: {volume.name}, {row['size'] or 'of unknown size'}, wanted by {having}")
    if row["archives"]:
        render.line(f"  its newest backup is {row['newest']} old: {row['archives'][-1]}")
    else:
        _warn_of_unseen(archives)
        render.line("  no backup of it is known: what is in it is lost for good", "yellow")
