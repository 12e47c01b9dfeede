"""Who serves, and which requests from outside are whose: what a template may know of the tasks of any job."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cube.model.job import Group, Ingress, Job
from cube.model.node import Cluster, Node
from cube.model.task import Health, State, Task

Known = Mapping[str, Any]
"""What a template may know of one thing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The tasks that serve, by `job` and by `job/group`, and the jobs that are wanted.

    `asked` is told each name that somebody asks for.
    """

    tasks: Mapping[str, Sequence[Known]]
    jobs: tuple[Job, ...] = ()
    asked: Callable[[str], object] = str

    def service(self, name: str) -> Sequence[Known]:
        """The tasks that serve under that name."""
        self.asked(str(name))
        return self.tasks.get(str(name), [])

    def ingresses(self) -> Sequence[Known]:
        """Each group that takes requests, with its tasks that serve; none of a job that is stopped.

        The longest path first, and what names its hosts before what takes any: the first that fits is meant.
        """
        found = [
            (job, group, group.ingress)
            for job in self.jobs
            if not job.stopped
            for group in job.groups
            if group.ingress is not None
        ]
        found.sort(key=lambda each: (-len(each[2].path), not each[2].hosts, each[0].name, each[1].name))
        return [self._ingress(job, group, ingress) for job, group, ingress in found]

    def _ingress(self, job: Job, group: Group, ingress: Ingress) -> Known:
        tasks = self.service(f"{job.name}/{group.name}")
        at_port = [(task, task["ports"].get(ingress.port)) for task in tasks]
        return {
            "name": f"{job.name}.{group.name}",
            "job": job.name,
            "group": group.name,
            "hosts": list(ingress.hosts),
            "path": ingress.path,
            "tasks": [{**task, "port": port} for task, port in at_port if port is not None],
        }


NOBODY = Served(tasks={})


def nobody() -> Served:
    """Nothing serves yet."""
    return NOBODY


def served_by(
    cluster: Cluster, jobs: Iterable[Job], tasks: Iterable[Task], leaving: Collection[str] = ()
) -> Served:
    """Those that are recorded to run, and to be healthy where that is asked, but for those that leave.

    On a node that does not answer they are what they were: unknown is not absent.
    """
    nodes = {node.name: node for node in cluster.nodes}
    found: dict[str, list[Known]] = {}
    for task in sorted(tasks, key=lambda task: (task.slot.job, task.slot.group, task.slot.index, task.id)):
        node = nodes.get(task.node or "")
        if node is not None and _serves(task) and task.id not in leaving:
            told = _told_of(task, node)
            found.setdefault(task.slot.job, []).append(told)
            found.setdefault(f"{task.slot.job}/{task.slot.group}", []).append(told)
    return Served(tasks=found, jobs=tuple(jobs))


def _serves(task: Task) -> bool:
    return task.state is State.RUNNING and task.health in (Health.UNCHECKED, Health.HEALTHY)


def _told_of(task: Task, node: Node) -> Known:
    """`name` is one that a proxy's configuration takes, and no other task's."""
    ports = {port.name: task.ports[port.name] for port in task.spec.ports if port.name in task.ports}
    return {
        "name": task.container_name.removeprefix("cube-"),
        "task": str(task.slot),
        "job": task.slot.job,
        "group": task.slot.group,
        "index": task.slot.index,
        "version": task.version,
        "node": node.name,
        "address": node.access.address,
        "datacenter": node.datacenter,
        "health": str(task.health),
        "ports": ports,
        **({"port": next(iter(ports.values()))} if ports else {}),
    }
