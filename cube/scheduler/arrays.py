"""Arrays of amounts, and how formulas count with them."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from cube.scheduler.fit import PLAIN, STEPS, Fit, Formula, Maths, Table, step_below

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


def _within(numbers: Floats) -> Floats:
    return np.fmin(np.fmax(numbers, 0.0), 1.0)  # Of a number and NaN both take the number.


ARRAYS = Maths(smaller=np.minimum, look_up=look_up, one=np.array(1.0), half=np.array(0.5), within=_within)
"""For many nodes, or many classes, at once."""


def takes_arrays(formula: Formula) -> bool:
    """It answers of two nodes at once what it answers of each: somebody else's may be plain Python."""
    one = Fit((0.1, 0.3), (0.2, 0.15), 0.6, 2, PLAIN)
    other = Fit((0.7, 0.2), (0.1, 0.6), 0.35, 2, PLAIN)
    asks, had, busy = (np.array(each).T for each in zip(one[:3], other[:3], strict=True))
    try:
        found = formula(Fit(tuple(asks), tuple(had), busy, 2, ARRAYS))
        return bool(found.tolist() == [formula(one), formula(other)])
    except Exception:  # noqa: BLE001 - nobody knows what a formula of somebody else's raises
        return False


def views(amounts: Iterable[float]) -> tuple["memoryview[float]", Floats]:
    """The amounts, quick to reach one by one, and the same ones, quick to reach all at once."""
    found = np.array([float(amount) for amount in amounts])
    return memoryview(found), found  # type: ignore[arg-type] # of floats
