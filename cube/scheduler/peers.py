"""Where a group's tasks are, and what that is worth to one more of them, as arrays."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cube.model.job import Operator
from cube.scheduler.filters import most_for_each_value
from cube.scheduler.standing import NOWHERE, Points, Standing
from cube.scheduler.state import Demand, NodeState
from cube.scheduler.terms import apart_with, spread_value

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


class Overlay:
    """What the values of a group's counted attributes are worth on every node: `points`, to be added."""

    def __init__(self, demand: Demand, standing: Standing, counts: Mapping[int, int], scale: float) -> None:
        """`scale`: the points of the spread's whole term; 0 where there is none."""
        self._demand, self._scale = demand, scale
        self._names = demand.counted
        values = standing.values(self._names)
        self._distinct, self._codes = values.distinct, values.codes
        self._members = [np.flatnonzero(values.codes == code) for code in range(len(values.distinct))]
        self._counts: dict[int, int] = {}
        self._used: list[dict[str, int]] = [{} for _ in self._names]
        self.points: Points = np.zeros(len(values.codes), dtype=np.int32)
        for at, count in counts.items():
            self._count(at, count)
        self._score(range(len(self._distinct)))

    def put(self, at: int, count: int) -> None:
        """That node has so many now."""
        self._count(at, count - self._counts.get(at, 0))
        mine = self._distinct[self._codes[at]]
        self._score(
            code
            for code, other in enumerate(self._distinct)
            if any(one is not None and one == two for one, two in zip(mine, other, strict=True))
        )

    def used(self) -> Mapping[str, Mapping[str, int]]:
        """How many tasks have which value, by attribute."""
        return dict(zip(self._names, self._used, strict=True))

    def _count(self, at: int, more: int) -> None:
        self._counts[at] = self._counts.get(at, 0) + more
        for used, value in zip(self._used, self._distinct[self._codes[at]], strict=True):
            if value is not None:
                used[value] = used.get(value, 0) + more
                if not used[value]:
                    del used[value]

    def _score(self, codes: Iterable[int]) -> None:
        for code in codes:
            self.points[self._members[code]] = self._worth(
                dict(zip(self._names, self._distinct[code], strict=True))
            )

    def _worth(self, value: Mapping[str, str | None]) -> int:
        used = self.used()
        for constraint in self._demand.constraints:
            if constraint.operator is Operator.DISTINCT_PROPERTY:
                here = value[constraint.attribute]
                if here is None or used[constraint.attribute].get(here, 0) >= most_for_each_value(constraint):
                    return NOWHERE
        spreads = self._demand.spreads
        if not spreads or not self._scale:
            return 0
        found = (
            spread_value(wish, used[wish.attribute], value[wish.attribute], self._demand.count)
            for wish in spreads
        )
        return int(sum(found) / len(spreads) * self._scale)


class Peers:
    """Where the tasks of one group are, and what follows from that for one more of them."""

    def __init__(self, fleet: int, standing: Standing, where: Mapping[int, int]) -> None:
        """`fleet`: how many nodes there are. `where`: how many tasks each node has that has some."""
        self._fleet, self._standing = fleet, standing
        self._where = dict(where)
        self._neighbours: dict[tuple[float, int | None], Neighbours] = {}
        self._overlays: dict[Demand, Overlay] = {}
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

    def neighbours(self, scale: float, most: int | None) -> Neighbours:
        """The nodes that have some of them; `scale` and `most` as `drop` takes them."""
        if (found := self._neighbours.get((scale, most))) is None:
            found = self._neighbours[scale, most] = Neighbours(scale, most, self._where)
            self._watching.append(found)
        return found

    def overlay(self, demand: Demand, scale: float) -> Overlay:
        """What the values of the demand's counted attributes are worth; `scale` as Overlay takes it."""
        if (found := self._overlays.get(demand)) is None:
            found = self._overlays[demand] = Overlay(demand, self._standing, self._where, scale)
            self._watching.append(found)
        return found


class Groups:
    """The peers of each group, and the groups on each node."""

    def __init__(self, nodes: Sequence[NodeState], standing: Standing) -> None:
        self._nodes, self._standing = nodes, standing
        self._peers: dict[GroupName, Peers] = {}
        self._where: dict[GroupName, dict[int, int]] = {}
        self._new: dict[int, set[GroupName]] = {}
        for at, state in enumerate(nodes):
            for group, count in state.tasks.items():
                self._where.setdefault(group, {})[at] = count

    def peers(self, group: GroupName) -> Peers:
        """Where that group's tasks are."""
        found = self._peers.get(group)
        if found is None:
            where = self._where.get(group, {})
            found = self._peers[group] = Peers(len(self._nodes), self._standing, where)
        return found

    def add(self, group: GroupName, at: int, more: int) -> None:
        """Count so many more of the group's tasks on that node."""
        self.peers(group).add(at, more)
        new = self._new.get(at)
        if new is None:
            self._new[at] = {group}
        else:
            new.add(group)

    def tasks(self, at: int) -> Mapping[GroupName, int]:
        """How many of each group's tasks that node has."""
        before = self._nodes[at].tasks
        new = {group: self.peers(group).on(at) for group in self._new.get(at, ())}
        return {group: count for group, count in {**before, **new}.items() if count}
