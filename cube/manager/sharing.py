"""Sharing: several managers at one state divide among them who looks after which nodes.

Whoever looks after a node looks at it again and again and listens to its engine, and tells the others when
there is something new. They believe nothing of that: they look for themselves. So a change is planned from
a manager's own looks alone, and what one of them cannot reach is not silent for all.
"""

import os
import socket
from collections.abc import Mapping
from math import inf
from typing import NamedTuple
from uuid import uuid4

from cube.manager.picture import Picture
from cube.store.shares import Told
from cube.store.store import Store

RENEWALS = 4
"""In a term. What a dead one had is free after one less, so that all of it is taken within the term."""

NOTHING = Told(at=0.0, news=0, is_silent=False)
"""What is told of a node that nobody has looked at."""


class Heard(NamedTuple):
    """What was told of a node, and when that was new to us, by our own clock."""

    told: Told
    at: float


class Sharing:
    """The share of one service, whose own thread keeps it; all of the fleet where leases never run out."""

    def __init__(self, store: Store, *, every: float) -> None:
        self.due = 0.0
        self._store = store
        self._every = every
        self._name = f"{socket.gethostname()} {os.getpid()} {uuid4()}"
        self._mine: frozenset[str] = frozenset()
        self._heard: Mapping[str, Heard] = {}

    def keep(self, picture: Picture, now: float, *, is_asked: bool) -> None:
        """Renew the share, tell what is new in it, and look where others tell of something new, or nothing.

        Where somebody waits for what was asked of us, all nodes are looked at as if they were ours.
        """
        term = self._store.term
        if term is None:
            self.due = inf
            return
        self.due = now + term / RENEWALS
        nodes = frozenset(picture.observed)
        mine = self._store.shares.renew(self._name, nodes, term=term - term / RENEWALS)
        self._store.shares.tell((picture.take_news() | (mine - self._mine)) & mine)
        self._mine, others = mine, nodes - mine
        picture.leave_to_others(others, looks_on=is_asked)
        told = self._store.shares.told() if others else {}
        picture.look_soon(self._hear({node: told.get(node, NOTHING) for node in others}, now))

    def learn(self, picture: Picture) -> None:
        """Take over how the nodes of others are used."""
        if self._heard:
            picture.learn(self._store.looks())

    def leave(self) -> None:
        """Let the others have it at once."""
        if self._store.term is not None:
            self._store.shares.leave(self._name)

    def _hear(self, told: Mapping[str, Told], now: float) -> list[str]:
        """Where to look for ourselves after what is told of the nodes of others."""
        patience = self._every + (self._store.term or inf)
        called = [
            node
            for node, each in told.items()
            if calls_for_a_look(self._heard.get(node), each, now, patience)
        ]
        as_before = {
            node: heard
            for node, heard in self._heard.items()
            if heard.told == told.get(node) and node not in called
        }
        self._heard = {node: Heard(each, now) for node, each in told.items()} | as_before
        return called


def calls_for_a_look(before: Heard | None, told: Told, now: float, patience: float) -> bool:
    """It has just become another's, there is news, it is silent there, or nobody has told of it for long."""
    if before is None or told.news != before.told.news:
        return True
    if told.at != before.told.at:
        return told.is_silent
    return now - before.at >= patience
