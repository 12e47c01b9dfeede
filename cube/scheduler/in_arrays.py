"""A large fleet: requests are placed on a Board; decisions tell of the best few nodes and count the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from cube.model.action import Decision
from cube.model.task import Task
from cube.scheduler.algorithms import TERMS_TOLD, Algorithm, ByFormula, terms_of, why_last
from cube.scheduler.arrays import Mask
from cube.scheduler.board import Board
from cube.scheduler.filters import refusals_of
from cube.scheduler.placement import Placement
from cube.scheduler.remedy import remedies
from cube.scheduler.standing import FAR, LEAST, NOWHERE, Points
from cube.scheduler.state import Demand, NodeState, Request
from cube.scheduler.terms import WHOLE

TOLD = 5
"""Of how many nodes a decision tells the scores, and of how many the refusals."""
EACH = 100
"""Of a fleet of so many nodes it tells of each one."""


class InArrays:
    """Nodes that promise room, request by request, as Fleet says."""

    def __init__(self, scheduler: Algorithm, nodes: Sequence[NodeState], last: str = "") -> None:
        """`last`: the node that the last request before these got; empty: nobody knows."""
        self._scheduler = scheduler
        self.board = Board(scheduler, nodes, last)
        self._cell = self.board.cell
        self._nodes = list(nodes)
        self._names = [state.node.name for state in nodes]
        self._changed: set[int] = set()
        self._told = len(self._nodes) if len(self._nodes) <= EACH else TOLD
        self._stuck: dict[tuple[tuple[str, str], str | None, str | None, Demand], Placement] = {}

    @property
    def last(self) -> str:
        """As Fleet says."""
        return "" if self.board.last < 0 else self._names[self.board.last]

    def place(self, request: Request, leaving: Task | None = None) -> Placement:
        """As Fleet says. What fits nowhere is not asked for again until something has changed."""
        key = request.group, request.node, request.home, request.demand
        if leaving is None and key in self._stuck:
            return self._stuck[key]
        placed = self._place(request, leaving)
        if placed.node is not None:
            self._stuck.clear()
        elif leaving is None:
            self._stuck[key] = placed
        return placed

    def _place(self, request: Request, leaving: Task | None) -> Placement:
        at_leaving = None if leaving is None else self._cell.position(leaving.node)
        if at_leaving is not None:
            self._cell.groups.add(request.group, at_leaving, -1)
        at, decision = self.board.find(request), self.explain(request)
        if at_leaving is not None:
            self._cell.groups.add(request.group, at_leaving, 1)
        if at is None:
            return Placement(node=None, ports={}, decision=decision)
        ports = self._cell.ports(at, request.demand)
        assert ports is not None, "a candidate has passed the filter of ports"
        self.board.take(at, request)
        self._changed.add(at)
        return Placement(node=self._names[at], ports=ports, decision=decision)

    def room(self) -> Mapping[str, NodeState]:
        """As Fleet says."""
        for at in self._changed:
            self._nodes[at] = self._cell.state(at)
        self._changed.clear()
        return dict(zip(self._names, self._nodes, strict=True))

    def explain(self, request: Request) -> Decision:
        """Why the nodes can or cannot take the request now."""
        entries, refused = self.board.entries(request), self.refused(request)
        preferred = entries >= (0 if (entries >= 0).any() else LEAST)
        candidates = int(np.count_nonzero(preferred))
        scores = self._scores(request, entries, preferred, candidates)
        asked, is_last = self.asked(request), (entries >= LEAST) & ~preferred
        told = _first(entries < LEAST, self._told) if candidates else self._nearest(request, refused)
        resorts = _first(is_last, self._told)
        last = {self._names[at]: why_last(request, self._cell.nodes[at]) for at in resorts}
        refusing = [self._cell.state(at) for at in told]
        counts = {name: int(np.count_nonzero(mask)) for name, mask in refused.items()}
        return Decision(
            scores={self._names[at]: score for at, score in scores.items()},
            refusals=tuple(refusal for state in refusing for refusal in refusals_of(asked, state)),
            terms=terms_of(
                self._scheduler, asked, [self._cell.state(at) for at in islice(scores, TERMS_TOLD)]
            ),
            others=candidates - len(scores),
            refused={name: count for name, count in counts.items() if count},
            last=last,
            last_others=int(np.count_nonzero(is_last)) - len(last),
            remedies=() if candidates else remedies(asked, refusing[:TOLD]),
        )

    def refused(self, request: Request) -> Mapping[str, Mask]:
        """The nodes that each filter refuses now, by its name: all that refuse, not only the first."""
        cell, kind, fleet = self._cell, self.board.kinds.of(request.demand), len(self._names)
        found, peers = dict(cell.standing.masks(request.demand)), cell.groups.peers(request.group)
        if request.node is not None:
            found["node"] = np.arange(fleet) != cell.position(request.node)
        if request.home is not None:
            found["data"] = np.arange(fleet) != cell.position(request.home)
        if kind.is_counted:
            found["peers"] = peers.overlay(kind).points <= NOWHERE
        if kind.most is not None:
            found["max per node"] = peers.counts() >= kind.most
        return {**found, **cell.room.lacks_by_name(request.resources), **cell.extras.masks(request.demand)}

    def asked(self, request: Request) -> Request:
        """The request, knowing the fleet as it is now."""
        kind = self.board.kinds.of(request.demand)
        peers = self._cell.groups.peers(request.group)
        used = peers.overlay(kind).used() if kind.is_counted else {}
        return replace(request, fleet=len(self._names), peers=used)

    def _nearest(self, request: Request, refused: Mapping[str, Mask]) -> list[int]:
        """Where nothing fits: the nodes that the fewest filters refuse, of these those that lack least."""
        misses = np.sum(list(refused.values()), axis=0)
        lacking = self._cell.room.lacking(request.resources) + self._cell.extras.lacking(request.demand)
        return [int(at) for at in np.lexsort((lacking, misses))[: self._told]]

    def _scores(
        self, request: Request, entries: Points, preferred: Mask, candidates: int
    ) -> Mapping[int, float]:
        """Of the best few, by position, the best first."""
        few = min(candidates, self._told)
        if not isinstance(self._scheduler.rule, ByFormula):
            in_line = np.flatnonzero(preferred)
            first = self.board.whose_turn(in_line, request) if candidates else 0
            return {int(in_line[(first + turn) % candidates]): 1 - turn / candidates for turn in range(few)}
        best = {at: int(entries[at]) for at in _highest(entries, few)}
        return {at: (entry + FAR if entry < 0 else entry) / WHOLE for at, entry in best.items()}


def _first(mask: Mask, few: int) -> list[int]:
    """Where the mask is set the first few times."""
    left, found = mask.copy(), list[int]()
    while len(found) < few and left[at := int(left.argmax())]:
        found.append(at)
        left[at] = False
    return found


def _highest(entries: Points, few: int) -> list[int]:
    """Where the highest few are, the highest first, among equals in order."""
    left, found = entries.copy(), list[int]()
    for _ in range(few):
        found.append(int(left.argmax()))
        left[found[-1]] = NOWHERE
    return found
