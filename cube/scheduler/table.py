"""A table of classes of requests by nodes: what each node is worth to each class."""

import numpy as np

from cube.scheduler.algorithms import ByChance, ByFormula, InTurn
from cube.scheduler.arrays import Floats, Mask
from cube.scheduler.cell import Cell
from cube.scheduler.classes import Classes
from cube.scheduler.kinds import Kind
from cube.scheduler.lines import BLOCK, Lines
from cube.scheduler.standing import NOWHERE, Points

ROWS = 512
"""How many classes the table holds; one more takes the place of the oldest."""
FEW = 32
"""Of how many nodes the columns are scored again one by one; of more, the rows are, each when it is asked."""


class Table:
    """The entries of all nodes for each kind of request that was met twice, as the fleet is now."""

    def __init__(self, rule: ByFormula | InTurn | ByChance, cell: Cell) -> None:
        self._rule, self._cell, self._fleet = rule, cell, len(cell.nodes)
        self._classes = Classes()
        self._kinds: list[Kind] = []
        self._with_extras: list[int] = []
        self._is_old: list[bool] = []
        self._next_row = 0
        self._behind: set[int] = set()
        self._last, self._stale = -1, -1
        self._lines = Lines() if isinstance(rule, ByChance) and self._fleet > BLOCK else None
        self._table: Points = np.empty((0, self._fleet), dtype=np.int32)
        self._fixed: Points = np.empty((self._fleet, 0), dtype=np.int32)
        self._live, self._live_fixed = self._table, self._fixed

    def row(self, kind: Kind) -> Points:
        """The entries of all nodes for the kind, which the table keeps once it is met a second time."""
        if kind.row is None:
            if not kind.is_met:
                kind.is_met = True
                return self._score_all(kind)
            kind.row = self._put(kind)
        if self._behind:
            self._catch_up()
        row: Points = self._table[kind.row]
        if self._is_old[kind.row]:
            self._set_row(kind.row, self._score_all(kind))
            self._is_old[kind.row] = False
        if self._stale >= 0:
            row[self._stale] = self._entry(kind, self._fixed.item(self._stale, kind.row))
        return row

    def nth(self, kind: Kind, number: int) -> int | None:
        """Who of those in line has that number, as the row is now; None: nobody, or nobody has counted."""
        if self._lines is None or kind.row is None:
            return None
        return self._lines.nth(kind.row, self._table[kind.row], number)

    def changed(self, at: int, kind: Kind) -> None:
        """That node, which took one of the kind, is to be scored again: now, or once another node changes.

        An algorithm that packs takes the same node again and again. While one does, only those entries of
        that node are scored that are asked for.
        """
        if kind.has_extras:
            self._close(at)
        if kind.row is None:
            self._behind.add(at)
        elif at == self._last and self._lines is None:
            self._stale = at
        else:
            if self._stale >= 0:
                self._score_node(self._stale)
                self._stale = -1
            self._last = at
            self._score_node(at)

    def _close(self, at: int) -> None:
        """Keep those classes off the node for which it has no port or no device left."""
        for row in self._with_extras:
            if self._cell.extras.lacks(at, self._kinds[row].demand):
                self._fixed[at, row] = NOWHERE

    def _catch_up(self) -> None:
        """Score the nodes that took what is not in the table."""
        if len(self._behind) > FEW:
            self.all_changed()
        for at in self._behind:
            self._score_node(at)
        self._behind.clear()

    def all_changed(self) -> None:
        """Every row is to be scored again, when it is asked for."""
        self._is_old = [True] * len(self._kinds)
        self._stale = -1
        self._behind.clear()

    def _put(self, kind: Kind) -> int:
        """The row of the table that is the kind's from now on."""
        at = self._next_row % ROWS
        self._next_row += 1
        if at == len(self._table) and at & (at - 1) == 0:
            self._grow(max(8, 2 * at))
        if at < len(self._kinds):
            self._kinds[at].row = None
        self._kinds[at : at + 1] = [kind]
        self._classes.put(at, kind)
        self._with_extras = [row for row, found in enumerate(self._kinds) if found.has_extras]
        self._set_row(at, self._score_all(kind))
        self._fixed[:, at] = self._fixed_on_all(kind)
        size = len(self._kinds)
        self._is_old[at : at + 1] = [False]
        self._live, self._live_fixed = self._table[:size], self._fixed[:, :size]
        return at

    def _set_row(self, at: int, entries: Points) -> None:
        self._table[at] = entries
        if self._lines is not None:
            self._lines.put(at, entries)

    def _grow(self, rows: int) -> None:
        table = np.full((rows, self._fleet), NOWHERE, dtype=np.int32)
        fixed = np.zeros((self._fleet, rows), dtype=np.int32)
        table[: len(self._table)] = self._table
        fixed[:, : self._fixed.shape[1]] = self._fixed
        self._table, self._fixed = table, fixed

    def _score_all(self, kind: Kind) -> Points:
        asked, row, rule = kind.demand.resources, self._fixed_on_all(kind), self._rule
        lacks = self._cell.room.lacks_on_all(asked)
        if isinstance(rule, ByFormula):
            fit = self._cell.room.fit_on_all(asked, self._fleet)
            return row + _points(rule.formula(fit) * kind.own, lacks)
        return np.where(lacks, _NOWHERE_POINTS, row)

    def _fixed_on_all(self, kind: Kind) -> Points:
        """What no promise of room changes."""
        fixed = self._cell.standing.fixed(kind)
        if not kind.has_extras:
            return fixed
        lacking = np.any(list(self._cell.extras.masks(kind.demand).values()), axis=0)
        return np.where(lacking, _NOWHERE_POINTS, fixed)

    def _score_node(self, at: int) -> None:
        """Every class on one node again."""
        classes, room, rule = self._classes, self._cell.room, self._rule
        lacks, fixed = classes.lacks_on_one(at, room), self._live_fixed[at]
        if isinstance(rule, ByFormula):
            own = rule.formula(classes.fit_on_one(at, room, self._fleet)) * classes.scale
            np.add(_points(own, lacks), fixed, out=self._live[:, at])
        else:
            column = fixed.copy()
            np.putmask(column, lacks, _NOWHERE_POINTS)
            if self._lines is not None:
                self._lines.changed(at, self._live[:, at], column)
            self._live[:, at] = column

    def _entry(self, kind: Kind, fixed: int) -> int:
        """The class on the node whose column is stale."""
        at, asked, room = self._stale, kind.demand.resources, self._cell.room
        if room.lacks_on_one(at, asked):
            return NOWHERE
        if isinstance(self._rule, ByFormula):
            return fixed + int(self._rule.formula(room.fit_on_one(at, asked, self._fleet)) * kind.own)
        return fixed


_NOWHERE_POINTS, _NOWHERE_SHARE = np.array(NOWHERE, dtype=np.int32), np.array(float(NOWHERE))


def _points(own: Floats, lacks: Mask) -> Points:
    """Whole points; what is lacking is set first, for where it is, the formula may say anything."""
    np.putmask(own, lacks, _NOWHERE_SHARE)
    return own.astype(np.int32)
