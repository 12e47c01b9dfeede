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
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from cube.scheduler.algorithms import Algorithm, ByFormula, InTurn
from cube.scheduler.arrays import Classes, Floats, Integers, Mask, Room
from cube.scheduler.bulk import MOST, in_order
from cube.scheduler.filters import choose_ports
from cube.scheduler.fit import Formula
from cube.scheduler.peers import GroupName, Neighbours, Overlay, drop
from cube.scheduler.state import Demand, Load, NodeState, Request
from cube.scheduler.statics import FAR, LEAST, NOWHERE, Points, Statics
from cube.scheduler.terms import APART, OWN, SPREAD, scales

ROWS = 512
"""How many classes the table holds; one more takes the place of the oldest."""
RUN = 16
"""How many equal requests are worth being placed together."""
PATIENCE = 16
"""How many placements it takes at most to see that an algorithm packs, or that it no longer does."""
BLOCK = 1024
"""Of how many nodes it is looked up one by one which is the next in line."""
KINDS = 1 << 16
"""How many demands are remembered at all."""


@dataclass(slots=True)
class Kind:
    """What is remembered of a demand: the most points of its terms, and its row in the table, if any."""

    demand: Demand
    own: float
    apart: float
    spread: float
    most: int | None
    is_odd: bool
    has_peers: bool
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
            is_odd=_is_odd(demand),
            has_peers=bool(apart) or most is not None,
        )


class Board:
    """A fleet as it is while tasks are placed on it one by one.

    Holds to the law that it answers as the algorithm's three steps would on the same nodes.
    """

    def __init__(self, algorithm: Algorithm, nodes: Sequence[NodeState]) -> None:
        """Raises TypeError for an algorithm whose rule is neither a formula nor a turn."""
        if not isinstance(algorithm.rule, ByFormula | InTurn):
            raise TypeError("only a formula or a turn can be scored in arrays")
        self._rule = algorithm.rule
        self._nodes, self._fleet = tuple(nodes), len(nodes)
        self._position = {state.node.name: position for position, state in enumerate(nodes)}
        self._with_wishes = isinstance(algorithm.rule, ByFormula)
        self._room = Room(nodes)
        self._statics = Statics(nodes, with_wishes=self._with_wishes)
        self._ports = {at: state.ports for at, state in enumerate(nodes) if state.ports}
        self._devices = {at: state.devices for at, state in enumerate(nodes) if state.devices}
        self._where: dict[GroupName, dict[int, int]] = {}
        for at, state in enumerate(nodes):
            for group, count in state.tasks.items():
                self._where.setdefault(group, {})[at] = count
        self._neighbours: dict[tuple[GroupName, float, int | None], Neighbours] = {}
        self._overlays: dict[tuple[GroupName, Demand], Overlay] = {}
        self._watched: dict[GroupName, list[Neighbours | Overlay]] = {}
        self._kinds: dict[Demand, Kind] = {}
        self._classes = Classes()
        self._odd_rows: list[int] = []
        self._next_row = 0
        self._is_old: list[bool] = []
        self._drop_tables: dict[tuple[float, int | None], Points] = {}
        self._packs, self._last, self._stale = 0, -1, -1
        self._table: Points = np.empty((0, len(nodes)), dtype=np.int32)
        self._fixed: Points = np.empty((len(nodes), 0), dtype=np.int32)
        self._live, self._live_fixed = self._table, self._fixed

    def place(self, request: Request) -> int | None:
        """The position of the node that takes the request, which is promised its room; None: none can."""
        at = self.find(request)
        if at is not None:
            self.take(at, request)
        return at

    def place_all(self, requests: Sequence[Request]) -> list[int | None]:
        """As `place` for each in turn; equal ones that stand together are placed together."""
        runs = groupby(requests, key=lambda found: (found.group, found.demand, found.avoid, found.node))
        return [at for _, run in runs for at in self._place_run(list(run))]

    def place_many(self, request: Request, count: int) -> list[int | None]:
        """As `place` for so many requests like this one, for the slots and orders that follow it."""
        kind, rule = self._kind(request.demand), self._rule
        if count < RUN or not isinstance(rule, ByFormula) or not _is_plain(kind, request):
            return [self.place(_after(request, number)) for number in range(count)]
        placed: list[int | None] = []
        for start in range(0, count, MOST):
            placed += self._fill(kind, request.group, min(count - start, MOST), rule.formula)
        return placed

    def find(self, request: Request) -> int | None:
        """The position of the node that the three steps pick; None: none can take the request."""
        kind = self._kind(request.demand)
        row = self._row(kind)
        if request.demand.counted:
            row = np.add(row, self._overlay(kind, request.group).points)
        if request.node is not None or request.avoid:
            row = self._narrowed(row.copy(), request)
        if not kind.has_peers or request.group not in self._where:
            return self._best(row, request)
        near = self._neighbours_of(kind, request.group)
        before = row[near.positions]
        row[near.positions] = before - near.drops
        at = self._best(row, request)
        row[near.positions] = before
        return at

    def entries(self, request: Request) -> Points:
        """Every node's entry for the request: as in the table, and with what lies over it."""
        kind = self._kind(request.demand)
        row = self._narrowed(self._row(kind).copy(), request)
        if request.demand.counted:
            row += self._overlay(kind, request.group).points
        if kind.has_peers and request.group in self._where:
            near = self._neighbours_of(kind, request.group)
            row[near.positions] -= near.drops
        return row

    def refused(self, request: Request) -> Mapping[str, Mask]:
        """The nodes that each filter refuses now, by its name: every filter that refuses, not only the first.

        Of one node it is told in full by `refusals_of(board.asked(request), board.state(at))`.
        """
        kind, found = self._kind(request.demand), dict(self._statics.masks(request.demand))
        if request.node is not None:
            found["node"] = np.arange(self._fleet) != self._position.get(request.node, -1)
        if request.demand.counted:
            found["peers"] = self._overlay(kind, request.group).points <= NOWHERE
        if kind.most is not None:
            found["max per node"] = np.zeros(self._fleet, dtype=np.bool_)
            near = self._neighbours_of(kind, request.group)
            found["max per node"][near.positions[near.drops >= -NOWHERE]] = True
        return {**found, **self._room.lacks_by_name(request.resources), **self._odd_masks(request.demand)}

    def asked(self, request: Request) -> Request:
        """The request, knowing the fleet as it is now."""
        counted = request.demand.counted
        peers = self._overlay(self._kind(request.demand), request.group).used() if counted else {}
        return replace(request, fleet=self._fleet, peers=peers)

    def take(self, at: int, request: Request) -> None:
        """Promise the request's room, ports and devices on that node."""
        demand, group = request.demand, request.group
        self._room.take(at, demand.resources)
        self.recount(at, group, 1)
        if demand.ports:
            chosen = self.ports(at, demand) or {}
            self._ports[at] = self._ports.get(at, frozenset()) | frozenset(chosen.values())
        if demand.devices:
            self._devices[at] = _without(self._devices[at], demand)
        if self._classes.demands:
            self._changed(at)

    def position(self, name: str | None) -> int | None:
        """Where the node of that name stands; None: it is not here."""
        return self._position.get(name or "")

    def recount(self, at: int, group: GroupName, more: int) -> None:
        """Count so many more of the group's tasks on that node, which takes no room."""
        counts = self._where.setdefault(group, {})
        counts[at] = count = counts.get(at, 0) + more
        for watch in self._watched.get(group, ()):
            watch.put(at, count)

    def state(self, at: int) -> NodeState:
        """The node at that position as it is now."""
        state = self._nodes[at]
        promised = state.capacity - self._room.left_on(at)
        more = promised - state.promised
        return replace(
            state,
            promised=promised,
            load=state.load and Load(cpu=state.load.cpu + more.cpu, memory=state.load.memory + more.memory),
            ports=self._ports.get(at, frozenset()),
            devices=self._devices.get(at, state.devices),
            tasks={group: counts[at] for group, counts in self._where.items() if at in counts},
        )

    def ports(self, at: int, demand: Demand) -> Mapping[str, int] | None:
        """The host ports that a task would get there now; None where one is taken."""
        return choose_ports(demand.ports, self._ports.get(at, frozenset()))

    def _place_run(self, run: Sequence[Request]) -> list[int | None]:
        kind = self._kind(run[0].demand)
        if len(run) >= RUN and isinstance(self._rule, ByFormula) and _is_plain(kind, run[0]):
            return self.place_many(run[0], len(run))
        return [self.place(request) for request in run]

    def _fill(self, kind: Kind, group: GroupName, count: int, formula: Formula) -> list[int | None]:
        """The nodes that the group's next `count` tasks take."""
        asked, fixed = kind.demand.resources, self._statics.fixed(kind.demand)
        counts = np.zeros(self._fleet, dtype=np.int64)
        for at, found in self._where.get(group, {}).items():
            counts[at] = found
        drops = self._drops(kind, int(counts.max()) + count + 1)

        def score(nodes: Integers, numbers: Integers) -> Points:
            own = formula(self._room.fit_of_run(nodes, numbers, asked, self._fleet)) * kind.own
            points: Points = fixed[nodes] + own.astype(np.int32) - drops[counts[nodes] + numbers]
            return points

        fits = self._room.fits(asked, count)
        if kind.most is not None:
            fits = np.minimum(fits, np.maximum(kind.most - counts, 0))
        best = in_order(self._row(kind) - drops[counts], fits, count, score)
        self._take_all(best, kind, group)
        return [*best.tolist(), *[None] * (count - len(best))]

    def _take_all(self, best: Integers, kind: Kind, group: GroupName) -> None:
        """Promise the room of a run, whose tasks take those nodes; all rows are to be scored again."""
        nodes, taken = np.unique(best, return_counts=True)
        self._room.take_all(nodes, taken, kind.demand.resources)
        counts = self._where.setdefault(group, {})
        more = dict(zip(nodes.tolist(), taken.tolist(), strict=True))
        counts.update({at: counts.get(at, 0) + number for at, number in more.items()} if counts else more)
        for watch in self._watched.get(group, ()):
            for at in more:
                watch.put(at, counts[at])
        self._is_old = [True] * len(self._classes.demands)
        self._stale = -1

    def _drops(self, kind: Kind, size: int) -> Points:
        """What `drop` gives for 0, 1, ... tasks of the group on a node."""
        key = (kind.apart, kind.most)
        found = self._drop_tables.get(key)
        if found is None or len(found) < size:
            drops = [drop(*key, number) for number in range(2 * size)]
            found = self._drop_tables[key] = np.array(drops, dtype=np.int32)
        return found

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

    def _kind(self, demand: Demand) -> Kind:
        kind = self._kinds.get(demand)
        if kind is None:
            if len(self._kinds) >= KINDS:
                self._kinds = {found: kind for found, kind in self._kinds.items() if kind.row is not None}
            kind = self._kinds[demand] = Kind.of(demand, with_wishes=self._with_wishes)
        return kind

    def _row(self, kind: Kind) -> Points:
        """The entries of all nodes for the kind, which the table keeps once it is met a second time."""
        if kind.row is None:
            if not kind.is_met:
                kind.is_met = True
                return self._score_all(kind)
            kind.row = self._put(kind)
        row: Points = self._table[kind.row]
        if self._is_old[kind.row]:
            row[:] = self._score_all(kind)
            self._is_old[kind.row] = False
        if self._stale >= 0:
            row[self._stale] = self._entry(kind, int(self._fixed[self._stale, kind.row]))
        return row

    def _changed(self, at: int) -> None:
        """Score that node's column again: now, or once another node changes.

        An algorithm that packs takes the same node again and again. While one does, only those entries of
        that node are scored that are asked for.
        """
        if self._stale not in (-1, at):
            self._score_node(self._stale)
        self._packs += 2 if at == self._last else -1
        self._packs = min(max(self._packs, -PATIENCE), PATIENCE)
        self._last = at
        self._stale = at if self._packs > 0 else -1
        if self._stale < 0:
            self._score_node(at)

    def _put(self, kind: Kind) -> int:
        """The row of the table that is the kind's from now on."""
        at = self._next_row % ROWS
        self._next_row += 1
        if at == len(self._table) and at & (at - 1) == 0:
            self._grow(max(8, 2 * at))
        if at < len(self._classes.demands):
            self._kinds[self._classes.demands[at]].row = None
        self._classes.put(at, kind.demand)
        self._odd_rows = [row for row, found in enumerate(self._classes.demands) if _is_odd(found)]
        self._table[at] = self._score_all(kind)
        self._fixed[:, at] = self._statics.fixed(kind.demand)
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
        row = self._statics.fixed(demand)
        lacks = self._room.lacks_on_all(demand.resources)
        if isinstance(rule, ByFormula):
            own = rule.formula(self._room.fit_on_all(demand.resources, self._fleet)) * kind.own
            row = row + _points(own, lacks)
        else:
            row = np.where(lacks, NOWHERE, row)
        for lacking in self._odd_masks(demand).values():
            row[lacking] = NOWHERE
        return row

    def _score_node(self, at: int) -> None:
        """Every class on one node again."""
        classes, room, rule = self._classes, self._room, self._rule
        lacks, fixed = classes.lacks_on_one(at, room), self._live_fixed[at]
        if isinstance(rule, ByFormula):
            own = rule.formula(classes.fit_on_one(at, room, self._fleet)) * classes.scale
            self._live[:, at] = _points(own, lacks) + fixed
        else:
            self._live[:, at] = np.where(lacks, NOWHERE, fixed)
        for row in self._odd_rows:
            if self._lacks_odd(at, classes.demands[row]):
                self._table[row, at] = NOWHERE

    def _entry(self, kind: Kind, fixed: int) -> int:
        """The class on the node whose column is stale."""
        at, asked = self._stale, kind.demand.resources
        if self._room.lacks_on_one(at, asked) or (kind.is_odd and self._lacks_odd(at, kind.demand)):
            return NOWHERE
        if isinstance(self._rule, ByFormula):
            fit = self._room.fit_on_one(at, asked, self._fleet)
            return fixed + int(self._rule.formula(fit) * kind.own)
        return fixed

    def _odd_masks(self, demand: Demand) -> Mapping[str, Mask]:
        """The nodes that lack a port or a device for it, by the filter's name."""
        found: dict[str, Mask] = {}
        if demand.ports:
            found["host ports"] = np.full(self._fleet, choose_ports(demand.ports, frozenset()) is None)
            for at, taken in self._ports.items():
                found["host ports"][at] = choose_ports(demand.ports, taken) is None
        if demand.devices:
            found["devices"] = np.ones(self._fleet, dtype=np.bool_)
            for at, left in self._devices.items():
                found["devices"][at] = any(asked > left.get(kind, 0) for kind, asked in demand.devices)
        return found

    def _lacks_odd(self, at: int, demand: Demand) -> bool:
        """The node has no port or no device for it."""
        if demand.ports and self.ports(at, demand) is None:
            return True
        left = self._devices.get(at, {})
        return any(asked > left.get(kind, 0) for kind, asked in demand.devices)

    def _neighbours_of(self, kind: Kind, group: GroupName) -> Neighbours:
        key = (group, kind.apart, kind.most)
        found = self._neighbours.get(key)
        if found is None:
            found = self._neighbours[key] = Neighbours(kind.apart, kind.most, self._where.get(group, {}))
            self._watched.setdefault(group, []).append(found)
        return found

    def _overlay(self, kind: Kind, group: GroupName) -> Overlay:
        key = (group, kind.demand)
        found = self._overlays.get(key)
        if found is None:
            counts = self._where.get(group, {})
            found = self._overlays[key] = Overlay(kind.demand, self._statics, counts, kind.spread)
            self._watched.setdefault(group, []).append(found)
        return found


def _points(own: Floats, lacks: Mask) -> Points:
    """Whole points; what is lacking is set first, for where it is, the formula may say anything."""
    np.putmask(own, lacks, NOWHERE)
    return own.astype(np.int32)


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
    return not (kind.is_odd or kind.demand.counted or request.avoid or request.node)


def _after(request: Request, number: int) -> Request:
    slot = replace(request.slot, index=request.slot.index + number)
    return replace(request, slot=slot, order=request.order + number)


def _is_odd(demand: Demand) -> bool:
    """It asks for more than amounts."""
    return bool(demand.ports or demand.devices)


def _without(devices: Mapping[str, int], demand: Demand) -> Mapping[str, int]:
    taken = dict(demand.devices)
    return {kind: count - taken.get(kind, 0) for kind, count in devices.items()}
