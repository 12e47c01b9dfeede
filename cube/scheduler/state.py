"""What the scheduler looks at: a request for a place, and the nodes that could give one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cube.model.job import Constraint, Group, Job, Port
from cube.model.node import Node
from cube.model.resources import Resources
from cube.model.task import Slot, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One slot that wants a node. `order` is its place in the queue of all requests ever made.

    `node`: it belongs to that one. `avoid`: nodes to be taken only if no other can be.
    """

    slot: Slot
    resources: Resources
    ports: tuple[Port, ...] = ()
    datacenters: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    order: int = 0
    node: str | None = None
    avoid: frozenset[str] = frozenset()

    @classmethod
    def of(cls, job: Job, group: Group, *, index: int, order: int, node: str | None = None) -> "Request":
        """What the group's slot of that index asks of a node."""
        return cls(
            slot=Slot(job=job.name, group=group.name, index=index),
            resources=group.spec.resources,
            ports=group.spec.ports,
            datacenters=job.datacenters,
            constraints=group.constraints,
            order=order,
            node=node,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """A node that answered: what it has for tasks, what is promised already, and to whom.

    `promised` counts every recorded task that may hold room there, whether it runs or not.
    `ports` are taken on the node, by anybody. `tasks` counts tasks per (job, group). `closed` says why an
    operator keeps new tasks away; empty: nobody does.
    """

    node: Node
    capacity: Resources
    promised: Resources = Resources()
    ports: frozenset[int] = frozenset()
    tasks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    closed: str = ""

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
        )

    def without_neighbour(self, task: Task) -> "NodeState":
        """The node with that task's room still promised, and the task itself no longer counted."""
        group = (task.slot.job, task.slot.group)
        return replace(self, tasks={**self.tasks, group: self.tasks.get(group, 1) - 1})

    def with_task(self, request: Request, ports: Mapping[str, int]) -> "NodeState":
        """The node once it has promised the request's room and those host ports."""
        group = (request.slot.job, request.slot.group)
        return replace(
            self.holding(request.resources, frozenset(ports.values())),
            tasks={**self.tasks, group: self.tasks.get(group, 0) + 1},
        )

    def holding(self, resources: Resources, ports: frozenset[int]) -> "NodeState":
        """The node with that much more promised, and those host ports taken."""
        return replace(self, promised=self.promised + resources, ports=self.ports | ports)
