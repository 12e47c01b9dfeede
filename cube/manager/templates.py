"""Files from templates: what each task's file is, by the inventory, its node, its job and who serves."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, NoReturn

from cube.document.reader import check_text
from cube.document.template import render_text
from cube.errors import InputError
from cube.manager.served import NOBODY, Served, nobody, served_by
from cube.model.files import Files, variables_in
from cube.model.job import Group, Job, Template
from cube.model.node import Cluster, Node
from cube.model.task import Slot, State, Task
from cube.reconciler.files import has_files
from cube.reconciler.world import World

MAX_BYTES = 1 << 16
"""Of all templates of a group: they travel in the labels of its containers."""


Serving = Callable[[], Served]
"""Who serves; asked only for a template that wants to know."""


def rendered(cluster: Cluster, node: Node, serving: Serving, task: Task, template: Template) -> str:
    """The file for that task on that node. Raises InputError with file, line and column of the template."""
    if template.text is None:
        raise unread(template)
    place = f"templates/{template.source}" if template.source else template.target
    text = render_text(template.text, variables(cluster, node, task, serving), place)
    if template.env:
        _refuse_other_lines(text, place)
    return text


def _refuse_other_lines(text: str, place: str) -> None:
    try:
        variables_in(text)
    except ValueError as error:
        cure = "Write one variable in each line, without quotes and 'export'."
        raise InputError("the file is to hold variables", where=place, why=str(error), cure=cure) from None


def files_of(cluster: Cluster, world: World, leaving: Collection[str]) -> Mapping[str, Files]:
    """What the files of each running task are to be, once those that leave are named in none; by task."""
    readers = [task for task in world.tasks if has_files(task, world)]
    served = served_by(cluster, world, leaving) if readers else NOBODY
    nodes = {node.name: node for node in cluster.nodes}
    return {
        task.id: _files(cluster, nodes[task.node], task, served) for task in readers if task.node in nodes
    }


def refuse_stale_files(cluster: Cluster, before: World, after: World) -> None:
    """Raises InputError for a file that can be made as it is before, and could not be as it is after."""
    then = files_of(cluster, after, ())
    broken = [reader for reader, files in then.items() if files.error]
    now = files_of(cluster, before, ()) if broken else {}
    for task in before.tasks:
        if task.id in broken and not now[task.id].error:
            what = f"the files of {task.slot} on {task.node} could not be made any more"
            raise InputError(what, where=cluster.name, why=then[task.id].error)


def _files(cluster: Cluster, node: Node, task: Task, served: Served) -> Files:
    asked: set[str] = set()
    listened = replace(served, asked=asked.add)
    error = ""
    texts = []
    for template in task.spec.templates:
        try:
            texts.append(rendered(cluster, node, lambda: listened, task, template))
        except InputError as refusal:
            error = f"{refusal.where}: {refusal.what}: {refusal.why}"
    return Files(texts=tuple(texts), services=frozenset(asked), error=error)


def variables(cluster: Cluster, node: Node, task: Task, serving: Serving) -> Mapping[str, Any]:
    """What a template may name."""
    nodes = [_told(each) for each in cluster.nodes]
    return {
        "var": dict(cluster.variables),
        "cluster": {"name": cluster.name, "nodes": nodes, "groups": _groups(cluster)},
        "node": _told(node),
        "job": {"name": task.slot.job, "version": task.version},
        "group": {"name": task.slot.group},
        "task": {
            "name": str(task.slot),
            "index": task.slot.index,
            "id": task.id,
            "ports": dict(task.ports),
            "files": [each.target for each in task.spec.templates],
        },
        "env": dict(task.spec.env),
        "service": lambda name: serving().service(name),
        "ingresses": lambda: serving().ingresses(),
        "refuse": refused,
    }


def refused(why: object) -> NoReturn:
    """What a template says that cannot do what somebody asks of it. Raises InputError."""
    raise InputError(str(why))


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


def unread_in(job: Job) -> tuple[str, ...]:
    """The names of its template files that nobody has read yet."""
    every = (each for group in job.groups for each in group.spec.templates)
    return tuple(sorted({each.source for each in every if each.source and each.text is None}))


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
                rendered(cluster, node, nobody, task, template)


def _filled(group: Group, texts: Mapping[str, str]) -> Group:
    found = tuple(
        replace(each, text=texts[each.source]) if each.source else each for each in group.spec.templates
    )
    total = sum(len((each.text or "").encode()) for each in found)
    if total > MAX_BYTES:
        why = f"they have {total} bytes; {MAX_BYTES} are allowed"
        raise InputError(f"the templates of group {group.name} are too large", why=why)
    return replace(group, spec=replace(group.spec, templates=found))


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
