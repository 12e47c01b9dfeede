"""Kinds of requests: what is remembered of each demand that was met."""

from dataclasses import dataclass

from cube.scheduler.state import Demand
from cube.scheduler.terms import APART, OWN, SPREAD, scales

KINDS = 1 << 16
"""How many demands are remembered at all."""


@dataclass(slots=True, eq=False)
class Kind:
    """What is remembered of a demand: the most points of its terms, and its row in the table, if any.

    `is_plain`: what a node is worth to it depends on what the node has left and on who is there, on no more.
    """

    demand: Demand
    own: float
    apart: float
    spread: float
    most: int | None
    has_extras: bool
    has_peers: bool
    is_counted: bool
    is_plain: bool
    row: int | None = None
    is_met: bool = False

    @classmethod
    def of(cls, demand: Demand, *, with_wishes: bool) -> "Kind":
        """`with_wishes`: the algorithm heeds them."""
        points = scales(demand) if with_wishes else {}
        apart, most = points.get(APART, 0.0), demand.most_on_one_node
        has_extras, is_counted = bool(demand.ports or demand.devices), bool(demand.counted)
        return cls(
            demand=demand,
            own=points.get(OWN, 0.0),
            apart=apart,
            spread=points.get(SPREAD, 0.0),
            most=most,
            has_extras=has_extras,
            has_peers=bool(apart) or most is not None,
            is_counted=is_counted,
            is_plain=not (has_extras or is_counted),
        )


class Kinds:
    """The kind of each demand: equal demands are of one kind."""

    def __init__(self, *, with_wishes: bool) -> None:
        """`with_wishes`: the algorithm heeds them."""
        self._with_wishes = with_wishes
        self._kinds: dict[Demand, Kind] = {}
        self._met: dict[int, tuple[Demand, Kind]] = {}

    def of(self, demand: Demand) -> Kind:
        """What is remembered of the demand."""
        met = self._met.get(id(demand))
        return met[1] if met is not None else self._meet(demand)

    def _meet(self, demand: Demand) -> Kind:
        """Demands are compared once: from then on each is known by its identity, and held for that."""
        if len(self._met) >= KINDS:
            self._met.clear()
            self._kinds = {found: kind for found, kind in self._kinds.items() if kind.row is not None}
        kind = self._kinds.get(demand)
        if kind is None:
            kind = self._kinds[demand] = Kind.of(demand, with_wishes=self._with_wishes)
        self._met[id(demand)] = demand, kind
        return kind
