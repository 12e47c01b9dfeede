"""What the classes of requests in the table ask, as arrays."""

import numpy as np

from cube.scheduler.arrays import ARRAYS, Floats, Mask, look_up, views
from cube.scheduler.fit import Fit, Table
from cube.scheduler.kinds import Kind
from cube.scheduler.room import Room

SHAPES = 4096
"""For how many sizes of nodes it is remembered what shares of them the classes ask."""


class Asked:
    """What the classes ask of nodes of one size, in shares of it, and what tables say of that."""

    def __init__(self, shares: tuple[Floats, Floats], had: tuple[Floats, Floats], busy: Floats) -> None:
        """`had` and `busy` are those of whichever node of that size is looked at."""
        self._shares, self._had, self._busy = shares, had, busy
        self._maths = ARRAYS._replace(look_up=self._look_up)
        self._known: dict[Table, tuple[Floats, Floats]] = {}

    def fit(self, fleet: int) -> Fit:
        """Every class on the node that is looked at."""
        return Fit(self._shares, self._had, self._busy, fleet, self._maths)

    def _look_up(self, table: Table, shares: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
        """What the classes ask is looked up once, what a node has each time."""
        if shares is not self._shares:
            return look_up(table, shares)
        found = self._known.get(table)
        if found is None:
            found = self._known[table] = look_up(table, shares)
        return found


class Classes:
    """What the classes in the table ask."""

    def __init__(self) -> None:
        self.scale = self._cpu = self._memory = self._disk = np.empty(0)
        self._asks_disk = False
        self._fits: dict[int, Fit] = {}
        # Arrays without dimensions: numpy takes them in half the time that it takes for Python's floats.
        self._one, one = views([0.0] * 5)
        had_cpu, had_memory, self._busy, cpu, memory = (one[part : part + 1].reshape(()) for part in range(5))
        self._had, self._left = (had_cpu, had_memory), (cpu, memory)

    def put(self, row: int, kind: Kind) -> None:
        """The class of that row: the next one, or in place of another."""
        if row == len(self.scale):
            columns = self.scale, self._cpu, self._memory, self._disk
            self.scale, self._cpu, self._memory, self._disk = (np.append(found, 0.0) for found in columns)
        asked = kind.demand.resources
        self.scale[row] = kind.own
        self._cpu[row], self._memory[row], self._disk[row] = asked.cpu, asked.memory, asked.disk
        self._asks_disk = bool(self._disk.any())
        self._fits.clear()

    def fit_on_one(self, at: int, room: Room, fleet: int) -> Fit:
        """Every class on one node. It holds until the next is asked for."""
        one, shape = self._one, room.shapes[at]
        one[0], one[1], one[2] = room.had_cpu[at], room.had_memory[at], room.busy[at]
        return self._fits.get(shape) or self._fit_of(shape, room.sizes[at], fleet)

    def lacks_on_one(self, at: int, room: Room) -> Mask:
        """The classes for which too little is left on the node."""
        one, (cpu, memory) = self._one, self._left
        one[3], one[4] = room.cpu[at], room.memory[at]
        lacks: Mask = (self._cpu > cpu) | (self._memory > memory)
        return lacks | (self._disk > room.disk[at]) if self._asks_disk or room.is_short_of_disk else lacks

    def _fit_of(self, shape: int, sizes: tuple[float, float], fleet: int) -> Fit:
        if len(self._fits) >= SHAPES:
            self._fits.clear()
        shares = self._cpu / sizes[0], self._memory / sizes[1]
        found = self._fits[shape] = Asked(shares, self._had, self._busy).fit(fleet)
        return found
