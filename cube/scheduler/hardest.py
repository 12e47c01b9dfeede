"""How hard it is to find a place for a request."""

from collections.abc import Iterable, Sequence
from math import log2

from cube.model.resources import Resources
from cube.scheduler.state import NodeState, Request

EASY = -1000
"""The doublings of what asks nothing."""


def room_in(nodes: Iterable[NodeState]) -> Resources:
    """All that the nodes have."""
    return sum((state.capacity for state in nodes), Resources())


def hardness(request: Request, room: Resources) -> float:
    """The larger share of all CPU or memory that the request asks."""
    asked = request.resources
    return max(asked.cpu / (room.cpu or 1), asked.memory / (room.memory or 1))


def doublings(requests: Sequence[Request], nodes: Sequence[NodeState]) -> list[int]:
    """How hard each is, roughly: the power of two nearest to the share of a mean node that it asks."""
    room = room_in(nodes)
    shares = (hardness(request, room) * len(nodes) for request in requests)
    return [round(log2(share)) if share else EASY for share in shares]
