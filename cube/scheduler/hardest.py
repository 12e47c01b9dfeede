"""Which of many requests go first: those for which a place is hardest to find."""

from collections.abc import Iterable, Sequence

from cube.model.resources import Resources
from cube.scheduler.state import NodeState, Request


def room_in(nodes: Iterable[NodeState]) -> Resources:
    """All that the nodes have."""
    return sum((state.capacity for state in nodes), Resources())


def hardness(request: Request, room: Resources) -> float:
    """The larger share of all CPU or memory that the request asks."""
    asked = request.resources
    return max(asked.cpu / (room.cpu or 1), asked.memory / (room.memory or 1))


def hardest_first(requests: Sequence[Request], nodes: Iterable[NodeState]) -> list[int]:
    """The requests' positions, the hardest first, equal ones as they come."""
    room = room_in(nodes)
    return sorted(range(len(requests)), key=lambda at: (-hardness(requests[at], room), at))
