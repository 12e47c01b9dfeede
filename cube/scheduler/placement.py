"""What a fleet answers to a request: where its task goes, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from cube.model.action import Decision
from cube.model.task import Task
from cube.scheduler.state import NodeState, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The node for a request and the host ports that it gets there; None: no node can take it. And why."""

    node: str | None
    ports: Mapping[str, int]
    decision: Decision


class Fleet(Protocol):
    """Nodes that promise room, request by request."""

    @property
    def last(self) -> str:
        """The node that the last request got; empty: none did, or nobody knows."""
        ...

    def place(self, request: Request, leaving: Task | None = None) -> Placement:
        """Promise the request's room where it is placed.

        `leaving`: a task of its group that keeps its room and is nobody's neighbour any more.
        """
        ...

    def room(self) -> Mapping[str, NodeState]:
        """The nodes as they are now, by name and in their order."""
        ...
