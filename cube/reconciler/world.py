"""World: all that a plan is made from. What is wanted, what is recorded, what was seen, and the time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from cube.model.job import Job
from cube.model.maintenance import Maintenance
from cube.model.move import Move
from cube.model.node import Cordon, Node, Silence
from cube.model.observation import Container, Observation, Seen
from cube.model.rollout import Rollout
from cube.model.task import Slot, Task


@dataclass(frozen=True, kw_only=True)
class World:
    """Everything that `reconcile` may know. `now` in seconds since the epoch.

    `nodes` by name, in inventory order; `jobs` in their latest versions, `rollouts` how far these have come;
    `tasks` the latest task of each slot and every older one that has not ended; `former` the latest one that
    had a node, of each slot whose latest has none; `observed` an answer, or its absence, for each node,
    `silences` how long those that did not answer have been silent; `cordons` by node;
    `moves` are the slots that are to be filled on another node; `maintenances` by the job that is in one;
    `stock` the ids of the images that the operator's engine has, by full name;
    `vacated` by slot why it is to be empty for now, and what is recorded of its moves waits.
    `preemption`: tasks of less important jobs may have to give way.
    """

    cluster: str
    owner: str
    now: float
    nodes: Mapping[str, Node]
    jobs: tuple[Job, ...]
    tasks: tuple[Task, ...]
    observed: Mapping[str, Observation]
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    cordons: Mapping[str, Cordon] = field(default_factory=dict)
    silences: Mapping[str, Silence] = field(default_factory=dict)
    moves: Mapping[Slot, Move] = field(default_factory=dict)
    maintenances: Mapping[str, Maintenance] = field(default_factory=dict)
    former: tuple[Task, ...] = ()
    stock: Mapping[str, str] = field(default_factory=dict)
    vacated: Mapping[Slot, str] = field(default_factory=dict)
    preemption: bool = False

    def seen(self, node: str | None) -> Seen | None:
        """The node's answer; None where it is unknown or no longer in the inventory."""
        found = self.observed.get(node) if node is not None else None
        return found if isinstance(found, Seen) else None

    def container(self, task: Task) -> Container | None:
        """The task's container on its node, as seen; None where there is none, or nobody knows.

        Of several, as after a late start or a rename by hand, one that is alive, then the one that is
        recorded, then the one with the task's name.
        """
        known = self._containers.get(task.id, ())
        if len(known) == 1:  # as good as always, and asked several times for each task of a plan
            ((node, only),) = known
            return only if node == task.node else None
        held = (found for node, found in known if node == task.node)
        return max(held, key=lambda found: _claim(found, task), default=None)

    def lives(self, task: Task) -> bool:
        """Its container was seen alive; also a failed task's may be: its last start came late."""
        container = self.container(task)
        return container is not None and container.state.is_alive

    def whereabouts(self, task: Task) -> tuple[str, ...]:
        """Every node on which a container of the task was seen."""
        return tuple(node for node, _ in self._containers.get(task.id, ()))

    def is_ours(self, container: Container) -> bool:
        """Made by this store for this cluster."""
        identity = container.identity
        return identity is not None and (identity.cluster, identity.owner) == (self.cluster, self.owner)

    def rollout(self, job: str) -> Rollout:
        """How far the job's latest version has come."""
        return self.rollouts.get(job) or Rollout(job=job, version=0, since=self.now)

    def may_get_tasks(self, node: Node) -> bool:
        """Neither the inventory nor an operator keeps new tasks away."""
        return node.schedulable and node.name not in self.cordons

    def is_draining(self, node: str | None) -> bool:
        """Its tasks are to move elsewhere."""
        cordon = self.cordons.get(node or "")
        return cordon is not None and cordon.draining

    def drain_deadline(self, node: str | None) -> float | None:
        """When what is left on the node is stopped, in seconds since the epoch; None: never."""
        cordon = self.cordons.get(node or "")
        return cordon.deadline if cordon is not None and cordon.draining else None

    def may_lose_data(self, node: str) -> bool:
        """An operator wants its tasks to begin anew elsewhere, without what they have written there."""
        cordon = self.cordons.get(node)
        return cordon is not None and cordon.leave_data

    @cached_property
    def last_on_a_node(self) -> Mapping[Slot, Task]:
        """Of each slot the newest task that had a node."""
        placed = (task for task in (*self.former, *self.tasks) if task.node is not None)
        return {task.slot: task for task in sorted(placed, key=lambda task: task.order)}

    def newest_tasks(self, job: str) -> Iterable[Task]:
        """The newest task of each slot of the job."""
        return self._newest.get(job, {}).values()

    @cached_property
    def _newest(self) -> Mapping[str, Mapping[Slot, Task]]:
        newest: dict[str, dict[Slot, Task]] = {}
        for task in sorted(self.tasks, key=lambda task: task.order):
            newest.setdefault(task.slot.job, {})[task.slot] = task
        return newest

    @cached_property
    def _containers(self) -> Mapping[str, list[tuple[str, Container]]]:
        """Our containers by task id, each with its node."""
        found: dict[str, list[tuple[str, Container]]] = {}
        for name in self.observed:
            seen = self.seen(name)
            for container in seen.containers if seen else ():
                if container.identity is not None and self.is_ours(container):
                    found.setdefault(container.identity.task, []).append((name, container))
        return found


def as_seen(nodes: Iterable[Node], observed: Mapping[str, Observation]) -> Mapping[str, Node]:
    """The nodes by name, each with what only a look tells of it."""
    return {node.name: _as_seen(node, observed.get(node.name)) for node in nodes}


def _as_seen(node: Node, found: Observation | None) -> Node:
    stats = found.stats if found is not None else None
    if stats is None:
        return node
    return replace(
        node,
        architecture=stats.architecture,
        kernel=stats.kernel,
        os=stats.os,
        os_version=stats.os_version,
        docker=stats.docker,
    )


def _claim(container: Container, task: Task) -> tuple[bool, bool, bool, float]:
    is_recorded, is_named = container.id == task.container, container.name == task.container_name
    return container.state.is_alive, is_recorded, is_named, container.created_at
