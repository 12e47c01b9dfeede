"""What is left on each node, as arrays."""

from collections.abc import Mapping, Sequence
from math import nan

import numpy as np

from cube.model.resources import Resources
from cube.model.task import Slot
from cube.scheduler.arrays import ARRAYS, Floats, Integers, Mask, views
from cube.scheduler.fit import PLAIN, Fit
from cube.scheduler.state import Demand, NodeState, Request
from cube.scheduler.terms import fit_of

_NOTHING = Request(slot=Slot(job="", group="", index=0), demand=Demand(resources=Resources()))


class Room:
    """What is left on each node, and what share of it is promised.

    Each amount is there twice over the same memory: by itself for one node, as `all_` for all of them.
    """

    def __init__(self, nodes: Sequence[NodeState]) -> None:
        free, fits = [state.free for state in nodes], [fit_of(_NOTHING, state) for state in nodes]
        self.sizes = [_sizes(state.capacity) for state in nodes]
        numbers: dict[tuple[float, float], int] = {}
        self.shapes = [numbers.setdefault(sizes, len(numbers)) for sizes in self.sizes]
        self._capacity = [state.capacity for state in nodes]
        self.cpu, self.all_cpu = views(found.cpu for found in free)
        self.memory, self.all_memory = views(found.memory for found in free)
        self.disk, self.all_disk = views(found.disk for found in free)
        self.had_cpu, self._all_had_cpu = views(found.had[0] for found in fits)
        self.had_memory, self._all_had_memory = views(found.had[1] for found in fits)
        self.busy, self._all_busy = views(found.busy for found in fits)
        self._load, self._all_loads = views(nan if found.load is None else found.load.cpu for found in nodes)
        self._all_sizes_cpu, self._all_sizes_memory = np.array(self.sizes).reshape(-1, 2).T.copy()
        self._all_sizes_disk = np.array([float(max(found.disk, 1)) for found in self._capacity])
        self._all_capacity_cpu = np.array([float(found.cpu) for found in self._capacity])
        self._all_capacity_memory = np.array([float(found.memory) for found in self._capacity])
        self.is_short_of_disk = bool((self.all_disk < 0).any())

    def take(self, at: int, asked: Resources) -> None:
        """Promise that much more on one node."""
        (size_cpu, size_memory), capacity = self.sizes[at], self._capacity[at]
        self.cpu[at] = cpu = self.cpu[at] - asked.cpu
        self.memory[at] = memory = self.memory[at] - asked.memory
        self.had_cpu[at] = (capacity.cpu - cpu) / size_cpu
        self.had_memory[at] = (capacity.memory - memory) / size_memory
        self._load[at] = load = self._load[at] + asked.cpu
        if asked.disk:
            self.disk[at] -= asked.disk
        if load == load:  # noqa: PLR0124 - only what nobody knows differs from itself
            self.busy[at] = load / size_cpu

    def take_all(self, nodes: Integers, counts: Integers, asked: Resources) -> None:
        """As `take`, so many times on each of those nodes."""
        self.all_cpu[nodes] -= counts * float(asked.cpu)
        self.all_memory[nodes] -= counts * float(asked.memory)
        self.all_disk[nodes] -= counts * float(asked.disk)
        self._all_loads[nodes] += counts * float(asked.cpu)
        fit = self.fit_of_run(nodes, np.zeros_like(nodes), asked, 0)
        self._all_had_cpu[nodes], self._all_had_memory[nodes] = fit.had
        self._all_busy[nodes] = fit.busy

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
        return Fit(asks, (self.had_cpu[at], self.had_memory[at]), self.busy[at], fleet, PLAIN)

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

    def lacking(self, asked: Resources) -> Floats:
        """Which share of its size each node has too little, of CPU, memory and disk together."""
        sizes = self._all_sizes_cpu, self._all_sizes_memory, self._all_sizes_disk
        left = self.all_cpu, self.all_memory, self.all_disk
        pairs = zip((asked.cpu, asked.memory, asked.disk), left, sizes, strict=True)
        found: Floats = sum(
            (np.maximum(amount - free, 0.0) / size for amount, free, size in pairs), np.zeros(len(self.sizes))
        )
        return found

    def lacks_on_all(self, asked: Resources) -> Mask:
        """The nodes that have too little left for it."""
        lacks: Mask = (self.all_cpu < asked.cpu) | (self.all_memory < asked.memory)
        return lacks | (self.all_disk < asked.disk) if asked.disk or self.is_short_of_disk else lacks


def _sizes(capacity: Resources) -> tuple[float, float]:
    return float(max(capacity.cpu, 1)), float(max(capacity.memory, 1))
