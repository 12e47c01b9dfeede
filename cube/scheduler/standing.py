"""What no placement changes, as arrays: what nodes are called, and what that is worth to a class."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cube.model.job import Affinity, Constraint
from cube.scheduler.attributes import attribute, holds
from cube.scheduler.kinds import Kind
from cube.scheduler.state import Demand, NodeState
from cube.scheduler.terms import AFFINITY, APART, IMAGE, QUIET, WHOLE, apart_with, known_quiet, scales

Points = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

FAR = WHOLE + 1
"""What a last resort stands behind every other node."""
NOWHERE = -5 * WHOLE
"""What keeps a task off a node; four of them and a FAR are still an int32."""
LEAST = -FAR
"""The lowest entry of a node that can."""


@dataclass(frozen=True)
class Values:
    """The values of some attributes: `codes` says for each node which of `distinct` it has."""

    distinct: Sequence[tuple[str | None, ...]]
    codes: npt.NDArray[np.intp]

    @cached_property
    def code_of(self) -> Sequence[int]:
        """As `codes`, which is quick for one node."""
        return [int(code) for code in self.codes]

    @cached_property
    def members(self) -> Sequence[npt.NDArray[np.intp]]:
        """The nodes that have each of `distinct`."""
        return [np.flatnonzero(self.codes == code) for code in range(len(self.distinct))]

    @cached_property
    def alike(self) -> Sequence[Sequence[int]]:
        """For each of `distinct` those that have a value in common with it."""
        return [
            [code for code, other in enumerate(self.distinct) if _have_one_in_common(mine, other)]
            for mine in self.distinct
        ]

    def where(self, test: Callable[[str | None], bool]) -> Mask:
        """The nodes whose first attribute passes the test, which is asked once for each value."""
        return np.array([test(value[0]) for value in self.distinct])[self.codes]


class Standing:
    """The nodes of a fleet, as far as no placement changes them."""

    def __init__(self, nodes: Sequence[NodeState], *, with_wishes: bool) -> None:
        self._nodes = nodes
        self._with_wishes = with_wishes
        self._values: dict[tuple[str, ...], Values] = {}
        self._fixed: dict[tuple[object, ...], Points] = {}
        self._quiet = np.array([known_quiet(state) for state in nodes])
        self._masks: dict[tuple[object, ...], Mapping[str, Mask]] = {}
        self._closed = np.array([bool(state.closed) or not state.node.schedulable for state in nodes])
        self._base: Points = np.array([-FAR if state.load is None else 0 for state in nodes], dtype=np.int32)

    def fixed(self, kind: Kind) -> Points:
        """What each node's entry is for the kind, without the algorithm's own term and what may change."""
        demand = kind.demand
        asked = demand.datacenters, demand.constraints, demand.affinities, demand.volumes
        key = (*asked, demand.image, demand.pinned, kind.own, kind.apart)
        if (found := self._fixed.get(key)) is None:
            found = self._base + self._wished(demand) if self._with_wishes else self._base.copy()
            for refused in self.masks(demand).values():
                found[refused] = NOWHERE
            self._fixed[key] = found
        return found

    def values(self, names: tuple[str, ...]) -> Values:
        """The values that those attributes have over all nodes."""
        if (found := self._values.get(names)) is None:
            codes: dict[tuple[str | None, ...], int] = {}
            each = [
                codes.setdefault(tuple(attribute(state.node, name) for name in names), len(codes))
                for state in self._nodes
            ]
            found = self._values[names] = Values(tuple(codes), np.array(each, dtype=np.intp))
        return found

    def masks(self, demand: Demand) -> Mapping[str, Mask]:
        """The nodes that each filter refuses for good, by the filter's name."""
        key = (demand.datacenters, demand.constraints, demand.volumes)
        if (found := self._masks.get(key)) is None:
            found = self._masks[key] = dict(self._refused(demand))
        return found

    def _refused(self, demand: Demand) -> Iterator[tuple[str, Mask]]:
        yield "schedulable", self._closed
        if demand.datacenters:
            here = self.values(("node.datacenter",)).where(lambda found: found in demand.datacenters)
            yield "datacenter", ~here
        if demand.constraints:
            yield "constraints", ~np.all([self._meets(found) for found in demand.constraints], axis=0)
        if demand.volumes:
            wanted = set(demand.volumes)
            yield "volumes", np.array([not wanted <= (state.volumes or set()) for state in self._nodes])

    def _wished(self, demand: Demand) -> Points:
        most = scales(demand)
        points = (self._quiet * most[QUIET]).astype(np.int32)
        if APART in most:
            points += int(apart_with(0) * most[APART])
        if AFFINITY in most:
            points += (self._liked(demand.affinities) * most[AFFINITY]).astype(np.int32)
        if IMAGE in most:
            has = np.array([state.images.has(demand.image, demand.pinned) for state in self._nodes])
            points += has.astype(np.int32) * np.int32(most[IMAGE])
        return points

    def _liked(self, wishes: Sequence[Affinity]) -> npt.NDArray[np.float64]:
        got = np.zeros(len(self._nodes))
        for wish in wishes:
            got += self._meets(wish.constraint) * float(wish.weight)
        return (1.0 + got / sum(abs(wish.weight) for wish in wishes)) / 2.0

    def _meets(self, constraint: Constraint) -> Mask:
        return self.values((constraint.attribute,)).where(lambda found: holds(constraint, found))


def _have_one_in_common(one: tuple[str | None, ...], other: tuple[str | None, ...]) -> bool:
    return any(mine is not None and mine == found for mine, found in zip(one, other, strict=True))
