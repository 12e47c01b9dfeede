"""What is left on each node, and what each class of requests asks, as arrays."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from math import nan

import numpy as np
import numpy.typing as npt

from cube.model.resources import Resources
from cube.model.task import Slot
from cube.scheduler.fit import PLAIN, STEPS, Fit, Maths, Number, Table, look_up_one
from cube.scheduler.state import Demand, NodeState, Request
from cube.scheduler.terms import OWN, fit_of, scales

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SHAPES = 4096
"""For how many sizes of nodes it is remembered what shares of them the classes ask."""

_NOTHING = Request(slot=Slot(job="", group="", index=0), demand=Demand(resources=Resources()))


_STEPS = np.array(float(STEPS))


@lru_cache(maxsize=8)
def _array(table: Table) -> Floats:
    return np.array(table.values)


def _look_up(table: Table, share: Number) -> Number:
    if isinstance(share, float):
        return look_up_one(table, share)
    return _array(table).take((share * _STEPS).astype(np.intp), mode="clip")


ARRAYS = Maths(smaller=np.minimum, look_up=_look_up)
"""For many nodes, or many classes, at once."""


class Room:
    """What is left on each node, and what share is promised: as lists for one node, as arrays for all."""

    def __init__(self, nodes: Sequence[NodeState]) -> None:
        free, fits = [state.free for state in nodes], [fit_of(_NOTHING, state) for state in nodes]
        self.sizes = [_sizes(state.capacity) for state in nodes]
        self._capacity = [state.capacity for state in nodes]
        self.load, self._all_loads = _both(nan if found.load is None else found.load.cpu for found in nodes)
        self.cpu, self.all_cpu = _both(found.cpu for found in free)
        self.memory, self.all_memory = _both(found.memory for found in free)
        self.disk, self.all_disk = _both(found.disk for found in free)
        self.had = [found.had for found in fits]
        self.busy, self._all_busy = _both(found.busy for found in fits)
        _, self._all_had_cpu = _both(cpu for cpu, _ in self.had)
        _, self._all_had_memory = _both(memory for _, memory in self.had)
        _, self._all_sizes_cpu = _both(cpu for cpu, _ in self.sizes)
        _, self._all_sizes_memory = _both(memory for _, memory in self.sizes)
        _, self._all_capacity_cpu = _both(found.cpu for found in self._capacity)
        _, self._all_capacity_memory = _both(found.memory for found in self._capacity)
        self.is_short_of_disk = bool((self.all_disk < 0).any())

    def take(self, at: int, asked: Resources) -> None:
        """Promise that much more on one node."""
        (size_cpu, size_memory), capacity = self.sizes[at], self._capacity[at]
        self.cpu[at] = self.all_cpu[at] = cpu = self.cpu[at] - asked.cpu
        self.memory[at] = self.all_memory[at] = memory = self.memory[at] - asked.memory
        had_cpu, had_memory = (capacity.cpu - cpu) / size_cpu, (capacity.memory - memory) / size_memory
        self.had[at] = had_cpu, had_memory
        self._all_had_cpu[at], self._all_had_memory[at] = had_cpu, had_memory
        self.load[at] = self._all_loads[at] = load = self.load[at] + asked.cpu
        if asked.disk:
            self.disk[at] = self.all_disk[at] = self.disk[at] - asked.disk
        if load == load:  # noqa: PLR0124 - only what nobody knows differs from itself
            self.busy[at] = self._all_busy[at] = load / size_cpu

    def take_all(self, nodes: Integers, counts: Integers, asked: Resources) -> None:
        """As `take`, so many times on each of those nodes."""
        self.all_cpu[nodes] -= counts * float(asked.cpu)
        self.all_memory[nodes] -= counts * float(asked.memory)
        self.all_disk[nodes] -= counts * float(asked.disk)
        self._all_loads[nodes] += counts * float(asked.cpu)
        fit = self.fit_of_run(nodes, np.zeros_like(nodes), asked, 0)
        self._all_had_cpu[nodes], self._all_had_memory[nodes] = fit.had
        self._all_busy[nodes] = fit.busy
        lists = self.cpu, self.memory, self.disk, self.load, self.busy
        arrays = self.all_cpu, self.all_memory, self.all_disk, self._all_loads, self._all_busy
        for values, found in zip(lists, arrays, strict=True):
            for at, value in zip(nodes.tolist(), found[nodes].tolist(), strict=True):
                values[at] = value
        for at, had in zip(
            nodes.tolist(), zip(*(part.tolist() for part in fit.had), strict=True), strict=True
        ):
            self.had[at] = had

    def left_on(self, at: int) -> Resources:
        """What is unpromised on one node."""
        return Resources(cpu=int(self.cpu[at]), memory=int(self.memory[at]), disk=int(self.disk[at]))

    def fit_on_all(self, asked: Resources, fleet: int) -> Fit:
        """A request on every node."""
        asks = asked.cpu / self._all_sizes_cpu, asked.memory / self._all_sizes_memory
        return Fit(asks, (self._all_had_cpu, self._all_had_memory), self._all_busy, fleet, ARRAYS)

    def fit_on_one(self, at: int, asked: Resources, fleet: int) -> Fit:
        """A request on one node."""
        size_cpu, size_memory = self.sizes[at]
        asks = asked.cpu / size_cpu, asked.memory / size_memory
        return Fit(asks, self.had[at], self.busy[at], fleet, PLAIN)

    def lacks_on_one(self, at: int, asked: Resources) -> bool:
        """The node has too little left for it."""
        return asked.cpu > self.cpu[at] or asked.memory > self.memory[at] or asked.disk > self.disk[at]

    def fit_of_run(self, nodes: Integers, numbers: Integers, asked: Resources, fleet: int) -> Fit:
        """Tasks of a run of equal ones, each on a node that has so many of them already."""
        sizes_cpu, sizes_memory = self._all_sizes_cpu[nodes], self._all_sizes_memory[nodes]
        had_cpu = (self._all_capacity_cpu[nodes] - (self.all_cpu[nodes] - numbers * asked.cpu)) / sizes_cpu
        left = self.all_memory[nodes] - numbers * float(asked.memory)
        had_memory = (self._all_capacity_memory[nodes] - left) / sizes_memory
        loads = self._all_loads[nodes]
        busy = np.where(np.isnan(loads), 1.0, (loads + numbers * asked.cpu) / sizes_cpu)
        asks = asked.cpu / sizes_cpu, asked.memory / sizes_memory
        return Fit(asks, (had_cpu, had_memory), busy, fleet, ARRAYS)

    def fits(self, asked: Resources, most: int) -> Integers:
        """How many of it there is room for on each node, at most so many."""
        pairs = (self.all_cpu, asked.cpu), (self.all_memory, asked.memory), (self.all_disk, asked.disk)
        found = np.where(self.lacks_on_all(asked), 0, most)
        for left, amount in pairs:
            if amount:
                found = np.minimum(found, (np.maximum(left, 0.0) / amount).astype(np.int64))
        return found

    def lacks_by_name(self, asked: Resources) -> Mapping[str, Mask]:
        """The nodes that have too little left of each."""
        return {
            "cpu": self.all_cpu < asked.cpu,
            "memory": self.all_memory < asked.memory,
            "disk": self.all_disk < asked.disk,
        }

    def lacks_on_all(self, asked: Resources) -> Mask:
        """The nodes that have too little left for it."""
        lacks: Mask = (self.all_cpu < asked.cpu) | (self.all_memory < asked.memory)
        return lacks | (self.all_disk < asked.disk) if asked.disk or self.is_short_of_disk else lacks


class Classes:
    """What the classes in the table ask."""

    def __init__(self) -> None:
        self.demands: list[Demand] = []
        self.scale = self._cpu = self._memory = self._disk = np.empty(0)
        self._asks_disk = False
        self._asks: dict[tuple[float, float], tuple[Floats, Floats]] = {}

    def put(self, row: int, demand: Demand) -> None:
        """The class of that row: the next one, or in place of another."""
        if row == len(self.demands):
            columns = self.scale, self._cpu, self._memory, self._disk
            self.scale, self._cpu, self._memory, self._disk = (np.append(found, 0.0) for found in columns)
        asked = demand.resources
        self.demands[row : row + 1] = [demand]
        self.scale[row] = scales(demand)[OWN]
        self._cpu[row], self._memory[row], self._disk[row] = asked.cpu, asked.memory, asked.disk
        self._asks_disk = bool(self._disk.any())
        self._asks.clear()

    def fit_on_one(self, at: int, room: Room, fleet: int) -> Fit:
        """Every class on one node."""
        asks = self._asks.get(room.sizes[at]) or self._asks_of(room.sizes[at])
        return Fit(asks, room.had[at], room.busy[at], fleet, ARRAYS)

    def lacks_on_one(self, at: int, room: Room) -> Mask:
        """The classes for which too little is left on the node."""
        lacks: Mask = (self._cpu > room.cpu[at]) | (self._memory > room.memory[at])
        return lacks | (self._disk > room.disk[at]) if self._asks_disk or room.is_short_of_disk else lacks

    def _asks_of(self, sizes: tuple[float, float]) -> tuple[Floats, Floats]:
        if len(self._asks) >= SHAPES:
            self._asks.clear()
        found = self._asks[sizes] = self._cpu / sizes[0], self._memory / sizes[1]
        return found


def _sizes(capacity: Resources) -> tuple[float, float]:
    return float(max(capacity.cpu, 1)), float(max(capacity.memory, 1))


def _both(amounts: Iterable[float]) -> tuple[list[float], Floats]:
    """As a list, which is quick for one, and as an array, which is quick for all."""
    found = [float(amount) for amount in amounts]
    return found, np.array(found)
