"""What is known of each node now, by a lookout at each, and of which it is enough to act on."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import inf

from cube.manager.lookout import Lookout, Sight
from cube.manager.seams import Attended, Clock
from cube.manager.turn import spent
from cube.model.observation import Cause, Observation, Seen, Stats, Unknown
from cube.model.task import Health
from cube.store.rows import Look
from cube.view.metrics import Watching


class Picture:
    """The last look at each node. Not safe to share: the service's own thread keeps it.

    A node is ready whose last look began after everything that was done there; what is known of any other
    may be of before, and nothing is asked of it meanwhile.
    """

    def __init__(self, clock: Clock, tell: Callable[[Sight], None], *, every: float) -> None:
        self.observed: dict[str, Observation] = {}
        self.fresh: set[str] = set()
        self.samples: dict[str, Stats] = {}
        self._clock = clock
        self._tell = tell
        self._every = every
        self._numbers = itertools.count(1)
        self._lookouts: dict[str, Lookout] = {}
        self._changed: dict[str, int] = {}
        self._busy: set[str] = set()
        self._sights: dict[str, Sight] = {}
        self._news: set[str] = set()
        self._pauses: Mapping[str, float] = {}
        self._others: frozenset[str] = frozenset()
        self._looks_on = True

    def open(self, workers: Mapping[str, Attended]) -> None:
        """Look at these nodes from now on, and no more at those before; none is ready yet."""
        self.close()
        before, now = self.observed, self._clock.now()
        self.observed = {name: before.get(name) or _not_yet(name, now) for name in workers}
        self._sights = {}
        self.doubt()
        self._lookouts = {
            name: Lookout(worker, self._clock, count=self._count, tell=self._tell)
            for name, worker in workers.items()
        }
        self._attend()
        for name, lookout in self._lookouts.items():
            lookout.begin(name)

    def close(self) -> None:
        """Look at nothing any more."""
        for lookout in self._lookouts.values():
            lookout.close()
        self._lookouts = {}

    def doubt(self) -> None:
        """Somebody else may have changed the nodes: no look that began before now counts."""
        self._changed = dict.fromkeys(self.observed, self._count())
        self.look_soon(self._lookouts)

    def take(self, sight: Sight) -> bool:
        """Keep what a look found, unless it may be of before the last change; False: it says nothing new."""
        if sight.node not in self.observed or sight.node in self._busy or not self._is_valid(sight):
            return False
        before = self._sights.get(sight.node)
        was_ready = self.is_ready(sight.node)
        self._sights[sight.node] = sight
        earlier = before.found.stats if before else None
        if earlier is not None:
            self.samples[sight.node] = earlier
        self.observed[sight.node] = sight.found
        self.fresh.add(sight.node)
        if was_ready and before is not None and _is_as_before(sight.found, before.found):
            return False
        self._news.add(sight.node)
        return True

    def taken(self) -> Mapping[str, Observation]:
        """What was looked at since the last time that it was asked for."""
        fresh, self.fresh = self.fresh, set()
        return {name: self.observed[name] for name in fresh if name in self.observed}

    def take_news(self) -> frozenset[str]:
        """Where there was anything new since the last time that it was asked for."""
        news, self._news = frozenset(self._news), set()
        return news

    def learn(self, looks: Iterable[Look]) -> None:
        """How the nodes that are left to others are used; what runs there we see for ourselves."""
        for look in looks:
            found = self.observed.get(look.node) if look.node in self._others else None
            if not isinstance(found, Seen) or look.stats is None or look.cause is not None:
                continue
            if look.at > found.at:
                self.samples[look.node] = found.stats
                self.observed[look.node] = replace(found, at=look.at, stats=look.stats)

    @property
    def mine(self) -> Mapping[str, Observation]:
        """The last look at each node that is not left to others."""
        return {name: found for name, found in self.observed.items() if name not in self._others}

    def begin(self, node: str) -> None:
        """Something is done on that node from now on."""
        self._busy.add(node)

    def end(self, node: str) -> None:
        """It has been done; the node is looked at before anything more is asked of it."""
        self._busy.remove(node)
        self._changed[node] = self._count()
        self.look_soon((node,))

    def spend(self) -> None:
        """What the checks said has been counted once."""
        self.observed = spent(self.observed)

    def is_ready(self, node: str | None) -> bool:
        """What is known of the node is of after all that was done there; so it is of one that has left."""
        if node is None or node not in self.observed:
            return True
        sight = self._sights.get(node)
        return node not in self._busy and sight is not None and self._is_valid(sight)

    @property
    def is_complete(self) -> bool:
        """Every node is ready."""
        return all(self.is_ready(name) for name in self.observed)

    @property
    def is_at_rest(self) -> bool:
        """Nothing is being done on any node."""
        return not self._busy

    def watching(self) -> tuple[Watching, ...]:
        """What each lookout has done."""
        return tuple(
            Watching(
                node=name,
                looks=found.looks,
                seconds=found.seconds,
                streams=found.streams,
                connections=found.connections,
            )
            for name, found in self._lookouts.items()
        )

    def look_soon(self, nodes: Iterable[str | None]) -> None:
        """Look at them now."""
        for name in set(nodes) & self._lookouts.keys():
            self._lookouts[str(name)].look_soon()

    def look_every(self, pauses: Mapping[str, float]) -> None:
        """The longest pause between two looks at a node, where it is shorter than for the others."""
        self._pauses = pauses
        self._attend()

    def leave_to_others(self, nodes: frozenset[str], *, looks_on: bool) -> None:
        """Others look after these: listen there no more, and look only when called, unless it `looks_on`."""
        self._others, self._looks_on = nodes, looks_on
        self._attend()

    def _attend(self) -> None:
        for name, lookout in self._lookouts.items():
            is_left = name in self._others
            every = min(self._pauses.get(name, self._every), self._every)
            lookout.attend(inf if is_left and not self._looks_on else every, listens=not is_left)

    def _count(self) -> int:
        return next(self._numbers)

    def _is_valid(self, sight: Sight) -> bool:
        return sight.began > self._changed.get(sight.node, 0)


def _not_yet(node: str, now: float) -> Unknown:
    return Unknown(node=node, at=now, cause=Cause.SILENT, why="it has not been looked at yet", cure="")


def _is_as_before(found: Observation, before: Observation) -> bool:
    """Nothing that a plan could be made from differs; a check that answers badly counts every time."""
    if isinstance(found, Unknown) or isinstance(before, Unknown):
        return type(found) is type(before)
    return found.containers == before.containers and not _has_bad_news(found)


def _has_bad_news(found: Seen) -> bool:
    return any(held.health is Health.UNHEALTHY for held in found.containers)
