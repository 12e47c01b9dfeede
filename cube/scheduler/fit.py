"""Formulas: how well a task suits a node, as a number from 0 to 1.

A formula is written once, in `+ - * /` and the two functions of its Maths. So it takes one task and one node,
or one task and all nodes, or all classes of tasks and one node, and gives the same bits each time: these
operations are exact to the last bit wherever they are carried out, powers and logarithms are not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

Number = Any
"""A float, or an array of floats: numpy is loaded only where a fleet is large."""

STEPS = 4096
"""Into how many steps of a node's size a power is cut: so its table is the same for one node and for many."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A function's values for each step from 0 to 1. Tables are told apart by what they are, not hold."""

    values: tuple[float, ...]


class Maths(NamedTuple):
    """What a formula needs besides arithmetic: the smaller of two, and a table's value at a share 0..1."""

    smaller: Callable[[Number, Number], Number]
    look_up: Callable[[Table, Number], Number]


def look_up_one(table: Table, share: float) -> float:
    """The table's value at the share; shares beyond 0 and 1 are those."""
    return table.values[int(min(max(share, 0.0), 1.0) * STEPS)]


PLAIN = Maths(smaller=min, look_up=look_up_one)
"""For one node."""


class Fit(NamedTuple):
    """A request on a node, in shares of the node's size; a pair is CPU and memory.

    `asks`: what the request asks. `had`: what was promised before it. `busy`: the CPU that was busy before,
    whoever asked for that. `fleet`: how many nodes there are.
    """

    asks: tuple[Number, Number]
    had: tuple[Number, Number]
    busy: Number
    fleet: int
    maths: Maths

    def used(self) -> tuple[Number, Number]:
        """What is promised once the task is there."""
        (cpu, memory), (had_cpu, had_memory) = self.asks, self.had
        return had_cpu + cpu, had_memory + memory


Formula = Callable[[Fit], Number]


def tight(fit: Fit) -> Number:
    """Best fit that heeds imbalance: min(u_c, u_m), u the shares that are promised once the task is there.

    With f = 1 - u, what stays free, it is the order of (f_c + f_m) + |f_c - f_m| = 2 max(f_c, f_m): the sum
    of both and what they differ by. Of the rules that were measured it needs the fewest nodes
    (docs/scheduling.md).
    """
    cpu, memory = fit.used()
    return fit.maths.smaller(cpu, memory)


def binpack(fit: Fit) -> Number:
    """Best fit as Nomad has it, after Google's "BestFit v3": (20 - 10^(1 - u_c) - 10^(1 - u_m)) / 18.

    u are the shares that are promised once the task is there, in steps of 1/4096.
    Source: nomad/structs/funcs.go, ScoreFitBinPack.
    """
    look_up, (cpu, memory) = fit.maths.look_up, fit.used()
    return look_up(_NOMAD, cpu) + look_up(_NOMAD, memory)


def spread(fit: Fit) -> Number:
    """The emptiest node: 1 - (u_c + u_m) / 2, u the shares that are promised once the task is there.

    The mean share that stays free, as kube-scheduler's LeastAllocated has it.
    """
    cpu, memory = fit.used()
    return 1.0 - (cpu + memory) / 2.0


def greedy(fit: Fit) -> Number:
    """The least busy CPU: the share of it that is idle by `/proc`, less what was promised since.

    Boring's book calls the same rule greedy, with the samples of `/proc/stat`.
    """
    return 1.0 - fit.maths.smaller(fit.busy + fit.asks[0], 1.0)


def epvm(fit: Fit) -> Number:
    """The smallest marginal cost, as Amir and others have it (TPDS 2000): 1 / (1 + increase).

    The cost of a machine is the sum over CPU and memory of n^u, n the number of machines and u the promised
    share (here in steps of 1/4096); the increase is that cost with the task less the cost without it. Convex,
    so it spreads. The formula as Boring's book prints it has Lieb's constant for n, and the CPU's term with
    and without the task is the same there and cancels, so CPU never counts; and a node without stats, whose
    score is then missing, reads as 0 and wins, because there the lowest is best. Here neither is so.
    """
    look_up, table = fit.maths.look_up, _powers(max(fit.fleet, 2))
    (cpu, memory), (cpu_before, memory_before) = fit.used(), fit.had
    rest = 1.0 - (look_up(table, cpu_before) + look_up(table, memory_before))
    return 1.0 / (look_up(table, cpu) + look_up(table, memory) + rest)


@lru_cache(maxsize=8)
def _powers(base: int) -> Table:
    """base^share for each step from 0 to 1."""
    return Table(tuple(float(base) ** (step / STEPS) for step in range(STEPS + 1)))


_NOMAD = Table(tuple((10.0 - 10.0 ** (1.0 - step / STEPS)) / 18.0 for step in range(STEPS + 1)))
"""What one resource gives to BestFit v3: (10 - 10^(1 - u)) / 18."""
