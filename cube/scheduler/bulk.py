"""Many equal tasks at once, on the very nodes that they would take one by one.

Node j is worth s_j(0), s_j(1), ... to its first, second, ... task of a run. One by one, the highest of all
nodes' next values is taken each time. A value that stands behind a lower one of its own node waits for that
one and then goes at once, for it is higher than all that wait elsewhere. So the tasks go in the order of
m_j(i) = min(s_j(0), ..., s_j(i)), among equals by node, then by i: the r first of that order are the answer,
whatever the algorithm is. Only as much of each list is made as is needed to know them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cube.scheduler.arrays import Integers
from cube.scheduler.cell import Cell
from cube.scheduler.fit import Formula
from cube.scheduler.kinds import Kind
from cube.scheduler.peers import GroupName, drops
from cube.scheduler.standing import LEAST, Points
from cube.scheduler.state import Request
from cube.scheduler.table import Table

RUN = 16
"""How many equal requests are worth being placed together."""

Score = Callable[[Integers, Integers], Points]
"""The entries of nodes, by position, for the task of that number in the run, counted from 0."""

MOST = 10_000
"""How many tasks are ordered at once."""

_BITS = 33
"""Of a key: a node's position and a task's number; the entry stands above them."""
_CEILING = 1 << 29
"""More than any entry."""


def following(request: Request, number: int) -> Request:
    """The request that comes that many after this one in a run."""
    slot = replace(request.slot, index=request.slot.index + number)
    return replace(request, slot=slot, order=request.order + number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Equal tasks of one group that are to be placed, of a plain kind, by a formula."""

    kind: Kind
    group: GroupName
    formula: Formula

    def place(self, cell: Cell, table: Table, count: int) -> list[int | None]:
        """The positions of the nodes that so many take, which are promised their room; None: no room."""
        placed: list[int | None] = []
        for start in range(0, count, MOST):
            wanted = min(count - start, MOST)
            best = self._best(cell, table, wanted)
            self._take(cell, best)
            table.all_changed()
            placed += [*best.tolist(), *[None] * (wanted - len(best))]
        return placed

    def _best(self, cell: Cell, table: Table, count: int) -> Integers:
        kind, fixed = self.kind, cell.standing.fixed(self.kind)
        counts = cell.groups.peers(self.group).counts()
        lower = drops(kind.apart, kind.most, int(counts.max(initial=0)) + count + 1)

        def score(nodes: Integers, numbers: Integers) -> Points:
            fit = cell.room.fit_of_run(nodes, numbers, kind.demand.resources, len(cell.nodes))
            own = self.formula(fit) * kind.own
            points: Points = fixed[nodes] + own.astype(np.int32) - lower[counts[nodes] + numbers]
            return points

        fits = cell.room.fits(kind.demand.resources, count)
        if kind.most is not None:
            fits = np.minimum(fits, np.maximum(kind.most - counts, 0))
        return in_order(table.row(kind) - lower[counts], fits, count, score)

    def _take(self, cell: Cell, best: Integers) -> None:
        nodes, taken = np.unique(best, return_counts=True)
        cell.room.take_all(nodes, taken, self.kind.demand.resources)
        cell.groups.add_run(self.group, dict(zip(nodes.tolist(), taken.tolist(), strict=True)))


def in_order(first: Points, fits: Integers, count: int, score: Score) -> Integers:
    """The positions of the nodes that the next `count` tasks take, in their order; fewer where no more fit.

    `first`: every node's entry for the first task. `fits`: how many tasks there is room for on each.
    `count` is at most MOST, the nodes not more than 800,000.
    """
    fits = np.where(first >= LEAST, np.minimum(fits, count), 0)
    depth, lowest = np.minimum(fits, 1), first.astype(np.int64)
    nodes = np.flatnonzero(depth)
    keys = _keys(lowest[nodes], nodes, np.zeros_like(nodes))
    best = _first(keys, count)
    wanted = _wholly(best, fits, count)
    while True:
        deeper = np.flatnonzero(wanted > depth)
        if len(deeper):
            more = _deepened(deeper, depth, wanted, lowest, score)
            keys = np.concatenate((keys, more))
            best = _first(keys, count)
        taken = np.bincount(best, minlength=len(fits))
        wanted = np.where(taken == depth, np.minimum(2 * depth, fits), depth)
        if not (wanted > depth).any():
            return best


def _wholly(best: Integers, fits: Integers, count: int) -> Integers:
    """How far to look first: at all that fit on the first few nodes, for a packing algorithm fills them."""
    wanted = np.minimum(fits, 1)
    ahead = np.cumsum(fits[best]) - fits[best]
    heads = best[ahead < count]
    wanted[heads] = fits[heads]
    return wanted


def _deepened(nodes: Integers, depth: Integers, wanted: Integers, lowest: Integers, score: Score) -> Integers:
    """The keys of those nodes' next tasks; `depth` and `lowest` are moved on."""
    steps = np.arange(int((wanted[nodes] - depth[nodes]).max()))
    numbers = depth[nodes][:, None] + steps
    is_wanted = numbers < wanted[nodes][:, None]
    positions = np.broadcast_to(nodes[:, None], numbers.shape)[is_wanted]
    entries = np.full(numbers.shape, _CEILING, dtype=np.int64)
    entries[is_wanted] = score(positions, numbers[is_wanted])
    entries[:, 0] = np.minimum(entries[:, 0], lowest[nodes])
    entries = np.minimum.accumulate(entries, axis=1)
    lowest[nodes], depth[nodes] = entries[:, -1], wanted[nodes]
    return _keys(entries[is_wanted], positions, numbers[is_wanted])


def _keys(entries: Integers, nodes: Integers, numbers: Integers) -> Integers:
    """Keys that sort by the entry, the highest first, then by node, then by number."""
    return ((_CEILING - entries) << _BITS) + nodes * MOST + numbers


def _first(keys: Integers, count: int) -> Integers:
    """The nodes of the first so many keys, in order."""
    if len(keys) > count:
        keys = np.partition(keys, count - 1)[:count]
    return (np.sort(keys) & ((1 << _BITS) - 1)) // MOST
