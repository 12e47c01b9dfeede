"""A fleet on which one request after another is placed: node by node where it is small, else in arrays."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cube.model.task import Task
from cube.scheduler.algorithms import ByFormula, Scheduler, place
from cube.scheduler.filters import choose_ports
from cube.scheduler.placement import Fleet, Placement
from cube.scheduler.state import Demand, NodeState, Request

WORTHWHILE = 10_000
"""From so many pairs of a request and a node on, arrays are quicker than to ask each node for each request.

They cost 0.1 s once, for the import of numpy; a pair costs some 10 microseconds without them.
"""
WORTHWHILE_AGAIN = 1_000
"""The same where numpy has been loaded already."""
MANY = 10_000
"""From so many pairs of a node and a request whose order is free, it is tried which order packs best."""
SMALL = 20
"""So few nodes are asked one by one however many requests there are: arrays would not be quicker."""


def fleet_of(scheduler: Scheduler, nodes: Mapping[str, NodeState], requests: int, last: str = "") -> Fleet:
    """The nodes, for so many requests. Whatever it is, the same nodes are taken.

    `last`: the node that the last request before these got; empty: nobody knows.
    """
    worthwhile = WORTHWHILE_AGAIN if "numpy" in sys.modules else WORTHWHILE
    if len(nodes) <= SMALL or len(nodes) * requests < worthwhile:
        return NodeByNode(scheduler, nodes, last)
    from cube.scheduler.board import suits  # noqa: PLC0415 - it loads numpy
    from cube.scheduler.in_arrays import InArrays  # noqa: PLC0415 - as above

    if suits(scheduler):
        return InArrays(scheduler, tuple(nodes.values()), last)
    return NodeByNode(scheduler, nodes, last)


def order_of(
    scheduler: Scheduler, nodes: Mapping[str, NodeState], requests: Sequence[Request]
) -> Sequence[int]:
    """The requests' positions in the order in which they are placed best; as they stand if they are few."""
    as_they_stand = range(len(requests))
    if len(nodes) * len(requests) < MANY:
        return as_they_stand
    from cube.scheduler.batch import best_order  # noqa: PLC0415 - it loads numpy
    from cube.scheduler.board import suits  # noqa: PLC0415 - as above

    if suits(scheduler) and isinstance(scheduler.rule, ByFormula):
        return best_order(scheduler, tuple(nodes.values()), requests)
    return as_they_stand


def make_ready(nodes: int, requests: int) -> None:
    """So many requests are to be placed, in parts: load numpy where all of them together are worth it."""
    if nodes * requests >= WORTHWHILE:
        from cube.scheduler import in_arrays  # noqa: F401, PLC0415 - it loads numpy


class NodeByNode:
    """A small fleet: every node is asked for each request, and the decision tells of all of them."""

    def __init__(self, scheduler: Scheduler, nodes: Mapping[str, NodeState], last: str = "") -> None:
        """`last` as `fleet_of` has it."""
        self._scheduler, self.last = scheduler, last
        self._nodes = dict(nodes)
        self._refused: dict[tuple[tuple[str, str], str | None, str | None, Demand], Placement] = {}

    def place(self, request: Request, leaving: Task | None = None) -> Placement:
        """As Fleet says. What fits nowhere is not asked for again until something has changed."""
        if leaving is not None:
            return self._place(request, leaving)
        key = request.group, request.node, request.home, request.demand
        if key not in self._refused:
            placed = self._place(request, None)
            if placed.node is not None:
                return placed
            self._refused[key] = placed
        return self._refused[key]

    def _place(self, request: Request, leaving: Task | None) -> Placement:
        nodes = dict(self._nodes)
        if leaving is not None and leaving.node in nodes:
            nodes[leaving.node] = nodes[leaving.node].without_neighbour(leaving)
        asked = replace(request, after=self.last)
        found, decision = place(self._scheduler, asked, tuple(nodes.values()))
        if found is None:
            return Placement(node=None, ports={}, decision=decision)
        ports = choose_ports(request.ports, found.ports)
        assert ports is not None, "a candidate has passed the filter of ports"
        name = found.node.name
        self._nodes[name] = self._nodes[name].with_task(request, ports)
        self._refused.clear()
        self.last = name
        return Placement(node=name, ports=ports, decision=decision)

    def room(self) -> Mapping[str, NodeState]:
        """As Fleet says."""
        return self._nodes
