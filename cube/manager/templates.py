"""Files from templates: what each task's file is, by the inventory, its node, its job and who serves."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cube.document.reader import check_text
from cube.document.template import render_text
from cube.errors import InputError
from cube.model.files import Files
from cube.model.job import Group, Job, Template
from cube.model.node import Cluster, Node
from cube.model.task import Health, Slot, State, Task
from cube.reconciler.files import has_files
from cube.reconciler.world import World

MAX_BYTES = 1 << 16
"""Of all templates of a group: they travel in the labels of its containers."""


Addresses = Callable[[str], Sequence[Mapping[str, Any]]]
"""Who serves under a name, `job` or `job/group`: what a template may know of each."""


def rendered(cluster: Cluster, node: Node, task: Task, template: Template, service: Addresses) -> str:
    """The file for that task on that node. Raises InputError with file, line and column of the template."""
    if template.text is None:
        raise unread(template)
    return render_text(template.text, variables(cluster, node, task, service), f"templates/{template.source}")


def addresses(cluster: Cluster, tasks: Iterable[Task], leaving: Collection[str] = ()) -> Addresses:
    """Those that are recorded to run, and to be healthy where that is asked, but for those that leave.

    On a node that does not answer they are what they were: unknown is not absent.
    """
    nodes = {node.name: node for node in cluster.nodes}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for task in sorted(tasks, key=lambda task: (task.slot.job, task.slot.group, task.slot.index, task.id)):
        node = nodes.get(task.node or "")
        if node is not None and _serves(task) and task.id not in leaving:
            told = _told_of(task, node)
            found.setdefault(task.slot.job, []).append(told)
            found.setdefault(f"{task.slot.job}/{task.slot.group}", []).append(told)
    return lambda name: found.get(str(name), [])


def nobody(_name: str) -> Sequence[Mapping[str, Any]]:
    """Nothing serves yet."""
    return []


def files_of(cluster: Cluster, world: World, leaving: Collection[str]) -> Mapping[str, Files]:
    """What the files of each running task are to be, once those that leave are named in none; by task."""
    readers = [task for task in world.tasks if has_files(task, world)]
    service = addresses(cluster, world.tasks, leaving) if readers else nobody
    nodes = {node.name: node for node in cluster.nodes}
    return {
        task.id: _files(cluster, nodes[task.node], task, service) for task in readers if task.node in nodes
    }


def _files(cluster: Cluster, node: Node, task: Task, service: Addresses) -> Files:
    asked: set[str] = set()

    def told(name: str) -> Sequence[Mapping[str, Any]]:
        asked.add(str(name))
        return service(name)

    error = ""
    texts = []
    for template in task.spec.templates:
        try:
            texts.append(rendered(cluster, node, task, template, told))
        except InputError as refusal:
            error = f"{refusal.where}: {refusal.what}: {refusal.why}"
    return Files(texts=tuple(texts), services=frozenset(asked), error=error)


def variables(cluster: Cluster, node: Node, task: Task, service: Addresses) -> Mapping[str, Any]:
    """What a template may name."""
    nodes = [_told(each) for each in cluster.nodes]
    return {
        "var": dict(cluster.variables),
        "cluster": {"name": cluster.name, "nodes": nodes, "groups": _groups(cluster)},
        "node": _told(node),
        "job": {"name": task.slot.job, "version": task.version},
        "group": {"name": task.slot.group},
        "task": {"name": str(task.slot), "index": task.slot.index, "id": task.id, "ports": dict(task.ports)},
        "env": dict(task.spec.env),
        "service": service,
    }


def checked(text: str, source: str) -> str:
    """The text of a template file. Raises InputError for one that is too large, or holds what no file may."""
    check_text(text, source, MAX_BYTES)
    return text


def unread(template: Template) -> InputError:
    """Its text is part of the job once it was read; a job of which it is no part cannot run."""
    return InputError(
        f"the template {template.source} was not read",
        why="templates are files of the project that deploys the job",
        cure="Deploy it with cube deploy, from the project's folder, or leave 'templates' out.",
    )


def filled(job: Job, texts: Mapping[str, str]) -> Job:
    """The job, its templates with their texts. Raises InputError where a group's are too many."""
    return replace(job, groups=tuple(_filled(group, texts) for group in job.groups))


def tried(job: Job, cluster: Cluster) -> None:
    """Render every template once for each node, for nobody: mistakes are found before the first start."""
    for group in job.groups:
        ports = {port.name: port.host or port.host_range[0] for port in group.spec.ports}
        for node in cluster.nodes if group.spec.templates else ():
            slot = Slot(job=job.name, group=group.name, index=0)
            task = Task(
                id="", slot=slot, version=1, spec=group.spec, state=State.SCHEDULED, order=0,
                created_at=0.0, changed_at=0.0, node=node.name, ports=ports,
            )  # fmt: skip
            for template in group.spec.templates:
                rendered(cluster, node, task, template, nobody)


def _filled(group: Group, texts: Mapping[str, str]) -> Group:
    found = tuple(replace(each, text=texts[each.source]) for each in group.spec.templates)
    total = sum(len((each.text or "").encode()) for each in found)
    if total > MAX_BYTES:
        why = f"they have {total} bytes; {MAX_BYTES} are allowed"
        raise InputError(f"the templates of group {group.name} are too large", why=why)
    return replace(group, spec=replace(group.spec, templates=found))


def _serves(task: Task) -> bool:
    return task.state is State.RUNNING and task.health in (Health.UNCHECKED, Health.HEALTHY)


def _told_of(task: Task, node: Node) -> Mapping[str, Any]:
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


def _told(node: Node) -> Mapping[str, Any]:
    return {
        "name": node.name,
        "address": node.access.address,
        "datacenter": node.datacenter,
        "role": node.role,
        "labels": dict(node.labels),
    }


def _groups(cluster: Cluster) -> Mapping[str, list[str]]:
    return {name: list(nodes) for name, nodes in cluster.groups.items()}
