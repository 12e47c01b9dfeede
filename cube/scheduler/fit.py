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


def _look_up(table: Table, share: float) -> float:
    return table.values[int(min(max(share, 0.0), 1.0) * STEPS)]


PLAIN = Maths(smaller=min, look_up=_look_up)
"""For one node."""


class Fit(NamedTuple):
    """A request on a node, in shares of the node's size.

    `asks_` what the request asks, `had_` what was promised before it; `busy` the CPU that was busy before it,
    whoever asked for that. `fleet`: how many nodes there are.
    """

    asks_cpu: Number
    asks_memory: Number
    had_cpu: Number
    had_memory: Number
    busy: Number
    fleet: int
    maths: Maths

    def cpu(self) -> Number:
        """The share of its CPU that the node has promised once the task is there."""
        return self.had_cpu + self.asks_cpu

    def memory(self) -> Number:
        """The share of its memory that the node has promised once the task is there."""
        return self.had_memory + self.asks_memory


Formula = Callable[[Fit], Number]


def tight(fit: Fit) -> Number:
    """Best fit that heeds imbalance: min(u_c, u_m), u the shares that are promised once the task is there.

    With f = 1 - u, what stays free, it is the order of (f_c + f_m) + |f_c - f_m| = 2 max(f_c, f_m): the sum
    of both and what they differ by. Of the rules that were measured it needs the fewest nodes
    (docs/scheduling.md).
    """
    return fit.maths.smaller(fit.cpu(), fit.memory())


def binpack(fit: Fit) -> Number:
    """Best fit as Nomad has it, after Google's "BestFit v3": (20 - 10^(1 - u_c) - 10^(1 - u_m)) / 18.

    u are the shares that are promised once the task is there, in steps of 1/4096.
    Source: nomad/structs/funcs.go, ScoreFitBinPack.
    """
    look_up, table = fit.maths.look_up, _powers_of_the_rest(10)
    return (20.0 - (look_up(table, fit.cpu()) + look_up(table, fit.memory()))) / 18.0


def spread(fit: Fit) -> Number:
    """The emptiest node: 1 - (u_c + u_m) / 2, u the shares that are promised once the task is there.

    The mean share that stays free, as kube-scheduler's LeastAllocated has it.
    """
    return 1.0 - (fit.cpu() + fit.memory()) / 2.0


def greedy(fit: Fit) -> Number:
    """The least busy CPU: the share of it that is idle by `/proc`, less what was promised since.

    Boring's book calls the same rule greedy, with the samples of `/proc/stat`.
    """
    return 1.0 - fit.maths.smaller(fit.busy + fit.asks_cpu, 1.0)


def epvm(fit: Fit) -> Number:
    """The smallest marginal cost, as Amir and others have it (TPDS 2000): 1 / (1 + increase).

    The cost of a machine is the sum over CPU and memory of n^u, n the number of machines and u the promised
    share (here in steps of 1/4096); the increase is that cost with the task less the cost without it. Convex,
    so it spreads. The formula as Boring's book prints it has Lieb's constant for n, and the CPU's term with
    and without the task is the same there and cancels, so CPU never counts; and a node without stats, whose
    score is then missing, reads as 0 and wins, because there the lowest is best. Here neither is so.
    """
    look_up, table = fit.maths.look_up, _powers(max(fit.fleet, 2))
    before = look_up(table, fit.had_cpu) + look_up(table, fit.had_memory)
    after = look_up(table, fit.cpu()) + look_up(table, fit.memory())
    return 1.0 / (1.0 + (after - before))


@lru_cache(maxsize=8)
def _powers(base: int) -> Table:
    """base^share for each step from 0 to 1."""
    return Table(tuple(float(base) ** (step / STEPS) for step in range(STEPS + 1)))


@lru_cache(maxsize=8)
def _powers_of_the_rest(base: int) -> Table:
    """base^(1 - share) for each step from 0 to 1."""
    return Table(tuple(reversed(_powers(base).values)))
