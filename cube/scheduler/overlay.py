"""What the values of attributes are worth to one more task of a group, by how many are there, as an array."""

from collections.abc import Iterable, Mapping

import numpy as np

from cube.model.job import Operator
from cube.scheduler.filters import most_for_each_value
from cube.scheduler.kinds import Kind
from cube.scheduler.standing import NOWHERE, Points, Standing
from cube.scheduler.terms import spread_value


class Overlay:
    """What each node's values of a kind's counted attributes are worth: `points`, to be added to its row."""

    def __init__(self, kind: Kind, standing: Standing, counts: Mapping[int, int]) -> None:
        """`counts`: how many of the group's tasks each node has that has some."""
        demand, self._scale, self._names = kind.demand, kind.spread, kind.demand.counted
        part = {name: part for part, name in enumerate(self._names)}
        self._limits = [
            (part[found.attribute], most_for_each_value(found))
            for found in demand.constraints
            if found.operator is Operator.DISTINCT_PROPERTY
        ]
        self._wishes = [(part[wish.attribute], wish) for wish in demand.spreads] if self._scale else []
        self._wanted = demand.count
        self._values = standing.values(self._names)
        self._used: list[dict[str, int]] = [{} for _ in self._names]
        self._counts: dict[int, int] = {}
        self.points: Points = np.zeros(len(self._values.codes), dtype=np.int32)
        for at, count in counts.items():
            self._count(at, count)
        self._score(range(len(self._values.distinct)))

    def put(self, at: int, count: int) -> None:
        """That node has so many now."""
        self._score(self._values.alike[self._count(at, count)])

    def used(self) -> Mapping[str, Mapping[str, int]]:
        """How many tasks have which value, by attribute."""
        return dict(zip(self._names, self._used, strict=True))

    def _count(self, at: int, count: int) -> int:
        """The number of the node's values."""
        more, self._counts[at] = count - self._counts.get(at, 0), count
        code = self._values.code_of[at]
        for used, value in zip(self._used, self._values.distinct[code], strict=True):
            if value is not None:
                used[value] = used.get(value, 0) + more
                if not used[value]:
                    del used[value]
        return code

    def _score(self, codes: Iterable[int]) -> None:
        for code in codes:
            self.points[self._values.members[code]] = self._worth(self._values.distinct[code])

    def _worth(self, values: tuple[str | None, ...]) -> int:
        for part, most in self._limits:
            here = values[part]
            if here is None or self._used[part].get(here, 0) >= most:
                return NOWHERE
        if not self._wishes:
            return 0
        found = [
            spread_value(wish, self._used[part], values[part], self._wanted) for part, wish in self._wishes
        ]
        return int(sum(found) / len(found) * self._scale)
