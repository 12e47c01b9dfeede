"""What the scheduler looks at: a request for a place, and the nodes that could give one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from cube.model.image import NO_IMAGES, Images
from cube.model.job import Affinity, Constraint, Group, Job, JobType, Operator, Port, Spread
from cube.model.node import Node
from cube.model.resources import Resources
from cube.model.task import Slot, Task
from cube.scheduler.attributes import attribute


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What all tasks of a group ask of a node: requests with equal demands are of one class.

    `apart`: its tasks would rather not be neighbours. `count`: how many tasks the group wants.
    `max_per_node` None: any number. `pinned` is the image's id; empty: nobody knows it. `volumes` must be
    there already; `devices` by kind, such as `gpu`.
    """

    resources: Resources
    ports: tuple[Port, ...] = ()
    datacenters: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    affinities: tuple[Affinity, ...] = ()
    spreads: tuple[Spread, ...] = ()
    apart: bool = True
    count: int = 1
    max_per_node: int | None = None
    image: str = ""
    pinned: str = ""
    volumes: tuple[str, ...] = ()
    devices: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, job: Job, group: Group) -> "Demand":
        """What a task of the group asks."""
        return cls(
            resources=group.spec.resources,
            ports=group.spec.ports,
            datacenters=job.datacenters,
            constraints=group.constraints,
            affinities=group.affinities,
            spreads=group.spread,
            apart=job.type_of(group) is not JobType.BATCH,
            count=group.count,
            max_per_node=group.max_per_node,
            image=group.spec.image,
            pinned=group.spec.pinned,
            volumes=tuple(volume.source for volume in group.spec.volumes if volume.external),
            devices=tuple(sorted(group.spec.devices.items())),
        )

    @property
    def most_on_one_node(self) -> int | None:
        """How many of the group's tasks one node may have at most; None: any number."""
        alone = any(found.operator is Operator.DISTINCT_HOSTS for found in self.constraints)
        return 1 if alone else self.max_per_node

    @property
    def counted(self) -> tuple[str, ...]:
        """The attributes for which it matters how the group's tasks are spread over their values."""
        names = [
            found.attribute for found in self.constraints if found.operator is Operator.DISTINCT_PROPERTY
        ]
        return tuple(dict.fromkeys((*names, *(found.attribute for found in self.spreads))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One slot that wants a node. `order` is its place in the queue of all requests ever made.

    `node`: it belongs to that one. `home`: the one that has its data. `avoid`: nodes to be taken only if no
    other can be. `after`: the node that the last request before it got; empty: nobody knows. `fleet`: how
    many nodes there are. `behind`: those that come after `after`. `peers`: of each counted attribute, how
    many tasks of the group have which value.
    """

    slot: Slot
    demand: Demand
    order: int = 0
    node: str | None = None
    home: str | None = None
    avoid: frozenset[str] = frozenset()
    after: str = ""
    fleet: int = 1
    behind: frozenset[str] = frozenset()
    peers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, job: Job, group: Group, *, index: int, order: int, node: str | None = None) -> "Request":
        """What the group's slot of that index asks of a node."""
        slot = Slot(job=job.name, group=group.name, index=index)
        return cls(slot=slot, demand=Demand.of(job, group), order=order, node=node)

    @property
    def only(self) -> str | None:
        """The one node that may take it; None: any may."""
        return self.node or self.home

    @property
    def group(self) -> tuple[str, str]:
        """Whose tasks are its neighbours."""
        return self.slot.job, self.slot.group

    @property
    def resources(self) -> Resources:
        """The room that it asks for."""
        return self.demand.resources

    @property
    def ports(self) -> tuple[Port, ...]:
        """The host ports that it asks for."""
        return self.demand.ports

    def among(self, nodes: "Iterable[NodeState]") -> "Request":
        """The request, knowing the fleet: its size, who comes after whom, where its group's tasks stand."""
        fleet = tuple(nodes)
        peers = {name: _peers(self.group, name, fleet) for name in self.demand.counted}
        names = [state.node.name for state in fleet]
        behind = frozenset(names[names.index(self.after) + 1 :] if self.after in names else ())
        return replace(self, fleet=len(fleet), behind=behind, peers=peers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a machine is busy with, whoever asked for it: `cpu` in millicores, `memory` in bytes."""

    cpu: int
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """A node that answered: what it has for tasks, what is promised already, and to whom.

    `promised` counts every recorded task that may hold room there, whether it runs or not.
    `ports` are taken on the node, by anybody. `tasks` counts tasks per (job, group). `closed` says why an
    operator keeps new tasks away; empty: nobody does. `load` is what `/proc` shows, and what was promised
    since; None: nobody knows, or what is known is too old. `images` are known to be there.
    `volumes` None: nobody knows which there are.
    """

    node: Node
    capacity: Resources
    promised: Resources = Resources()
    ports: frozenset[int] = frozenset()
    tasks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    closed: str = ""
    load: Load | None = None
    images: Images = NO_IMAGES
    volumes: frozenset[str] | None = frozenset()
    devices: Mapping[str, int] = field(default_factory=dict)

    @property
    def free(self) -> Resources:
        """What is left to promise; negative where capacity shrank under what was promised."""
        return self.capacity - self.promised

    def without(self, task: Task) -> "NodeState":
        """The node once that task, which is promised room here, has gone."""
        return replace(
            self.without_neighbour(task),
            promised=self.promised - task.spec.resources,
            ports=self.ports - frozenset(task.ports.values()),
            devices={kind: left + len(task.devices.get(kind, ())) for kind, left in self.devices.items()},
        )

    def without_neighbour(self, task: Task) -> "NodeState":
        """The node with that task's room still promised, and the task itself no longer counted."""
        group = (task.slot.job, task.slot.group)
        return replace(self, tasks={**self.tasks, group: self.tasks.get(group, 1) - 1})

    def with_task(self, request: Request, ports: Mapping[str, int]) -> "NodeState":
        """The node once it has promised the request's room and those host ports."""
        return replace(
            self.holding(request.resources, frozenset(ports.values())),
            tasks={**self.tasks, request.group: self.tasks.get(request.group, 0) + 1},
            devices=self._devices_without(request.demand),
        )

    def holding(self, resources: Resources, ports: frozenset[int]) -> "NodeState":
        """The node with that much more promised, and those host ports taken."""
        load = self.load and Load(
            cpu=self.load.cpu + resources.cpu, memory=self.load.memory + resources.memory
        )
        return replace(self, promised=self.promised + resources, ports=self.ports | ports, load=load)

    def _devices_without(self, demand: Demand) -> Mapping[str, int]:
        taken = dict(demand.devices)
        return (
            {kind: left - taken.get(kind, 0) for kind, left in self.devices.items()}
            if taken
            else self.devices
        )


def _peers(group: tuple[str, str], name: str, nodes: Iterable[NodeState]) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for state in nodes:
        if here := state.tasks.get(group, 0):
            value = attribute(state.node, name)
            if value is not None:
                counts[value] = counts.get(value, 0) + here
    return counts
