"""A table of classes of requests by nodes: what each node is worth to each class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cube.scheduler.algorithms import ByFormula, InTurn
from cube.scheduler.arrays import Classes, Floats, Mask, Room
from cube.scheduler.extras import Extras
from cube.scheduler.standing import NOWHERE, Points, Standing
from cube.scheduler.state import Demand, NodeState
from cube.scheduler.terms import APART, OWN, SPREAD, scales

ROWS = 512
"""How many classes the table holds; one more takes the place of the oldest."""
KINDS = 1 << 16
"""How many demands are remembered at all."""
FEW = 32
"""Of how many nodes the columns are scored again one by one; of more, the rows are, each when it is asked."""
PATIENCE = 16
"""How many placements it takes at most to see that an algorithm packs, or that it no longer does."""


@dataclass(slots=True)
class Kind:
    """What is remembered of a demand: the most points of its terms, and its row in the table, if any."""

    demand: Demand
    own: float
    apart: float
    spread: float
    most: int | None
    has_extras: bool
    has_peers: bool
    is_counted: bool
    row: int | None = None
    is_met: bool = False

    @classmethod
    def of(cls, demand: Demand, *, with_wishes: bool) -> "Kind":
        """`with_wishes`: the algorithm heeds them."""
        points = scales(demand) if with_wishes else {}
        apart, most = points.get(APART, 0.0), demand.most_on_one_node
        return cls(
            demand=demand,
            own=points.get(OWN, 0.0),
            apart=apart,
            spread=points.get(SPREAD, 0.0),
            most=most,
            has_extras=bool(demand.ports or demand.devices),
            has_peers=bool(apart) or most is not None,
            is_counted=bool(demand.counted),
        )


class Table:
    """The entries of all nodes for each kind of request that was met twice, as the fleet is now."""

    def __init__(
        self,
        rule: ByFormula | InTurn,
        nodes: Sequence[NodeState],
        standing: Standing,
        room: Room,
        extras: Extras,
    ) -> None:
        self._rule, self._standing, self._room, self._extras = rule, standing, room, extras
        self._fleet = len(nodes)
        self._kinds: dict[Demand, Kind] = {}
        self._classes = Classes()
        self._with_extras: list[int] = []
        self._is_old: list[bool] = []
        self._next_row = 0
        self._behind: set[int] = set()
        self._packs, self._last, self._stale = 0, -1, -1
        self._table: Points = np.empty((0, len(nodes)), dtype=np.int32)
        self._fixed: Points = np.empty((len(nodes), 0), dtype=np.int32)
        self._live, self._live_fixed = self._table, self._fixed

    def kind(self, demand: Demand) -> Kind:
        """What is remembered of the demand."""
        kind = self._kinds.get(demand)
        if kind is None:
            if len(self._kinds) >= KINDS:
                self._kinds = {found: kind for found, kind in self._kinds.items() if kind.row is not None}
            kind = self._kinds[demand] = Kind.of(demand, with_wishes=isinstance(self._rule, ByFormula))
        return kind

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
            row[:] = self._score_all(kind)
            self._is_old[kind.row] = False
        if self._stale >= 0:
            row[self._stale] = self._entry(kind, int(self._fixed[self._stale, kind.row]))
        return row

    def changed(self, at: int, kind: Kind) -> None:
        """That node, which took one of the kind, is to be scored again: now, or once another node changes.

        An algorithm that packs takes the same node again and again. While one does, only those entries of
        that node are scored that are asked for.
        """
        if kind.row is None:
            self._behind.add(at)
            return
        if self._stale not in (-1, at):
            self._score_node(self._stale)
        self._packs += 2 if at == self._last else -1
        self._packs = min(max(self._packs, -PATIENCE), PATIENCE)
        self._last = at
        self._stale = at if self._packs > 0 else -1
        if self._stale < 0:
            self._score_node(at)

    def _catch_up(self) -> None:
        """Score the nodes that took what is not in the table."""
        if len(self._behind) > FEW:
            self.all_changed()
        for at in self._behind:
            self._score_node(at)
        self._behind.clear()

    def all_changed(self) -> None:
        """Every row is to be scored again, when it is asked for."""
        self._is_old = [True] * len(self._classes.demands)
        self._stale = -1
        self._behind.clear()

    def _put(self, kind: Kind) -> int:
        """The row of the table that is the kind's from now on."""
        at = self._next_row % ROWS
        self._next_row += 1
        if at == len(self._table) and at & (at - 1) == 0:
            self._grow(max(8, 2 * at))
        if at < len(self._classes.demands):
            self._kinds[self._classes.demands[at]].row = None
        self._classes.put(at, kind.demand)
        self._with_extras = [
            row for row, found in enumerate(self._classes.demands) if found.ports or found.devices
        ]
        self._table[at] = self._score_all(kind)
        self._fixed[:, at] = self._standing.fixed(kind.demand)
        size = len(self._classes.demands)
        self._is_old[at : at + 1] = [False]
        self._live, self._live_fixed = self._table[:size], self._fixed[:, :size]
        return at

    def _grow(self, rows: int) -> None:
        table = np.full((rows, self._fleet), NOWHERE, dtype=np.int32)
        fixed = np.zeros((self._fleet, rows), dtype=np.int32)
        table[: len(self._table)] = self._table
        fixed[:, : self._fixed.shape[1]] = self._fixed
        self._table, self._fixed = table, fixed

    def _score_all(self, kind: Kind) -> Points:
        demand, rule = kind.demand, self._rule
        row = self._standing.fixed(demand)
        lacks = self._room.lacks_on_all(demand.resources)
        if isinstance(rule, ByFormula):
            own = rule.formula(self._room.fit_on_all(demand.resources, self._fleet)) * kind.own
            row = row + _points(own, lacks)
        else:
            row = np.where(lacks, NOWHERE, row)
        for lacking in self._extras.masks(demand).values():
            row[lacking] = NOWHERE
        return row

    def _score_node(self, at: int) -> None:
        """Every class on one node again."""
        classes, room, rule = self._classes, self._room, self._rule
        lacks, column = classes.lacks_on_one(at, room), self._live_fixed[at]
        if isinstance(rule, ByFormula):
            own = rule.formula(classes.fit_on_one(at, room, self._fleet)) * classes.scale
            column = _points(own, lacks) + column
        else:
            column = column.copy()
            np.putmask(column, lacks, NOWHERE)
        self._live[:, at] = column
        for row in self._with_extras:
            if self._extras.lacks(at, classes.demands[row]):
                self._table[row, at] = NOWHERE

    def _entry(self, kind: Kind, fixed: int) -> int:
        """The class on the node whose column is stale."""
        at, asked = self._stale, kind.demand.resources
        if self._room.lacks_on_one(at, asked) or (kind.has_extras and self._extras.lacks(at, kind.demand)):
            return NOWHERE
        if isinstance(self._rule, ByFormula):
            fit = self._room.fit_on_one(at, asked, self._fleet)
            return fixed + int(self._rule.formula(fit) * kind.own)
        return fixed


def _points(own: Floats, lacks: Mask) -> Points:
    """Whole points; what is lacking is set first, for where it is, the formula may say anything."""
    np.putmask(own, lacks, NOWHERE)
    return own.astype(np.int32)
