"""Cluster and Node: one environment and its machines, as the inventory declares them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cube.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One jump host on the way to a node. What is None is left to ssh_config, then to the default."""

    address: str
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    host_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a node is reached over SSH. What is None is left to ssh_config, then to SSH's own defaults.

    `host_key` is the pinned public key, as `ssh-ed25519 AAAA...`; None: known_hosts decides.
    `jumps` are passed in order, the first is the nearest to the operator.
    """

    address: str
    port: int | None = None
    user: str | None = None
    identity_file: str | None = None
    host_key: str | None = None
    jumps: tuple[Hop, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overcommit:
    """How many times what a machine has is promised to tasks, which seldom use all of it at once."""

    cpu: float = 1.0
    memory: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A machine of the cluster, as declared; what was seen of it is an observation.

    `reserved` is kept free for what is not Cube's. A node that is not `schedulable` keeps its tasks
    and gets no new ones. `devices` are those that tasks may have for themselves, by kind: a path such as
    `/dev/ttyUSB0`, a CDI name such as `nvidia.com/gpu=0`, or the id of a GPU.
    `architecture`, `kernel`, `os`, `os_version` and `docker` are not declared: they are what the last look
    showed, as Stats has them; empty: unknown.
    """

    name: str
    access: Access
    datacenter: str = "dc1"
    labels: Mapping[str, str] = field(default_factory=dict)
    role: str = "worker"
    reserved: Resources = Resources()
    overcommit: Overcommit = Overcommit()
    schedulable: bool = True
    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    architecture: str = ""
    kernel: str = ""
    os: str = ""
    os_version: str = ""
    docker: str = ""

    def room(self, machine: Resources) -> Resources:
        """What tasks can be promised of a machine of that size."""
        left = machine - self.reserved
        return Resources(
            cpu=round(left.cpu * self.overcommit.cpu),
            memory=round(left.memory * self.overcommit.memory),
            disk=left.disk,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cordon:
    """The operator keeps new tasks away from a node, since `at`.

    `draining`: those that it has move elsewhere, and are stopped without a successor from `deadline` on
    (seconds since the epoch; None: never). `leave_data`: they begin anew, without what they have written.
    """

    node: str
    at: float
    actor: str
    draining: bool = False
    deadline: float | None = None
    leave_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A node that does not answer: since how many looks, and for how many seconds that somebody watched.

    `at` is the last look. A gap between two looks counts at most GAP seconds: a manager that was away, or a
    clock that jumped, has not watched.
    """

    node: str
    at: float
    misses: int
    seconds: float


STATS_KEEP = 7 * 86400.0
"""Seconds for which it is remembered how nodes were used, where an inventory says nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """As whom images are pulled from a registry; `secret` is the name of the secret that is the password."""

    user: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One environment: one inventory. Its name labels everything that Cube makes.

    `nodes` in inventory order; `groups` maps every group's name to the names of its nodes,
    nested ones included; `variables` are the inventory's own for all nodes, for templates to name.
    `scheduler` names the algorithm that chooses nodes where a job names none; empty: Cube's default.
    `preemption`: tasks of less important jobs may have to give way to those that fit nowhere.
    `image_tree`: nodes pass images that are pushed to them on to each other.
    `registries` are logins by the registry's host, with a port where it has one.
    `stats_keep`: seconds for which it is remembered how nodes were used; 0: it is not.
    """

    name: str
    nodes: tuple[Node, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    scheduler: str = ""
    preemption: bool = False
    image_tree: bool = False
    registries: Mapping[str, Login] = field(default_factory=dict)
    stats_keep: float = STATS_KEEP

    def node(self, name: str) -> Node | None:
        """The node of that name, or None."""
        return next((node for node in self.nodes if node.name == name), None)
