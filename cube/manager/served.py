"""Who serves, and which requests from outside are whose: what a template may know of the tasks of any job."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cube.model.ingress import Ingress
from cube.model.job import Group, Job
from cube.model.maintenance import Maintenance
from cube.model.node import Cluster, Node
from cube.model.rollout import RolloutState
from cube.model.task import GroupKey, Health, State, Task
from cube.reconciler.world import World

Known = Mapping[str, Any]
"""What a template may know of one thing."""

MOST = 256
"""The largest weight that every proxy takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The tasks that serve, by `job` and by `job/group`, and the jobs that are wanted.

    `maintenances` by the job that is in one. `asked` is told each name that somebody asks for.
    """

    tasks: Mapping[str, Sequence[Known]]
    jobs: tuple[Job, ...] = ()
    maintenances: Mapping[str, Maintenance] = field(default_factory=dict)
    asked: Callable[[str], object] = str

    def service(self, name: str) -> Sequence[Known]:
        """The tasks that serve under that name."""
        self.asked(str(name))
        return self.tasks.get(str(name), [])

    def ingresses(self) -> Sequence[Known]:
        """Each group that takes requests, with its tasks that serve.

        None of a job that is stopped, unless it is in maintenance. The longest path first, and what names its
        hosts before what takes any: the first that fits is meant.
        """
        found = [
            (job, group, group.ingress)
            for job in self.jobs
            if not job.stopped or job.name in self.maintenances
            for group in job.groups
            if group.ingress is not None
        ]
        found.sort(key=lambda each: (-len(each[2].path), not each[2].hosts, each[0].name, each[1].name))
        return [self._ingress(job, group, ingress) for job, group, ingress in found]

    def _ingress(self, job: Job, group: Group, ingress: Ingress) -> Known:
        maintenance = self.maintenances.get(job.name)
        at_port = [
            {**task, "port": task["ports"][ingress.port]}
            for task in self.service(f"{job.name}/{group.name}")
            if ingress.port in task["ports"]
        ]
        return {
            "name": f"{job.name}.{group.name}",
            "job": job.name,
            "group": group.name,
            "hosts": list(ingress.hosts),
            "path": ingress.path,
            "tls": str(ingress.tls),
            "hsts": round(ingress.hsts),
            "sticky": ingress.sticky,
            "connect": ingress.connect,
            "response": ingress.response,
            "retry_after": None if maintenance is None else round(maintenance.retry_after),
            "tasks": weighted(at_port, ingress.canary_weight),
        }


NOBODY = Served(tasks={})


def nobody() -> Served:
    """Nothing serves yet."""
    return NOBODY


def weighted(tasks: Sequence[Known], percent: int | None) -> Sequence[Known]:
    """The tasks, each with its `weight`: canaries get so many percent of all together; None: as the others.

    Whoever is alone gets all of it.
    """
    canaries = sum(task["canary"] for task in tasks)
    others = len(tasks) - canaries
    parts = {True: 1, False: 1}
    if percent is not None and canaries and others:
        parts = {True: percent * others, False: (100 - percent) * canaries}
    most = max(parts.values())
    # Whoever is to get anything gets no less than 1.
    weights = {which: max(round(MOST * part / most), min(part, 1)) for which, part in parts.items()}
    return [{**task, "weight": weights[task["canary"]]} for task in tasks]


def served_by(cluster: Cluster, world: World, leaving: Collection[str] = ()) -> Served:
    """Those that are recorded to run, and to be healthy where that is asked, but for those that leave.

    On a node that does not answer they are what they were: unknown is not absent.
    """
    nodes = {node.name: node for node in cluster.nodes}
    new = dict(_on_trial(world))
    found: dict[str, list[Known]] = {}
    for task in sorted(
        world.tasks, key=lambda task: (task.slot.job, task.slot.group, task.slot.index, task.id)
    ):
        node = nodes.get(task.node or "")
        if node is not None and _serves(task) and task.id not in leaving:
            group = new.get(task.slot.group_key)
            told = _told_of(task, node, is_canary=group is not None and task.spec == group.spec)
            found.setdefault(task.slot.job, []).append(told)
            found.setdefault(f"{task.slot.job}/{task.slot.group}", []).append(told)
    return Served(tasks=found, jobs=world.jobs, maintenances=world.maintenances)


def _on_trial(world: World) -> Iterator[tuple[GroupKey, Group]]:
    """The groups whose new version nobody has promoted yet: what is of it are the canaries."""
    for job in world.jobs:
        rollout = world.rollout(job.name)
        is_over = rollout.promoted or rollout.state is RolloutState.SUCCEEDED
        if rollout.stable is not None and not is_over:
            yield from (((job.name, group.name), group) for group in job.groups if group.update.canary)


def _serves(task: Task) -> bool:
    return task.state is State.RUNNING and task.health in (Health.UNCHECKED, Health.HEALTHY)


def _told_of(task: Task, node: Node, *, is_canary: bool) -> Known:
    """`name` is one that a proxy's configuration takes, and no other task's."""
    ports = {port.name: task.ports[port.name] for port in task.spec.ports if port.name in task.ports}
    return {
        "name": task.container_name.removeprefix("cube-"),
        "task": str(task.slot),
        "job": task.slot.job,
        "group": task.slot.group,
        "index": task.slot.index,
        "version": task.version,
        "canary": is_canary,
        "node": node.name,
        "address": node.access.address,
        "datacenter": node.datacenter,
        "health": str(task.health),
        "ports": ports,
        **({"port": next(iter(ports.values()))} if ports else {}),
    }
