"""A Compose project as the document of a job, and all that is to be said about it."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cube.compose import networks, words
from cube.compose.health import COMPLETED
from cube.compose.keys import SAYS
from cube.compose.loader import Source
from cube.compose.names import names
from cube.compose.project import Project, Surroundings, project_of
from cube.compose.scene import Lost, Odd, Put, Scene, Told, lost
from cube.compose.shape import SERVICE, strange, without_strange
from cube.compose.tree import (
    Finding,
    StrangeError,
    entries_of,
    in_order,
    is_null,
    keyed,
    made,
    one_or_more,
    overlaid,
    refusal,
    table,
    text_of,
)
from cube.document.check import shown
from cube.document.reader import Document, Scalar, Table, plain

_TOP = frozenset({"version", "name", "services", "volumes", "networks", "configs", "secrets"})
_STARTED_AGAIN = frozenset({"restart", "deploy"})
_KEPT_ALIVE = (
    "without 'restart' Compose starts a service once, and Cube keeps it alive; write restart: always, or "
    "x-cube: {type: batch} where it is to end"
)
_UNLIMITED = "nothing is written of its memory, so it has 128MiB; write deploy.resources.limits.memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A job, its values without templates, each at its place in the Compose files; and what is otherwise."""

    job: Table
    told: tuple[Finding, ...]


def convert(sources: Sequence[Source], around: Surroundings) -> Converted:
    """The job that runs what the Compose files describe, each service a group.

    Raises InputError that lists, with file, line and column, everything that Cube cannot do and that the
    files' `x-cube: {ignore: [...]}` do not name.
    """
    project = project_of(sources, around)
    try:
        job, told = _job(project)
    except StrangeError as error:
        raise refusal([error.finding]) from None
    if grave := [each.finding for each in told if isinstance(each, Lost)]:
        raise refusal(grave)
    found = (*project.told, *(each.finding for each in told if isinstance(each, Odd)))
    return Converted(job=job, told=tuple(in_order(found)))


def _job(project: Project) -> tuple[Table, list[Told]]:
    own = entries_of(project.document).get("x-cube")
    whole = _ignored(own)
    told = [_softened(each, whole) for each in _of_the_whole(project)]
    slips = {name: [*map(Lost, strange(service, SERVICE))] for name, (_, service) in project.services.items()}
    project = _without_strange(project)
    ending = frozenset(_ending(project))
    told += [_softened(each, whole) for each in _of_all_services(project, ending)]
    groups, kept = _groups(project), {}
    for name, (mark, service) in project.services.items():
        scene = Scene(project=project, service=name, mark=mark, written=service, groups=groups, ending=ending)
        ignored = whole | _ignored(scene.at("x-cube"))
        found = [_softened(each, ignored) for each in (*slips[name], *_told_of(scene))]
        told += found
        kept[groups[name]] = _group(scene, found)
    mark = project.document.mark
    entries: dict[str, Document | str] = {"job": words.name(project.name)}
    entries |= {"type": "system"} if _are_all_global(project) else {}
    job = table({**entries, "groups": table(kept, mark)}, mark)
    return overlaid(job, _without_ignore(own)) if isinstance(own, Table) else job, told


def _without_strange(project: Project) -> Project:
    """What of it Compose knows."""
    document = without_strange(project.document, "")
    assert isinstance(document, Table)
    found = keyed(entries_of(document)["services"])
    services = {key.text: (key.mark, value) for key, value in found if isinstance(value, Table)}
    return replace(project, document=document, services={name: services[name] for name in project.services})


def _of_the_whole(project: Project) -> Iterator[Told]:
    if not project.services:
        raise StrangeError(project.document.mark, "there is no service to run")
    for key, value in project.document.entries:
        if key.text not in _TOP and not key.text.startswith("x-"):
            what = f"Cube has nothing for {shown(key.text)}"
            yield Lost(Finding(key.mark, what, key.text))
        elif key.text != "services":
            yield from map(Lost, strange(value, key.text))


def _of_all_services(project: Project, ending: frozenset[str]) -> Iterator[Told]:
    """What is said once, though it be true of many of them."""
    yield from networks.declared(project)
    written = {name: entries_of(service) for name, (_, service) in project.services.items()}
    silent = [name for name in written if name not in ending and not _STARTED_AGAIN & written[name].keys()]
    if silent:
        what = f"{', '.join(silent)}: {_KEPT_ALIVE}"
        yield Odd(Finding(project.services[silent[0]][0], what, "restart"))


def _told_of(scene: Scene) -> Iterator[Told]:
    """What is put and said of one service, in the order of the keys' table."""
    written = {key.text: (key, value) for key, value in scene.written.entries}
    yield from _unknown(written)
    for key, say in SAYS.items():
        if key in written and not is_null(written[key][1]):
            try:
                yield from _none_twice(key, say(scene, written[key][1]))
            except StrangeError as error:
                yield Lost(error.finding)
    yield from _unwritten(scene)


def _none_twice(key: str, found: Iterable[Told]) -> Iterator[Told]:
    """Of two values for one entry only the later would be left; for a variable or a label, it is meant."""
    before: dict[tuple[str, ...], Document] = {}
    for told in found:
        if isinstance(told, Put) and told.path[0] not in ("env", "labels"):
            first = before.setdefault(told.path, told.value)
            if plain(first) != plain(told.value):
                what = f"{key}: a job has {shown(told.path[-1])} once, and {first.mark} says another"
                yield lost(told.value, what, key)
        yield told


def _softened(told: Told, ignored: frozenset[str]) -> Told:
    """What is not to matter is only told."""
    if not isinstance(told, Lost) or not _covers(ignored, told.finding.key):
        return told
    return Odd(told.finding._replace(what=f"ignored: {told.finding.what}"))


def _covers(ignored: frozenset[str], key: str) -> bool:
    return bool(key) and any(key == name or key.startswith(f"{name}.") for name in ignored)


def _unknown(written: Mapping[str, tuple[Scalar, Document]]) -> Iterator[Told]:
    for name, (key, _) in written.items():
        if name not in SAYS and not name.startswith("x-"):
            close = difflib.get_close_matches(name, SAYS, n=1)
            advice = f"; did you mean '{close[0]}'?" if close else ""
            yield Lost(Finding(key.mark, f"Compose has no key {shown(name)}{advice}", name))


def _group(scene: Scene, told: Sequence[Told]) -> Table:
    """All that was put, later over earlier, and what the service's own `x-cube` says over all."""
    found = Table((), scene.mark)
    for each in told:
        if isinstance(each, Put):
            value: Document = each.value
            for step in reversed(each.path):
                value = Table(((made(step, each.value.mark), value),), scene.mark)
            assert isinstance(value, Table)
            found = overlaid(found, value)
    found = overlaid(found, _by_itself(scene, found))
    own = scene.at("x-cube")
    return overlaid(found, _without_ignore(own)) if isinstance(own, Table) else found


def _by_itself(scene: Scene, found: Table) -> Table:
    """What follows from the others: who ends is a batch; who is waited for is asked by its image."""
    added: dict[str, Document | str] = {}
    if scene.ends:
        added["type"] = "batch"
    if _is_global(scene.written) and not _are_all_global(scene.project):
        added["type"] = "system"
    if "health" not in entries_of(found) and scene.service in _waited_for(scene.project, "service_healthy"):
        added["health"] = table({"image": "true"}, scene.mark)
    return table(added, scene.mark)


def _unwritten(scene: Scene) -> Iterator[Told]:
    """What a person should know of what is not written."""
    if not any(scene.at(*path) for path in _MEMORY) and "memory" not in entries_of(scene.at("x-cube")):
        yield Odd(Finding(scene.mark, _UNLIMITED, "memory"))
    yield from names(scene)


_MEMORY = (
    ("mem_limit",),
    ("mem_reservation",),
    ("deploy", "resources", "limits", "memory"),
    ("deploy", "resources", "reservations", "memory"),
)


def _ending(project: Project) -> Iterator[str]:
    """Services that end by themselves: their end is waited for, or they say so."""
    yield from _waited_for(project, COMPLETED)
    for name, (_, service) in project.services.items():
        mode = entries_of(entries_of(service).get("deploy")).get("mode")
        kind = entries_of(entries_of(service).get("x-cube")).get("type")
        if (mode and text_of(mode) == "replicated-job") or (kind and text_of(kind) == "batch"):
            yield name


def _waited_for(project: Project, condition: str) -> set[str]:
    return {
        name
        for _, service in project.services.values()
        if isinstance(waits := entries_of(service).get("depends_on"), Table)
        for name, value in entries_of(waits).items()
        if (said := entries_of(value).get("condition")) is not None and text_of(said) == condition
    }


def _are_all_global(project: Project) -> bool:
    """Then that is the type of the job."""
    return all(_is_global(service) for _, service in project.services.values())


def _is_global(service: Document) -> bool:
    """One task on each node."""
    mode = entries_of(entries_of(service).get("deploy")).get("mode")
    return mode is not None and text_of(mode) == "global"


def _groups(project: Project) -> Mapping[str, str]:
    """Services to groups, whose names are narrower."""
    found = {name: words.name(name) for name in project.services}
    for name, (mark, _) in project.services.items():
        if twins := sorted(other for other in found if other != name and found[other] == found[name]):
            what = f"the services {shown(name)} and {shown(twins[0])} would be one group {found[name]!r}"
            raise StrangeError(mark, what)
    return found


def _ignored(own: Document | None) -> frozenset[str]:
    return frozenset(text_of(item) for item in one_or_more(entries_of(own).get("ignore")))


def _without_ignore(own: Table) -> Table:
    return Table(tuple((key, value) for key, value in keyed(own) if key.text != "ignore"), own.mark)
