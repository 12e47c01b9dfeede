"""What is left on each node, and what each class of requests asks, as arrays."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cube.model.resources import Resources
from cube.scheduler.fit import STEPS, Fit, Maths, Number, Table
from cube.scheduler.state import Demand, NodeState
from cube.scheduler.terms import OWN, scales

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SHAPES = 4096
"""For how many sizes of nodes it is remembered what shares of them the classes ask."""


@lru_cache(maxsize=8)
def _array(table: Table) -> Floats:
    return np.array(table.values)


def _look_up(table: Table, share: Number) -> Number:
    if isinstance(share, float):
        return table.values[int(min(max(share, 0.0), 1.0) * STEPS)]
    return _array(table).take((share * STEPS).astype(np.intp), mode="clip")


ARRAYS = Maths(smaller=np.minimum, look_up=_look_up)
"""For many nodes, or many classes, at once."""


class Room:
    """What is left on each node, and what share of it that is: as lists for one node, as arrays for all."""

    def __init__(self, nodes: Sequence[NodeState]) -> None:
        self._capacity = [state.capacity for state in nodes]
        self._is_known = [state.load is not None for state in nodes]
        free = [state.free for state in nodes]
        self.cpu = [float(found.cpu) for found in free]
        self.memory = [float(found.memory) for found in free]
        self.disk = [float(found.disk) for found in free]
        self.sizes = [_sizes(found) for found in self._capacity]
        pairs = list(zip(nodes, self.sizes, strict=True))
        self.had_cpu = [state.promised.cpu / cpu for state, (cpu, _) in pairs]
        self.had_memory = [state.promised.memory / memory for state, (_, memory) in pairs]
        self.load = [0 if state.load is None else state.load.cpu for state in nodes]
        self.busy = [1.0 if state.load is None else state.load.cpu / cpu for state, (cpu, _) in pairs]
        self.all_cpu, self.all_memory = np.array(self.cpu), np.array(self.memory)
        self.all_disk, self.all_busy = np.array(self.disk), np.array(self.busy)
        self.all_had_cpu, self.all_had_memory = np.array(self.had_cpu), np.array(self.had_memory)
        self._all_sizes = np.array(self.sizes).T.copy()
        self.is_short_of_disk = bool((self.all_disk < 0).any())

    def take(self, at: int, asked: Resources) -> None:
        """Promise that much more on one node."""
        (size_cpu, size_memory), capacity = self.sizes[at], self._capacity[at]
        self.cpu[at] = self.all_cpu[at] = cpu = self.cpu[at] - asked.cpu
        self.memory[at] = self.all_memory[at] = memory = self.memory[at] - asked.memory
        self.had_cpu[at] = self.all_had_cpu[at] = (capacity.cpu - cpu) / size_cpu
        self.had_memory[at] = self.all_had_memory[at] = (capacity.memory - memory) / size_memory
        if asked.disk:
            self.disk[at] = self.all_disk[at] = self.disk[at] - asked.disk
        if self._is_known[at]:
            self.load[at] = load = self.load[at] + asked.cpu
            self.busy[at] = self.all_busy[at] = load / size_cpu

    def left(self, at: int) -> Resources:
        """What is unpromised on one node."""
        return Resources(cpu=int(self.cpu[at]), memory=int(self.memory[at]), disk=int(self.disk[at]))

    def fit_on_all(self, asked: Resources, fleet: int) -> Fit:
        """A request on every node."""
        sizes_cpu, sizes_memory = self._all_sizes
        return Fit(
            asked.cpu / sizes_cpu,
            asked.memory / sizes_memory,
            self.all_had_cpu,
            self.all_had_memory,
            self.all_busy,
            fleet,
            ARRAYS,
        )

    def lacks_on_all(self, asked: Resources) -> Mask:
        """The nodes that have too little left for it."""
        lacks = (self.all_cpu < asked.cpu) | (self.all_memory < asked.memory)
        return lacks | (self.all_disk < asked.disk) if asked.disk or self.is_short_of_disk else lacks


class Classes:
    """What the classes in the table ask."""

    def __init__(self) -> None:
        self.demands: list[Demand] = []
        self.scale = self._cpu = self._memory = self._disk = np.empty(0)
        self._asks_disk = False
        self._shares: dict[tuple[float, float], tuple[Floats, Floats]] = {}

    def put(self, row: int, demand: Demand) -> None:
        """The class of that row: the next one, or in place of another."""
        self.demands[row : row + 1] = [demand]
        asked = [found.resources for found in self.demands]
        self._cpu = np.array([float(found.cpu) for found in asked])
        self._memory = np.array([float(found.memory) for found in asked])
        self._disk = np.array([float(found.disk) for found in asked])
        self.scale = np.array([scales(found)[OWN] for found in self.demands])
        self._asks_disk = bool(self._disk.any())
        self._shares.clear()

    def fit_on_one(self, at: int, room: Room, fleet: int) -> Fit:
        """Every class on one node."""
        cpu, memory = self._shares.get(room.sizes[at]) or self._shares_of(room.sizes[at])
        return Fit(cpu, memory, room.had_cpu[at], room.had_memory[at], room.busy[at], fleet, ARRAYS)

    def lacks_on_one(self, at: int, room: Room) -> Mask:
        """The classes for which too little is left on the node."""
        lacks: Mask = (self._cpu > room.cpu[at]) | (self._memory > room.memory[at])
        return lacks | (self._disk > room.disk[at]) if self._asks_disk or room.is_short_of_disk else lacks

    def _shares_of(self, sizes: tuple[float, float]) -> tuple[Floats, Floats]:
        if len(self._shares) >= SHAPES:
            self._shares.clear()
        found = self._shares[sizes] = (self._cpu / sizes[0], self._memory / sizes[1])
        return found


def _sizes(capacity: Resources) -> tuple[float, float]:
    return float(max(capacity.cpu, 1)), float(max(capacity.memory, 1))
