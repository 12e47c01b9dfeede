"""The scheduler for large fleets: the same nodes as the three steps give, found in arrays.

Requests with equal demands are of one class, and a placement changes one node. So a table of classes by nodes
holds what each node's score is for each class: a placement takes the highest of one row, then one column is
scored again. (Borg's equivalence classes and score caching; Verma and others, EuroSys 2015.)

An entry is the score in whole points; FAR less where the node is only a last resort; below LEAST where the
node cannot take the task. What depends on where a group's other tasks are is no part of the table: it is laid
over a row for the one request.

This module loads numpy, which takes 60 to 100 ms: it is imported where a fleet is large enough for that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from cube.scheduler.algorithms import Algorithm, ByFormula, InTurn
from cube.scheduler.arrays import Integers, Mask, Room
from cube.scheduler.bulk import MOST, in_order
from cube.scheduler.extras import Extras
from cube.scheduler.filters import choose_ports
from cube.scheduler.fit import Formula
from cube.scheduler.peers import GroupName, Overlay, Peers
from cube.scheduler.standing import FAR, LEAST, NOWHERE, Points, Standing
from cube.scheduler.state import Demand, Load, NodeState, Request
from cube.scheduler.table import Kind, Table

RUN = 16
"""How many equal requests are worth being placed together."""
BLOCK = 1024
"""Of how many nodes it is looked up one by one which is the next in line."""


class Board:
    """A fleet as it is while tasks are placed on it one by one.

    Holds to the law that it answers as the algorithm's three steps would on the same nodes.
    """

    def __init__(self, algorithm: Algorithm, nodes: Sequence[NodeState]) -> None:
        """Raises TypeError for an algorithm whose rule is neither a formula nor a turn."""
        if not isinstance(algorithm.rule, ByFormula | InTurn):
            raise TypeError("only a formula or a turn can be scored in arrays")
        self._rule = algorithm.rule
        self._nodes = tuple(nodes)
        self._position = {state.node.name: position for position, state in enumerate(nodes)}
        self._room, self._extras = Room(nodes), Extras(nodes)
        self._standing = Standing(nodes, with_wishes=isinstance(algorithm.rule, ByFormula))
        self._peers = Peers(nodes, self._standing)
        self._table = Table(algorithm.rule, nodes, self._standing, self._room, self._extras)

    def place(self, request: Request) -> int | None:
        """The position of the node that takes the request, which is promised its room; None: none can."""
        kind = self._table.kind(request.demand)
        at = self._find(kind, request)
        if at is not None:
            self._take(at, kind, request)
        return at

    def place_all(self, requests: Sequence[Request]) -> list[int | None]:
        """As `place` for each in turn; equal ones that stand together are placed together."""
        runs = groupby(requests, key=lambda found: (found.group, found.demand, found.avoid, found.node))
        return [at for _, run in runs for at in self._place_run(list(run))]

    def place_many(self, request: Request, count: int) -> list[int | None]:
        """As `place` for so many requests like this one, for the slots and orders that follow it."""
        kind, rule = self._table.kind(request.demand), self._rule
        if count < RUN or not isinstance(rule, ByFormula) or not _is_plain(kind, request):
            return [self.place(_after(request, number)) for number in range(count)]
        placed: list[int | None] = []
        for start in range(0, count, MOST):
            placed += self._fill(kind, request.group, min(count - start, MOST), rule.formula)
        return placed

    def find(self, request: Request) -> int | None:
        """The position of the node that the three steps pick; None: none can take the request."""
        return self._find(self._table.kind(request.demand), request)

    def entries(self, request: Request) -> Points:
        """Every node's entry for the request: as in the table, and with what lies over it."""
        kind = self._table.kind(request.demand)
        row = self._narrowed(self._table.row(kind).copy(), request)
        if kind.is_counted:
            row += self._overlay(request).points
        if kind.has_peers and self._peers.has(request.group):
            near = self._peers.neighbours(request.group, kind.apart, kind.most)
            row[near.positions] -= near.drops
        return row

    def refused(self, request: Request) -> Mapping[str, Mask]:
        """The nodes that each filter refuses now, by its name: every filter that refuses, not only the first.

        Of one node it is told in full by `refusals_of(board.asked(request), board.state(at))`.
        """
        kind, found = self._table.kind(request.demand), dict(self._standing.masks(request.demand))
        if request.node is not None:
            found["node"] = np.arange(len(self._nodes)) != self._position.get(request.node, -1)
        if kind.is_counted:
            found["peers"] = self._overlay(request).points <= NOWHERE
        if kind.most is not None:
            found["max per node"] = np.zeros(len(self._nodes), dtype=np.bool_)
            near = self._peers.neighbours(request.group, kind.apart, kind.most)
            found["max per node"][near.positions[near.drops >= -NOWHERE]] = True
        return {**found, **self._room.lacks_by_name(request.resources), **self._extras.masks(request.demand)}

    def asked(self, request: Request) -> Request:
        """The request, knowing the fleet as it is now."""
        counted = request.demand.counted
        peers = self._overlay(request).used() if counted else {}
        return replace(request, fleet=len(self._nodes), peers=peers)

    def take(self, at: int, request: Request) -> None:
        """Promise the request's room, ports and devices on that node."""
        self._take(at, self._table.kind(request.demand), request)

    def position(self, name: str | None) -> int | None:
        """Where the node of that name stands; None: it is not here."""
        return self._position.get(name or "")

    def recount(self, at: int, group: GroupName, more: int) -> None:
        """Count so many more of the group's tasks on that node, which takes no room."""
        self._peers.add(group, at, more)

    def state(self, at: int) -> NodeState:
        """The node at that position as it is now."""
        state = self._nodes[at]
        promised = state.capacity - self._room.left_on(at)
        more = promised - state.promised
        return replace(
            state,
            promised=promised,
            load=state.load and Load(cpu=state.load.cpu + more.cpu, memory=state.load.memory + more.memory),
            ports=self._extras.taken(at),
            devices=self._extras.devices(at),
            tasks=self._peers.tasks(at),
        )

    def ports(self, at: int, demand: Demand) -> Mapping[str, int] | None:
        """The host ports that a task would get there now; None where one is taken."""
        return choose_ports(demand.ports, self._extras.taken(at))

    def _find(self, kind: Kind, request: Request) -> int | None:
        row = self._table.row(kind)
        if kind.is_counted:
            row = np.add(row, self._overlay(request).points)
        if request.node is not None or request.avoid:
            row = self._narrowed(row.copy(), request)
        if not kind.has_peers or not self._peers.has(request.group):
            return self._best(row, request)
        near = self._peers.neighbours(request.group, kind.apart, kind.most)
        before = row[near.positions]
        row[near.positions] = before - near.drops
        at = self._best(row, request)
        row[near.positions] = before
        return at

    def _take(self, at: int, kind: Kind, request: Request) -> None:
        demand = request.demand
        self._room.take(at, demand.resources)
        if demand.ports or demand.devices:
            self._extras.take(at, demand)
        self._peers.add(request.group, at, 1)
        self._table.changed(at, kind)

    def _place_run(self, run: Sequence[Request]) -> list[int | None]:
        kind = self._table.kind(run[0].demand)
        if len(run) >= RUN and isinstance(self._rule, ByFormula) and _is_plain(kind, run[0]):
            return self.place_many(run[0], len(run))
        return [self.place(request) for request in run]

    def _fill(self, kind: Kind, group: GroupName, count: int, formula: Formula) -> list[int | None]:
        """The nodes that the group's next `count` tasks take."""
        asked, fixed = kind.demand.resources, self._standing.fixed(kind.demand)
        counts = self._peers.counts(group)
        drops = self._peers.drops(kind.apart, kind.most, int(counts.max(initial=0)) + count + 1)

        def score(nodes: Integers, numbers: Integers) -> Points:
            own = formula(self._room.fit_of_run(nodes, numbers, asked, len(self._nodes))) * kind.own
            points: Points = fixed[nodes] + own.astype(np.int32) - drops[counts[nodes] + numbers]
            return points

        fits = self._room.fits(asked, count)
        if kind.most is not None:
            fits = np.minimum(fits, np.maximum(kind.most - counts, 0))
        best = in_order(self._table.row(kind) - drops[counts], fits, count, score)
        self._take_all(best, kind, group)
        return [*best.tolist(), *[None] * (count - len(best))]

    def _take_all(self, best: Integers, kind: Kind, group: GroupName) -> None:
        """Promise the room of a run, whose tasks take those nodes; all rows are to be scored again."""
        nodes, taken = np.unique(best, return_counts=True)
        self._room.take_all(nodes, taken, kind.demand.resources)
        self._peers.add_all(group, dict(zip(nodes.tolist(), taken.tolist(), strict=True)))
        self._table.all_changed()

    def _best(self, row: Points, request: Request) -> int | None:
        at = int(row.argmax())
        highest = row[at]
        if highest < LEAST:
            return None
        if isinstance(self._rule, ByFormula):
            return at
        in_line: Mask = row == highest
        return _nth(in_line, self._rule.first(request) % int(np.count_nonzero(in_line)))

    def _narrowed(self, row: Points, request: Request) -> Points:
        """The row for a request that belongs to one node, or had rather not be on some."""
        for name in request.avoid:
            at = self._position.get(name)
            if at is not None and row[at] >= 0:
                row[at] -= FAR
        if request.node is not None:
            at = self._position.get(request.node)
            mine = NOWHERE if at is None else row[at]
            row[:] = NOWHERE
            if at is not None:
                row[at] = mine
        return row

    def _overlay(self, request: Request) -> Overlay:
        kind = self._table.kind(request.demand)
        return self._peers.overlay(request.group, kind.demand, kind.spread)


def _nth(mask: Mask, number: int) -> int:
    """Where the mask is set for that time, counted from 0; found by halves, for counting is quick."""
    start, end = 0, len(mask)
    while end - start > BLOCK:
        middle = (start + end) // 2
        before = int(np.count_nonzero(mask[start:middle]))
        if number < before:
            end = middle
        else:
            start, number = middle, number - before
    return start + int(np.flatnonzero(mask[start:end])[number])


def _is_plain(kind: Kind, request: Request) -> bool:
    """What a node is worth to it depends on nothing that is elsewhere, nor on ports or devices."""
    return not (kind.has_extras or kind.is_counted or request.avoid or request.node)


def _after(request: Request, number: int) -> Request:
    slot = replace(request.slot, index=request.slot.index + number)
    return replace(request, slot=slot, order=request.order + number)
