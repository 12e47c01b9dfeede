"""Arrays of amounts, and how formulas count with them."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cube.scheduler.fit import STEPS, Maths, Table, step_below

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_STEPS = np.array(float(STEPS))


@lru_cache(maxsize=8)
def _values(table: Table) -> Floats:
    return np.array([table.function(step / STEPS) for step in range(STEPS + 1)])


def look_up(table: Table, shares: tuple[Floats, Floats]) -> tuple[Floats, Floats]:
    """The table's values at the shares, arrays without dimensions for one node's."""
    (cpu, memory), values = shares, _values(table)
    if not cpu.ndim:
        return values[step_below(cpu.item()), ...], values[step_below(memory.item()), ...]
    steps = (cpu * _STEPS).astype(np.intp), (memory * _STEPS).astype(np.intp)
    return values.take(steps[0], mode="clip"), values.take(steps[1], mode="clip")


ARRAYS = Maths(smaller=np.minimum, look_up=look_up, one=np.array(1.0), half=np.array(0.5))
"""For many nodes, or many classes, at once."""


def views(amounts: Iterable[float]) -> tuple["memoryview[float]", Floats]:
    """The amounts, quick to reach one by one, and the same ones, quick to reach all at once."""
    found = np.array([float(amount) for amount in amounts])
    return memoryview(found), found  # type: ignore[arg-type] # of floats
