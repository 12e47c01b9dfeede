"""Where a group's tasks are, and what that is worth to one more of them, as arrays."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cube.scheduler.kinds import Kind
from cube.scheduler.overlay import Overlay
from cube.scheduler.standing import NOWHERE, Points, Standing
from cube.scheduler.state import NodeState
from cube.scheduler.terms import apart_with

GroupName = tuple[str, str]
Positions = npt.NDArray[np.intp]


def drop(scale: float, most: int | None, count: int) -> int:
    """How much less a node is worth with so many tasks of a group than with none.

    `scale`: the points of being alone on a node. `most`: how many may be on one; None: any number.
    """
    if most is not None and count >= most:
        return -NOWHERE
    return int(apart_with(0) * scale) - int(apart_with(count) * scale)


@lru_cache(maxsize=8)
def drops(scale: float, most: int | None, size: int) -> Points:
    """What `drop` gives for 0, 1, ... tasks of a group on a node, for so many."""
    found = np.array([drop(scale, most, number) for number in range(size)], dtype=np.int32)
    found.setflags(write=False)
    return found


class Neighbours:
    """The nodes that have tasks of a group, and how much less they are worth to one more."""

    def __init__(self, scale: float, most: int | None, counts: Mapping[int, int]) -> None:
        """`scale` and `most` as `drop` takes them."""
        self._scale, self._most = scale, most
        self._index: dict[int, int] = {}
        self._positions: Positions = np.empty(8, dtype=np.intp)
        self._drops: Points = np.empty(8, dtype=np.int32)
        self.positions, self.drops = self._positions[:0], self._drops[:0]
        for at, count in counts.items():
            self.put(at, count)

    def put(self, at: int, count: int) -> None:
        """That node has so many now."""
        if at not in self._index:
            self._append(at)
        self._drops[self._index[at]] = drop(self._scale, self._most, count)

    def _append(self, at: int) -> None:
        size = len(self._index)
        if size == len(self._positions):
            self._positions = np.concatenate((self._positions, np.empty(size, dtype=np.intp)))
            self._drops = np.concatenate((self._drops, np.empty(size, dtype=np.int32)))
        self._index[at] = size
        self._positions[size] = at
        self.positions, self.drops = self._positions[: size + 1], self._drops[: size + 1]


class Peers:
    """Where the tasks of one group are, and what follows from that for one more of them."""

    def __init__(self, fleet: int, standing: Standing, where: Mapping[int, int]) -> None:
        """`fleet`: how many nodes there are. `where`: how many tasks each node has that has some."""
        self._fleet, self._standing = fleet, standing
        self._where = dict(where)
        self._neighbours: dict[Kind, Neighbours] = {}
        self._overlays: dict[Kind, Overlay] = {}
        self._watching: list[Neighbours | Overlay] = []

    def on(self, at: int) -> int:
        """How many that node has."""
        return self._where.get(at, 0)

    def counts(self) -> npt.NDArray[np.int64]:
        """How many each node has."""
        found = np.zeros(self._fleet, dtype=np.int64)
        found[list(self._where)] = list(self._where.values())
        return found

    def add(self, at: int, more: int) -> None:
        """Count so many more on that node."""
        self._where[at] = count = self._where.get(at, 0) + more
        for watch in self._watching:
            watch.put(at, count)

    def add_run(self, more: Mapping[int, int]) -> None:
        """As `add`, on many nodes."""
        if self._where or self._watching:
            for at, number in more.items():
                self.add(at, number)
        else:
            self._where.update(more)

    def neighbours(self, kind: Kind) -> Neighbours:
        """The nodes that have some of them, and how much less they are worth to one more of the kind."""
        found = self._neighbours.get(kind)
        if found is None:
            found = self._neighbours[kind] = Neighbours(kind.apart, kind.most, self._where)
            self._watching.append(found)
        return found

    def overlay(self, kind: Kind) -> Overlay:
        """What the values of the counted attributes are worth to one more of the kind."""
        found = self._overlays.get(kind)
        if found is None:
            found = self._overlays[kind] = Overlay(kind, self._standing, self._where)
            self._watching.append(found)
        return found


class Groups:
    """The peers of each group, and the groups on each node."""

    def __init__(self, nodes: Sequence[NodeState], standing: Standing) -> None:
        self._nodes, self._standing = nodes, standing
        self._peers: dict[GroupName, Peers] = {}
        self._where: dict[GroupName, dict[int, int]] = {}
        self._log: list[tuple[GroupName, int, int]] = []
        self._new: dict[int, set[GroupName]] = {}
        self._in_runs: set[GroupName] = set()
        for at, state in enumerate(nodes):
            for group, count in state.tasks.items():
                self._where.setdefault(group, {})[at] = count

    def peers(self, group: GroupName) -> Peers:
        """Where that group's tasks are."""
        if self._log:
            self._count_logged()
        found = self._peers.get(group)
        if found is None:
            where = self._where.get(group, {})
            found = self._peers[group] = Peers(len(self._nodes), self._standing, where)
        return found

    def add(self, group: GroupName, at: int, more: int) -> None:
        """Count so many more of the group's tasks on that node: later, for few groups are asked about."""
        self._log.append((group, at, more))

    def add_run(self, group: GroupName, more: Mapping[int, int]) -> None:
        """As `add`, on many nodes."""
        self.peers(group).add_run(more)
        self._in_runs.add(group)

    def tasks(self, at: int) -> Mapping[GroupName, int]:
        """How many of each group's tasks that node has."""
        before = self._nodes[at].tasks
        if self._log:
            self._count_logged()
        new = {group: self.peers(group).on(at) for group in self._in_runs | self._new.get(at, set())}
        return {group: count for group, count in {**before, **new}.items() if count}

    def _count_logged(self) -> None:
        log, self._log = self._log, []
        for group, at, more in log:
            self.peers(group).add(at, more)
            self._new.setdefault(at, set()).add(group)
