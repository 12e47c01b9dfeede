"""The volumes that tasks have left by moving with their data: removed once their time has come.

Whoever sweeps does so, beside the loop; what came of each is an event of its job.
"""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from cube.errors import CubeError
from cube.manager.office import Office
from cube.manager.session import at_hand, recorded
from cube.model.volume import LeftVolume, StoredVolume
from cube.reconciler.homes import homes_by_volume
from cube.store.store import Store
from cube.worker.worker import Worker

AGAIN = 3600.0
"""Seconds after which one that could not be removed is tried again."""

BY = "leftovers"
"""By whom the events are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleared:
    """What came of one."""

    what: str
    is_failed: bool = False

    def __str__(self) -> str:
        return self.what


def clear_left(place: Office, now: float) -> Iterator[Cleared]:
    """Remove those whose time is over; what came of each, as it ends."""
    with recorded(place) as store:
        if not _over(store, now):
            return
    with at_hand(place) as (store, workers):
        for left in _over(store, now):
            yield _clear(store, workers, left)


def _over(store: Store, now: float) -> list[LeftVolume]:
    over = [left for left in store.left.all().values() if left.until <= now]
    return [left for left in over if not store.was_told(left.job, _failure(left), since=now - AGAIN)]


def _clear(store: Store, workers: Mapping[str, Worker], left: LeftVolume) -> Cleared:
    try:
        what = _removed(store, workers, left)
    except CubeError as error:
        failed = Cleared(what=f"{_failure(left)}{_in_one_line(error)}", is_failed=True)
        store.tell_of_job(left.job, left.version, now=time.time(), actor=BY, reason=failed.what)
        return failed
    store.left.end(left, what, now=time.time(), actor=BY)
    return Cleared(what=what)


def _removed(store: Store, workers: Mapping[str, Worker], left: LeftVolume) -> str:
    """What was done, in words."""
    name, node = left.volume, left.node
    if node not in workers:
        return f"{name} is not removed from {node}: that is no node any more"
    volumes = workers[node].volumes
    found = next((volume for volume in volumes.all() if volume.name == name), None)
    if found is None:
        return f"{name} was removed from {node} by somebody else"
    if is_used_again(found, _homes(store, name)):
        return f"{name} stays on {node}: it is in use again"
    volumes.remove(name)
    return f"{name} removed from {node}: its task has left it, and its time is over"


def is_used_again(volume: StoredVolume, homes: Collection[str]) -> bool:
    """Something has the volume, it is being filled, or a slot has its data there by now."""
    return bool(volume.uses) or volume.is_half or volume.node in homes


def _homes(store: Store, volume: str) -> Collection[str]:
    tasks = (*store.current_tasks(), *store.former_tasks())
    return homes_by_volume(tasks).get(volume, frozenset())


def _failure(left: LeftVolume) -> str:
    return f"removal of {left.volume} from {left.node} failed: "


def _in_one_line(error: CubeError) -> str:
    return "; ".join(line.strip() for line in str(error).splitlines())
