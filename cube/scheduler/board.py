"""The scheduler for large fleets: the same nodes as the three steps give, found in arrays.

Requests with equal demands are of one class, and a placement changes one node. So a table of classes by nodes
holds what each node's score is for each class: a placement takes the highest of one row, then one column is
scored again. (Borg's equivalence classes and score caching; Verma and others, EuroSys 2015.)

An entry is the score in whole points; FAR less where the node is only a last resort; below LEAST where the
node cannot take the task. What depends on where a group's other tasks are is no part of the table: it is laid
over a row for the one request.

This module loads numpy, which takes 60 to 100 ms: it is imported where a fleet is large enough for that.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import TypeGuard

from cube.scheduler.algorithms import Algorithm, ByChance, ByFormula, InTurn, Scheduler
from cube.scheduler.arrays import Integers, takes_arrays
from cube.scheduler.bulk import RUN, Run, following
from cube.scheduler.cell import Cell
from cube.scheduler.kinds import Kind, Kinds
from cube.scheduler.lines import IN_LINE
from cube.scheduler.standing import FAR, LEAST, NOWHERE, Points
from cube.scheduler.state import NodeState, Request
from cube.scheduler.table import Table

NEAR = 4
"""So many nodes are asked one by one whether it is their turn, before all that follow are."""


def suits(scheduler: Scheduler) -> TypeGuard[Algorithm]:
    """A Board would take the same nodes: it goes by turns, by chance, or by a formula that takes arrays."""
    if not isinstance(scheduler, Algorithm):
        return False
    rule = scheduler.rule
    return isinstance(rule, InTurn | ByChance) or (isinstance(rule, ByFormula) and takes_arrays(rule.formula))


class Board:
    """A fleet as it is while tasks are placed on it one by one.

    Holds to the law that it answers as the algorithm's three steps would on the same nodes.
    """

    def __init__(self, algorithm: Algorithm, nodes: Sequence[NodeState], last: str = "") -> None:
        """`last`: the node that the last request before these got; empty: nobody knows.

        Raises TypeError for an algorithm whose rule is not Cube's own.
        """
        if not isinstance(algorithm.rule, ByFormula | InTurn | ByChance):
            raise TypeError("only a formula, a turn or a draw can be scored in arrays")
        self._rule = algorithm.rule
        self.cell = Cell(nodes, with_wishes=isinstance(algorithm.rule, ByFormula))
        at = self.cell.position(last)
        self.last = -1 if at is None else at
        self.table = Table(algorithm.rule, self.cell)
        self.kinds = Kinds(with_wishes=isinstance(algorithm.rule, ByFormula))

    def place(self, request: Request) -> int | None:
        """The position of the node that takes the request, which is promised its room; None: none can."""
        kind = self.kinds.of(request.demand)
        at = self._find(kind, request)
        if at is not None:
            self._take(at, request, kind)
        return at

    def place_all(self, requests: Sequence[Request]) -> list[int | None]:
        """As `place` for each in turn; equal ones that stand together are placed together."""
        runs = groupby(requests, key=lambda found: (found.group, found.demand, found.avoid, found.only))
        return [at for _, run in runs for at in self._place_run(list(run))]

    def place_many(self, request: Request, count: int) -> list[int | None]:
        """As `place` for so many requests like this one, for the slots and orders that follow it."""
        kind, rule = self.kinds.of(request.demand), self._rule
        if count >= RUN and isinstance(rule, ByFormula) and kind.is_plain and not _is_picky(request):
            run = Run(kind=kind, group=request.group, formula=rule.formula)
            return run.place(self.cell, self.table, count)
        return [self.place(following(request, number)) for number in range(count)]

    def find(self, request: Request) -> int | None:
        """The position of the node that the three steps pick; None: none can take the request."""
        return self._find(self.kinds.of(request.demand), request)

    def take(self, at: int, request: Request) -> None:
        """Promise the request's room, ports and devices on that node."""
        self._take(at, request, self.kinds.of(request.demand))

    def entries(self, request: Request) -> Points:
        """Every node's entry for the request: as in the table, and with what lies over it."""
        kind = self.kinds.of(request.demand)
        row = self._narrowed(self.table.row(kind).copy(), request)
        peers = self.cell.groups.peers(request.group)
        if kind.is_counted:
            row += peers.overlay(kind).points
        if kind.has_peers:
            near = peers.neighbours(kind)
            row[near.positions] -= near.drops
        return row

    def whose_turn(self, in_line: Integers, request: Request) -> int:
        """Which of those that stand in line, by their positions, comes first."""
        if isinstance(self._rule, ByChance):
            return self._rule.draw(request) % len(in_line)
        return int(in_line.searchsorted(self.last, side="right")) % len(in_line)

    def _take(self, at: int, request: Request, kind: Kind) -> None:
        self.cell.take(at, request)
        self.table.changed(at, kind)
        self.last = at

    def _find(self, kind: Kind, request: Request) -> int | None:
        row = self.table.row(kind)
        if _is_picky(request):
            row = self._narrowed(row.copy(), request)
        elif isinstance(self._rule, ByChance) and not (kind.is_counted or kind.has_peers):
            found = self.table.nth(kind, self._rule.draw(request))
            if found is not None:
                return found
        if kind.is_counted:
            row = row + self.cell.groups.peers(request.group).overlay(kind).points
        if not kind.has_peers:
            return self._best(row, request)
        near = self.cell.groups.peers(request.group).neighbours(kind)
        before = row[near.positions]
        row[near.positions] = before - near.drops
        at = self._best(row, request)
        row[near.positions] = before
        return at

    def _place_run(self, run: Sequence[Request]) -> list[int | None]:
        if len(run) >= RUN and self.kinds.of(run[0].demand).is_plain and not _is_picky(run[0]):
            return self.place_many(run[0], len(run))
        return [self.place(request) for request in run]

    def _best(self, row: Points, request: Request) -> int | None:
        if isinstance(self._rule, InTurn) and (following := self._next(row)) is not None:
            return following
        at = int(row.argmax())
        if row.item(at) < LEAST:
            return None
        if isinstance(self._rule, ByFormula):
            return at
        in_line = (row == row[at, ...]).nonzero()[0]
        return int(in_line[self.whose_turn(in_line, request)])

    def _next(self, row: Points) -> int | None:
        """The next one in line behind the last; None: there is none, and it begins anew."""
        start = self.last + 1
        for at in range(start, min(start + NEAR, len(row))):
            if row.item(at) == IN_LINE:
                return at
        rest = row[start:]
        if len(rest) and rest.item(at := int(rest.argmax())) == IN_LINE:
            return start + at
        return None

    def _narrowed(self, row: Points, request: Request) -> Points:
        """The row for a request that only one node may take, or that had rather not be on some."""
        for name in request.avoid:
            at = self.cell.position(name)
            if at is not None and row[at] >= 0:
                row[at] -= FAR
        if request.only is not None:
            at = self.cell.position(request.only)
            mine = NOWHERE if at is None else row[at]
            row[:] = NOWHERE
            if at is not None:
                row[at] = mine
        return row


def _is_picky(request: Request) -> bool:
    return request.only is not None or bool(request.avoid)
