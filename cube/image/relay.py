"""Who hands an image to whom, where nodes pass it on: a tree that doubles with each step. Pure.

Every datacenter is brought one copy from outside and hands it on within; of all copies one is from here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

Value = TypeVar("Value")

HERE = ""
"""The machine that pushes, among those that serve."""

TRIES = 2
"""Failures: a node that was sent nothing whole so often is served from here, and one that served so badly
serves no more."""

HOPELESS = 3
"""Failures, before any node has served another, after which none tries: a firewall is between all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A node that is to have the image; `lacks` names the pieces that it does, in the order they are sent."""

    name: str
    datacenter: str
    lacks: tuple[str, ...]

    def can_serve(self, other: "Party") -> bool:
        """What it was sent ends with all that the other one lacks."""
        return self.lacks[-len(other.lacks) :] == other.lacks


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """How far the image has come. Each step gives another value.

    `under_way` is who serves, by who is served; `holders` have it and hand it on; `failures` are pairs of who
    served and who was served, in vain; `streaks` how often in a row somebody served in vain. `is_proven`: a
    node has served another.
    """

    parties: Mapping[str, Party] = field(default_factory=dict)
    under_way: Mapping[str, str] = field(default_factory=dict)
    holders: frozenset[str] = frozenset()
    failures: frozenset[tuple[str, str]] = frozenset()
    streaks: Mapping[str, int] = field(default_factory=dict)
    is_proven: bool = False

    def server_for(self, name: str) -> str | None:
        """Who is to serve that node now; None: somebody will, once another has been served."""
        party = self.parties[name]
        if self._misses(name) >= TRIES or self._is_hopeless:
            return HERE
        able = self._able(self.holders, party)
        coming = self._able(self.under_way, party)
        for now, soon in ((_near(able, party), _near(coming, party)), (able, coming)):
            if now:
                return next((each.name for each in now if self._is_free(each.name)), None)
            if soon:
                return None
        return HERE

    def joined(self, party: Party) -> Self:
        """One more is to have it."""
        return replace(self, parties={**self.parties, party.name: party})

    def begun(self, name: str, server: str) -> Self:
        """That server is at it."""
        return replace(self, under_way={**self.under_way, name: server})

    def arrived(self, name: str) -> Self:
        """The node has all of it, and can hand it on."""
        server = self.under_way[name]
        return replace(
            self,
            under_way=_without(self.under_way, name),
            holders=self.holders | {name},
            streaks={**self.streaks, server: 0},
            is_proven=self.is_proven or server != HERE,
        )

    def failed(self, name: str) -> Self:
        """Nothing whole came; the node waits again."""
        server = self.under_way[name]
        return replace(
            self,
            under_way=_without(self.under_way, name),
            failures=self.failures | {(server, name)},
            streaks={**self.streaks, server: self.streaks.get(server, 0) + 1},
        )

    def left(self, name: str) -> Self:
        """The node takes no more part, served or not."""
        return replace(
            self,
            parties=_without(self.parties, name),
            under_way=_without(self.under_way, name),
            holders=self.holders - {name},
        )

    def _able(self, names: Iterable[str], party: Party) -> list[Party]:
        """Those of them that could serve the party, now or when they have been served."""
        others = (self.parties[name] for name in sorted(names) if name != party.name)
        return [
            each
            for each in others
            if each.can_serve(party)
            and (each.name, party.name) not in self.failures
            and self.streaks.get(each.name, 0) < TRIES
        ]

    def _is_free(self, name: str) -> bool:
        return name not in self.under_way.values()

    @property
    def _is_hopeless(self) -> bool:
        return not self.is_proven and sum(server != HERE for server, _ in self.failures) >= HOPELESS

    def _misses(self, name: str) -> int:
        return sum(served == name for _, served in self.failures)


def _near(parties: Iterable[Party], party: Party) -> list[Party]:
    return [each for each in parties if each.datacenter == party.datacenter]


def _without(mapping: Mapping[str, Value], name: str) -> dict[str, Value]:
    return {key: value for key, value in mapping.items() if key != name}
