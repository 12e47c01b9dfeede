"""Nodes that do not answer: how long that has been watched, and when it is we who are cut off."""

from collections.abc import Iterator, Mapping

from cube.model.node import Silence
from cube.model.observation import Observation, Seen, Unknown
from cube.model.policy import OnDisconnect
from cube.model.task import Task, TaskEvent
from cube.reconciler.wants import Want
from cube.reconciler.world import World

GAP = 120.0
"""Seconds that a gap between two looks counts at most: longer ones were not watched."""

MISSES = 3
"""Looks that a node must have missed before it can be lost."""


LOST = " is lost"


def on_lost(node: str | None) -> str:
    """Why a slot is filled anew whose task is lost: what a reason begins with, or all of it."""
    return f"{node}{LOST}"


def tells_of_loss(event: TaskEvent) -> bool:
    """It is the first about the task that takes a lost one's slot: it got a place, or waits for one."""
    return event.source is None and event.reason.partition(": ")[0].endswith(LOST)


def is_cut_off(observed: Mapping[str, Observation]) -> bool:
    """All nodes are silent, or more than half and more than two of them: then it is we who are cut off.

    The thresholds are those of Kubernetes' node lifecycle controller, rounded down to small fleets.
    """
    silent = sum(not isinstance(found, Seen) for found in observed.values())
    return silent > 0 and (silent == len(observed) or (silent > 2 and silent > len(observed) / 2))


def listen(
    known: Mapping[str, Silence], observed: Mapping[str, Observation], now: float
) -> Mapping[str, Silence]:
    """The silences after one more look. While we are cut off, every count begins anew."""
    silent = [name for name, found in observed.items() if not isinstance(found, Seen)]
    if is_cut_off(observed):
        return {name: Silence(node=name, at=now, misses=0, seconds=0.0) for name in silent}
    return {name: _one_more(name, known.get(name), now) for name in silent}


def news(
    known: Mapping[str, Silence], silences: Mapping[str, Silence], observed: Mapping[str, Observation]
) -> Iterator[tuple[str, str]]:
    """What a look shows that is worth an event: a node, empty for the fleet, and what happened to it."""
    for name, found in observed.items():
        if isinstance(found, Unknown) and name not in known:
            yield name, f"does not answer: {found.cause}, {found.why}"
        elif isinstance(found, Seen) and name in known:
            yield name, f"answers again; it was silent in {known[name].misses} looks"
    was_cut_off = len(known) > 1 and all(silence.misses == 0 for silence in known.values())
    is_blind = len(silences) > 1 and all(silence.misses == 0 for silence in silences.values())
    if is_blind and not was_cut_off:
        yield "", f"{len(silences)} of {len(observed)} nodes are silent: it may be we who are cut off"


def is_lost(task: Task, want: Want, world: World) -> bool:
    """Its node has been silent for so long that the task is to run elsewhere."""
    silence = world.silences.get(task.node or "")
    if silence is None or task.node not in world.observed or want.node is not None:
        return False
    return (
        want.group.disconnect.then is OnDisconnect.REPLACE
        and silence.misses >= MISSES
        and silence.seconds >= want.group.disconnect.lost_after
        and not is_cut_off(world.observed)
    )


def _one_more(name: str, known: Silence | None, now: float) -> Silence:
    if known is None:
        return Silence(node=name, at=now, misses=1, seconds=0.0)
    watched = min(max(now - known.at, 0.0), GAP)
    return Silence(node=name, at=now, misses=known.misses + 1, seconds=known.seconds + watched)
