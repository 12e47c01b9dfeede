"""A fleet's state in arrays: what its nodes have left, hold and are called (the cell state of Omega)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from cube.scheduler.extras import Extras
from cube.scheduler.filters import choose_ports
from cube.scheduler.peers import Groups
from cube.scheduler.room import Room
from cube.scheduler.standing import Standing
from cube.scheduler.state import Demand, Load, NodeState, Request


class Cell:
    """Nodes by their position, as they are while tasks are placed on them."""

    def __init__(self, nodes: Sequence[NodeState], *, with_wishes: bool) -> None:
        """`with_wishes`: the algorithm heeds them."""
        self.nodes = tuple(nodes)
        self.room, self.extras = Room(nodes), Extras(nodes)
        self.standing = Standing(nodes, with_wishes=with_wishes)
        self.groups = Groups(nodes, self.standing)
        self._position = {state.node.name: position for position, state in enumerate(nodes)}

    def position(self, name: str | None) -> int | None:
        """Where the node of that name stands; None: it is not here."""
        return self._position.get(name or "")

    def take(self, at: int, request: Request) -> None:
        """Promise the request's room, ports and devices on that node."""
        demand = request.demand
        self.room.take(at, demand.resources)
        if demand.ports or demand.devices:
            self.extras.take(at, demand)
        self.groups.add(request.group, at, 1)

    def ports(self, at: int, demand: Demand) -> Mapping[str, int] | None:
        """The host ports that a task would get there now; None where one is taken."""
        return choose_ports(demand.ports, self.extras.taken(at))

    def state(self, at: int) -> NodeState:
        """The node at that position as it is now."""
        state = self.nodes[at]
        promised = state.capacity - self.room.left_on(at)
        more = promised - state.promised
        return replace(
            state,
            promised=promised,
            load=state.load and Load(cpu=state.load.cpu + more.cpu, memory=state.load.memory + more.memory),
            ports=self.extras.taken(at),
            devices=self.extras.devices(at),
            tasks=self.groups.tasks(at),
        )
