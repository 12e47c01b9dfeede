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

STEPS = 1 << 16
"""Into how many steps of a node's size a power is cut: so it is the same for one node and for many."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A function of a share, of which only its values at each step from 0 to 1 are asked.

    Tables are told apart by what they are, not by what they hold.
    """

    function: Callable[[float], float]


Pair = tuple[Number, Number]
"""Of CPU and of memory."""


class Maths(NamedTuple):
    """What a formula needs besides arithmetic: the smaller of two, and a table's values at two shares 0..1.

    `one` and `half` are those numbers in the form that is the quickest here. `within` holds a number to 0..1,
    and takes what is no number for 0.
    """

    smaller: Callable[[Number, Number], Number]
    look_up: Callable[[Table, Pair], Pair]
    one: Number
    half: Number
    within: Callable[[Number], Number]


def step_below(share: float) -> int:
    """The number of the step; shares beyond 0 and 1 are those."""
    within = share if 0.0 <= share <= 1.0 else min(max(share, 0.0), 1.0)
    return int(within * STEPS)


def _look_up(table: Table, shares: Pair) -> Pair:
    cpu, memory = shares
    return table.function(step_below(cpu) / STEPS), table.function(step_below(memory) / STEPS)


def _within(number: float) -> float:
    return min(1.0, max(0.0, number))  # NaN is not larger than 0.


PLAIN = Maths(smaller=min, look_up=_look_up, one=1.0, half=0.5, within=_within)
"""For one node."""


class Fit(NamedTuple):
    """A request on a node, in shares of the node's size; a pair is CPU and memory.

    `asks`: what the request asks. `had`: what was promised before it. `busy`: the CPU that was busy before,
    whoever asked for that. `fleet`: how many nodes there are.
    """

    asks: Pair
    had: Pair
    busy: Number
    fleet: int
    maths: Maths

    def used(self) -> Pair:
        """What is promised once the task is there."""
        (cpu, memory), (had_cpu, had_memory) = self.asks, self.had
        return had_cpu + cpu, had_memory + memory


Formula = Callable[[Fit], Number]


def held(formula: Formula) -> Formula:
    """The formula held to 0..1, whatever it answers; what is no number is 0."""
    return lambda fit: fit.maths.within(formula(fit))


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

    u are the shares that are promised once the task is there; 10^(1 - u) is made of 10^(1 - what was
    promised) and 10^-(what is asked), each share in steps. Source: nomad/structs/funcs.go, ScoreFitBinPack.
    """
    free_cpu, free_memory = fit.maths.look_up(_NOMAD_FREE, fit.had)
    less_cpu, less_memory = fit.maths.look_up(_NOMAD_LESS, fit.asks)
    return 20.0 / 18.0 - (free_cpu * less_cpu + free_memory * less_memory)


def spread(fit: Fit) -> Number:
    """The emptiest node: 1 - (u_c + u_m) / 2, u the shares that are promised once the task is there.

    The mean share that stays free, as kube-scheduler's LeastAllocated has it.
    """
    cpu, memory = fit.used()
    return fit.maths.one - (cpu + memory) * fit.maths.half


def greedy(fit: Fit) -> Number:
    """The least busy CPU: what the load average of the last minute leaves, less what was promised since.

    Boring's book calls the same rule greedy, with two samples of `/proc/stat`. A sweep looks once, and in
    that one look the load average tells of a minute.
    """
    one = fit.maths.one
    return one - fit.maths.smaller(fit.busy + fit.asks[0], one)


def epvm(fit: Fit) -> Number:
    """The smallest marginal cost, as Amir and others have it (TPDS 2000): 1 / (1 + increase).

    The cost of a machine is the sum over CPU and memory of n^u, n the number of machines and u the promised
    share; the increase is that cost with the task less the cost without it, n^had (n^asks - 1), each share
    in steps. Convex, so it spreads. The formula as Boring's book prints it has Lieb's constant for n, and
    the CPU's term with and without the task is the same there and cancels, so CPU never counts; and a node
    without stats, whose score is then missing, reads as 0 and wins, because there the lowest is best. Here
    neither is so.
    """
    (cost, growth), one = _costs(max(fit.fleet, 2)), fit.maths.one
    cost_cpu, cost_memory = fit.maths.look_up(cost, fit.had)
    more_cpu, more_memory = fit.maths.look_up(growth, fit.asks)
    return one / (one + (cost_cpu * more_cpu + cost_memory * more_memory))


@lru_cache(maxsize=8)
def _costs(base: int) -> tuple[Table, Table]:
    """base^share, and by how much that is more than 1."""
    power = float(base).__pow__
    return Table(power), Table(lambda share: power(share) - 1.0)


_NOMAD_FREE = Table(lambda promised: 10.0 ** (1.0 - promised) / 18.0)
_NOMAD_LESS = Table(lambda asked: 10.0**-asked)
