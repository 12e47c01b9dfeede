"""What a lab is: its name, its nodes, and the inventory that leads to them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cube.errors import InputError

Reach = Literal["bridge", "loopback"]
Debian = Literal["12", "13"]
"""What a node is: of 13 its engine keeps images in containerd, as a new installation of Docker does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """What a lab should be. `cpu` (millicores) and `memory` (bytes) are per node; None: the whole machine.

    `bridge`: nodes are reached at their own addresses; `loopback`: at ports of 127.0.0.1.
    """

    name: str
    nodes: int
    inventory: Path
    reach: Reach = "bridge"
    debian: Debian = "12"
    cpu: int | None = None
    memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabNode:
    """One node as it is: `state` is the engine's word for its container (running, exited, paused...)."""

    name: str
    number: int
    container: str
    address: str
    port: int
    datacenter: str
    rack: str
    host_key: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A lab as it is; its nodes in the order of their numbers."""

    name: str
    inventory: Path
    nodes: tuple[LabNode, ...] = ()

    @property
    def key(self) -> Path:
        """The private key that all its nodes accept for root."""
        return self.folder / "id_ed25519"

    @property
    def folder(self) -> Path:
        """Where the lab keeps what belongs to it beside its inventory."""
        return self.inventory.with_suffix("")

    def node(self, name: str) -> LabNode:
        """The node of that name. Raises InputError where the lab has none."""
        for node in self.nodes:
            if node.name == name:
                return node
        names = ", ".join(node.name for node in self.nodes)
        raise InputError(f"the lab '{self.name}' has no node '{name}'", cure=f"its nodes are: {names}")
