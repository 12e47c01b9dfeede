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
    """What a formula needs besides arithmetic: the larger of two, and a table's value at a share 0..1."""

    larger: Callable[[Number, Number], Number]
    look_up: Callable[[Table, Number], Number]


def _look_up(table: Table, share: float) -> float:
    return table.values[int(min(max(share, 0.0), 1.0) * STEPS)]


PLAIN = Maths(larger=max, look_up=_look_up)
"""For one node."""


class Fit(NamedTuple):
    """A request on a node: what is asked, what was free before it, how large the node is, how busy.

    CPU in millicores, memory in bytes; `busy` in millicores, whoever asked for it. `fleet`: how many nodes.
    """

    cpu: Number
    memory: Number
    free_cpu: Number
    free_memory: Number
    size_cpu: Number
    size_memory: Number
    busy: Number
    fleet: int
    maths: Maths

    def cpu_left(self) -> Number:
        """The share of its CPU that the node keeps free once the task is there."""
        return (self.free_cpu - self.cpu) / self.size_cpu

    def memory_left(self) -> Number:
        """The share of its memory that the node keeps free once the task is there."""
        return (self.free_memory - self.memory) / self.size_memory


Formula = Callable[[Fit], Number]


def tight(fit: Fit) -> Number:
    """Best fit that heeds imbalance: 1 - max(f_c, f_m), f the shares that stay free.

    The same order as the sum of both and what they differ by: (f_c + f_m) + |f_c - f_m| = 2 max(f_c, f_m).
    Of the rules that were measured it needs the fewest nodes (docs/scheduling.md).
    """
    return 1.0 - fit.maths.larger(fit.cpu_left(), fit.memory_left())


def binpack(fit: Fit) -> Number:
    """Best fit as Nomad has it, after Google's "BestFit v3": (20 - 10^f_c - 10^f_m) / 18.

    f are the shares that stay free, in steps of 1/4096. Source: nomad/structs/funcs.go, ScoreFitBinPack.
    """
    look_up, table = fit.maths.look_up, _powers(10)
    return (20.0 - look_up(table, fit.cpu_left()) - look_up(table, fit.memory_left())) / 18.0


def spread(fit: Fit) -> Number:
    """The emptiest node: (f_c + f_m) / 2, f the shares that stay free; kube-scheduler's LeastAllocated."""
    return (fit.cpu_left() + fit.memory_left()) / 2.0


def greedy(fit: Fit) -> Number:
    """The least busy CPU: the share of it that is idle by `/proc`, less what was promised since.

    Boring's book calls the same rule greedy, with the samples of `/proc/stat`.
    """
    return fit.maths.larger(1.0 - (fit.busy + fit.cpu) / fit.size_cpu, 0.0)


def epvm(fit: Fit) -> Number:
    """The smallest marginal cost, as Amir and others have it (TPDS 2000): 1 / (1 + increase).

    The cost of a machine is the sum over CPU and memory of n^u, n the number of machines and u the used share
    (here in steps of 1/4096); the increase is that cost with the task less the cost without it. Convex, so it
    spreads. The formula as Boring's book prints it has Lieb's constant for n, and the CPU's term with and
    without the task is the same there and cancels, so CPU never counts; and a node without stats, whose score
    is then missing, reads as 0 and wins, because there the lowest is best. Here neither is so.
    """
    look_up, table = fit.maths.look_up, _powers(max(fit.fleet, 2))
    before_cpu = look_up(table, 1.0 - fit.free_cpu / fit.size_cpu)
    before_memory = look_up(table, 1.0 - fit.free_memory / fit.size_memory)
    after_cpu = look_up(table, 1.0 - fit.cpu_left())
    after_memory = look_up(table, 1.0 - fit.memory_left())
    return 1.0 / (1.0 + ((after_cpu - before_cpu) + (after_memory - before_memory)))


@lru_cache(maxsize=8)
def _powers(base: int) -> Table:
    """base^share for each step from 0 to 1."""
    return Table(tuple(float(base) ** (step / STEPS) for step in range(STEPS + 1)))
