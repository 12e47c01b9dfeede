"""What a request may ask of a node besides amounts: host ports and devices."""

from collections.abc import Mapping, Sequence

import numpy as np

from cube.scheduler.arrays import Floats, Mask
from cube.scheduler.filters import choose_ports
from cube.scheduler.state import Demand, NodeState


class Extras:
    """The ports that are taken on each node, and the devices that are left."""

    def __init__(self, nodes: Sequence[NodeState]) -> None:
        self._fleet = len(nodes)
        self._ports = {at: state.ports for at, state in enumerate(nodes) if state.ports}
        self._devices = {at: state.devices for at, state in enumerate(nodes) if state.devices}

    def taken(self, at: int) -> frozenset[int]:
        """The ports that are taken on that node."""
        return self._ports.get(at, frozenset())

    def devices(self, at: int) -> Mapping[str, int]:
        """How many devices of each kind are left on that node."""
        return self._devices.get(at, {})

    def take(self, at: int, demand: Demand) -> None:
        """Promise its ports and devices on that node, which has them."""
        if demand.ports:
            chosen = choose_ports(demand.ports, self.taken(at)) or {}
            self._ports[at] = self.taken(at) | frozenset(chosen.values())
        if demand.devices:
            asked = dict(demand.devices)
            self._devices[at] = {kind: left - asked.get(kind, 0) for kind, left in self.devices(at).items()}

    def lacks(self, at: int, demand: Demand) -> bool:
        """The node has no port or no device for it."""
        if demand.ports and choose_ports(demand.ports, self.taken(at)) is None:
            return True
        return self._lacks_devices(at, demand)

    def masks(self, demand: Demand) -> Mapping[str, Mask]:
        """The nodes that lack a port or a device for it, by the filter's name."""
        found: dict[str, Mask] = {}
        if demand.ports:
            found["host ports"] = np.full(self._fleet, choose_ports(demand.ports, frozenset()) is None)
            for at, taken in self._ports.items():
                found["host ports"][at] = choose_ports(demand.ports, taken) is None
        if demand.devices:
            found["devices"] = np.ones(self._fleet, dtype=np.bool_)
            for at in self._devices:
                found["devices"][at] = self._lacks_devices(at, demand)
        return found

    def lacking(self, demand: Demand) -> Floats:
        """Which share of the devices that it asks for each node has too few, of all kinds together."""
        found = np.zeros(self._fleet)
        for kind, asked in demand.devices:
            left = np.zeros(self._fleet)
            for at, here in self._devices.items():
                left[at] = here.get(kind, 0)
            found += np.maximum(asked - left, 0.0) / max(asked, 1)
        return found

    def _lacks_devices(self, at: int, demand: Demand) -> bool:
        left = self.devices(at)
        return any(asked > left.get(kind, 0) for kind, asked in demand.devices)
