"""What a plan is made from: what is wanted, what is recorded, what was seen, and the time."""

from collections.abc import Mapping
from dataclasses import dataclass

from cube.model.job import Group, Job
from cube.model.node import Node
from cube.model.observation import Container, Observation, Seen
from cube.model.task import Slot, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that `reconcile` may know. `now` in seconds since the epoch.

    `nodes` by name, in inventory order; `jobs` in their latest versions; `tasks` the latest task of
    each slot and every older one that has not ended; `observed` an answer, or its absence, for each node.
    """

    cluster: str
    owner: str
    now: float
    nodes: Mapping[str, Node]
    jobs: tuple[Job, ...]
    tasks: tuple[Task, ...]
    observed: Mapping[str, Observation]

    def seen(self, node: str | None) -> Seen | None:
        """The node's answer; None where it is unknown or no longer in the inventory."""
        found = self.observed.get(node) if node is not None else None
        return found if isinstance(found, Seen) else None

    def container(self, task: Task) -> Container | None:
        """The task's container on its node, as seen; None where there is none, or nobody knows.

        Of several, as after a rename by hand, one that is alive, then the one with the task's name.
        """
        seen = self.seen(task.node)
        if seen is None:
            return None
        return max(
            (found for found in seen.containers if self.is_ours(found, task.id)),
            key=lambda found: (found.state.is_alive, found.name == task.container_name, found.created_at),
            default=None,
        )

    def is_ours(self, container: Container, task: str | None = None) -> bool:
        """Made by this store for this cluster, and for that task if one is given."""
        identity = container.identity
        return (
            identity is not None
            and identity.cluster == self.cluster
            and identity.owner == self.owner
            and task in (None, identity.task)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A slot that a job wants filled."""

    slot: Slot
    job: Job
    group: Group


def wants_of(jobs: tuple[Job, ...]) -> Mapping[Slot, Want]:
    """Every slot that is wanted, in the order of jobs, groups and indices."""
    wants = (
        Want(slot=Slot(job=job.name, group=group.name, index=index), job=job, group=group)
        for job in jobs
        if not job.stopped
        for group in job.groups
        for index in range(group.count)
    )
    return {want.slot: want for want in wants}
