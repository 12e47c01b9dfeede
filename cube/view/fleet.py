"""A node, and a job, each as one value that says how it stands."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cube.model.job import Job, JobType
from cube.model.node import Cluster, Cordon, Node
from cube.model.observation import Observation, Seen, Stats, Unknown
from cube.model.resources import Resources
from cube.model.rollout import Rollout
from cube.model.task import Health, Slot, State, Task, TaskEvent
from cube.view.usage import now_in_use


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Of each node the stats of an earlier look, and who keeps new tasks away from it."""

    samples: Mapping[str, Stats]
    cordons: Mapping[str, Cordon]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeView:
    """A node as it was last seen. `state`: ready, cordoned, draining or unknown, and then `why`.

    `capacity` is all that the machine has, `reserved` what the inventory keeps free, `promised` what Cube's
    tasks there may use, `used` what is in use by everybody, `used_by_tasks` what of it is by these, but for
    their disk; None where nothing is known. `others` counts containers that are not Cube's.
    """

    name: str
    address: str
    datacenter: str
    role: str
    labels: Mapping[str, str]
    state: str
    why: str
    cure: str
    seen_at: float
    engine: str
    capacity: Resources | None
    reserved: Resources
    promised: Resources
    used: Resources | None
    used_by_tasks: Resources | None
    load: float | None
    tasks: int
    others: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """A job and how far it is: `wanted` tasks, `running` ones, `healthy` of these, and those that `failed`.

    `rollout` is its state: running, paused, succeeded or failed. `maintenance`: a page answers for it.
    """

    name: str
    type: JobType
    version: int
    priority: int
    stopped: bool
    parent: str | None
    wanted: int
    running: int
    healthy: int
    failed: int
    pending: int
    nodes: tuple[str, ...]
    rollout: str
    reason: str
    maintenance: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """The cluster at one moment, in seconds since the epoch; the last of its newest `events` is the first."""

    cluster: str
    at: float
    nodes: tuple[NodeView, ...]
    jobs: tuple[JobView, ...]
    tasks: tuple[Task, ...]
    events: tuple[TaskEvent, ...]

    @property
    def silent(self) -> frozenset[str]:
        """The nodes that do not answer: what is on them is not known."""
        return frozenset(node.name for node in self.nodes if node.state == "unknown")


def node_view(
    node: Node, found: Observation, tasks: Iterable[Task], recorded: Recorded, cluster: str
) -> NodeView:
    """The node with what stands on it; `tasks` are those of the whole cluster."""
    mine = [task for task in tasks if task.node == node.name and not task.state.is_terminal]
    seen = found if isinstance(found, Seen) else None
    containers = seen.containers if seen else ()
    others = sum(held.identity is None or held.identity.cluster != cluster for held in containers)
    stats = found.stats
    used, used_by_tasks = now_in_use(found, recorded.samples.get(node.name), cluster)
    return NodeView(
        name=node.name,
        address=node.access.address,
        datacenter=node.datacenter,
        role=node.role,
        labels=dict(node.labels),
        state=_node_state(node, found, recorded.cordons.get(node.name)),
        why=f"{found.cause}: {found.why}" if isinstance(found, Unknown) else "",
        cure=found.cure if isinstance(found, Unknown) else "",
        seen_at=found.at,
        engine=seen.engine.version if seen else "",
        capacity=stats.capacity if stats else None,
        reserved=node.reserved,
        promised=sum((task.spec.resources for task in mine), Resources()),
        used=used,
        used_by_tasks=used_by_tasks,
        load=stats.load[0] if stats else None,
        tasks=len(mine),
        others=others,
    )


def job_view(
    job: Job,
    tasks: Iterable[Task],
    rollout: Rollout | None,
    silent: Collection[str],
    closed: Collection[str] = (),
) -> JobView:
    """The job with its tasks, of which those on `silent` nodes are not known to run.

    `closed` are the jobs in maintenance.
    """
    mine = [task for task in tasks if task.slot.job == job.name]
    running = [task for task in mine if task.state is State.RUNNING and task.node not in silent]
    healthy = [task for task in running if task.health in (Health.HEALTHY, Health.UNCHECKED)]
    return JobView(
        name=job.name,
        type=job.type,
        version=job.version,
        priority=job.priority,
        stopped=job.stopped,
        parent=job.parent,
        wanted=wanted_of(job, {task.slot for task in mine if task.state is not State.COMPLETED}),
        running=len(running),
        healthy=len(healthy),
        failed=sum(task.state is State.FAILED for task in mine),
        pending=sum(task.state in (State.PENDING, State.SCHEDULED) for task in mine),
        nodes=tuple(sorted({task.node for task in running if task.node})),
        rollout=rollout.state if rollout else "",
        reason=rollout.reason if rollout else "",
        maintenance=job.name in closed,
    )


def node_views(
    cluster: Cluster, observed: Mapping[str, Observation], tasks: Iterable[Task], recorded: Recorded
) -> tuple[NodeView, ...]:
    """Every node of the cluster that was looked at, in the inventory's order."""
    mine: dict[str | None, list[Task]] = {}
    for task in tasks:
        mine.setdefault(task.node, []).append(task)
    return tuple(
        node_view(node, observed[node.name], mine.get(node.name, ()), recorded, cluster.name)
        for node in cluster.nodes
        if node.name in observed
    )


def job_views(
    jobs: Iterable[Job],
    tasks: Iterable[Task],
    rollouts: Mapping[str, Rollout],
    silent: Collection[str],
    closed: Collection[str] = (),
) -> tuple[JobView, ...]:
    """Each of the jobs with its own of the tasks; `silent` and `closed` as in `job_view`."""
    mine: dict[str, list[Task]] = {}
    for task in tasks:
        mine.setdefault(task.slot.job, []).append(task)
    return tuple(
        job_view(job, mine.get(job.name, ()), rollouts.get(job.name), silent, closed) for job in jobs
    )


def _node_state(node: Node, found: Observation, cordon: Cordon | None) -> str:
    if isinstance(found, Unknown):
        return "unknown"
    if cordon is not None:
        return "draining" if cordon.draining else "cordoned"
    return "ready" if node.schedulable else "cordoned"


def wanted_of(job: Job, slots: Collection[Slot]) -> int:
    """How many tasks the job is to have; of a group that is on each node as many as there are `slots` of it.

    `slots` are those whose task has not completed.
    """
    if job.stopped or job.type.is_template:
        return 0
    return sum(
        group.count if job.is_counted(group) else sum(slot.group == group.name for slot in slots)
        for group in job.groups
    )
