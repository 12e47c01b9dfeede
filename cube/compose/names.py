"""Services that name each other as hosts: Cube has no network of theirs, but names for where tasks serve."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple

from cube.compose import ports, words
from cube.compose.scene import Put, Scene, Told, lost, odd
from cube.compose.tree import (
    StrangeError,
    entries_of,
    items_of,
    made,
    pairs_of,
    scalars,
    text_of,
)
from cube.document.check import shown
from cube.document.reader import Scalar, Table

_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_KEY = "discover"
_OF_A_HOST = re.compile(r"HOST|ADDR|SERVER|UR[IL]|ENDPOINT|BROKER|DSN|PROXY|PEER", re.IGNORECASE)
"""Names of variables whose value is mostly somebody's address."""


def names(scene: Scene) -> Iterator[Told]:
    """A name for each service that the settings of this one name, if it can be reached at all."""
    known = {key.text: text_of(value) for key, value in pairs_of(scene.at("extra_hosts"), "=:")}
    for name, other in sorted(dict(_called(scene)).items()):
        for said in () if name in known else _naming(scene, name, other):
            yield from _found(scene, said, other, is_own_file="host-gateway" not in known.values())


def _found(scene: Scene, said: "_Reference", other: str, *, is_own_file: bool) -> Iterator[Told]:
    """The name, where that service can be reached by it, at the port that is written."""
    ports_ = _published(scene.project.services[other][1])
    numbers = {port["host"] for port in ports_}
    if ports_ and _HOSTNAME.fullmatch(said.name) and is_own_file and said.port in ("", *numbers):
        yield Put(("discover", said.name), _place(scene, other, said.scalar))
        where = ", ".join(map(_in_words, ports_))
        yield odd(said.scalar, f"{shown(said.name)} leads to the nodes that run it, at {where}", _KEY)
    elif said.is_certain:
        yield lost(said.scalar, _refused(scene, said, other, is_own_file=is_own_file), _KEY)
    else:
        what = f"{shown(said.name)} is no name that tasks of Cube resolve, if a service is meant"
        yield odd(said.scalar, f"{what}; publish its port, under the same number, and it is", _KEY)


def _refused(scene: Scene, said: "_Reference", other: str, *, is_own_file: bool) -> str:
    """What to write."""
    otherwise = (
        f"where no service is meant by {shown(said.name)}, x-cube: {{ignore: [{_KEY}]}} in {scene.service}"
    )
    if not is_own_file:
        return f"{shown(said.name)} is not found where extra_hosts has 'host-gateway'; {otherwise}"
    if not _HOSTNAME.fullmatch(said.name):
        return (
            f"{shown(said.name)} is no name for a host, by which a task of Cube could be found; {otherwise}"
        )
    mark, service = scene.project.services[other]
    port = said.port or _exposed(service) or "PORT"
    which = ", where PORT is the one that it listens on" if port == "PORT" else ""
    return (
        f"the service {shown(other)} is not to be reached from here: Cube has no networks between tasks; "
        f'write ports: ["{port}:{port}"] in {other} ({mark}){which}, and everybody who reaches the node '
        f"reaches it; {otherwise}"
    )


def _exposed(service: Table) -> str:
    """The port that it says to have, if that is one."""
    found = [text_of(item).partition("/")[0] for item in items_of(entries_of(service).get("expose"))]
    return found[0] if len(found) == 1 and found[0].isdigit() else ""


def _called(scene: Scene) -> Iterator[tuple[str, str]]:
    """The names by which Compose lets this service find others, and whose they are."""
    for other, (_, written) in scene.project.services.items():
        if other != scene.service:
            yield from ((name, other) for name in (other, *_aliases(written)))
    for link in _links(scene):
        other, _, alias = link.text.partition(":")
        if other in scene.project.services:
            yield alias or other, other


def _aliases(service: Table) -> Sequence[str]:
    """What else it is called in its networks."""
    networks = entries_of(service).get("networks")
    each = entries_of(networks).values() if isinstance(networks, Table) else ()
    try:
        return [text_of(name) for options in each for name in items_of(entries_of(options).get("aliases"))]
    except StrangeError:  # told where it stands
        return ()


def _links(scene: Scene) -> Iterator[Scalar]:
    yield from scalars(scene.at("links") or made("", scene.mark))


class _Reference(NamedTuple):
    """A name, where it stands, and with what port, if one is written.

    `is_certain`: a service is meant; else it may be a word that happens to be a service's name.
    """

    name: str
    scalar: Scalar
    port: str
    is_certain: bool


def _naming(scene: Scene, name: str, other: str) -> Iterator[_Reference]:
    """Links to that name, and values that look as if it was meant: `name`, `name:5432`, `http://name/`."""
    for link in _links(scene):
        if link.text.split(":")[-1] == name:
            yield _Reference(name, link, "", is_certain=True)
    named = re.compile(rf"(?P<before>^|//|[@,=(\s]){re.escape(name)}(?::(?P<port>\d+)|(?=[/,\s])|$)")
    is_waited_for = other in _waited_for(scene)
    for variable, scalar, text in _settings(scene):
        for found in named.finditer(text):
            port = found["port"] or ""
            where = text[: found.start()] if found["before"] == "=" else variable
            is_address = bool(port) or found["before"] in ("//", "@") or bool(_OF_A_HOST.search(where))
            is_meant = is_address or (is_waited_for and bool(variable) and found[0] == text)
            yield _Reference(name, scalar, port, is_certain=is_meant)


def _settings(scene: Scene) -> Iterator[tuple[str, Scalar, str]]:
    """Variables, with their names, and words of commands, without."""
    for variable, value in pairs_of(scene.at("environment")):
        yield from ((variable.text, scalar, scalar.text) for scalar in scalars(value))
    for key in ("command", "entrypoint"):
        for scalar in scalars(scene.at(key) or made("", scene.mark)):
            yield "", scalar, scalar.text


def _waited_for(scene: Scene) -> Container[str]:
    written = scene.at("depends_on")
    return (
        entries_of(written)
        if isinstance(written, Table)
        else [scalar.text for scalar in scalars(written or made("", scene.mark))]
    )


def _place(scene: Scene, other: str, scalar: Scalar) -> Scalar:
    return made(f"{words.name(scene.project.name)}/{scene.groups[other]}", scalar.mark)


def _published(service: Table) -> list[Mapping[str, str]]:
    """The ports that other nodes reach."""
    document = entries_of(service).get("ports")
    try:
        found = [told.value for told in ports.ports(document) if isinstance(told, Put)] if document else []
    except StrangeError:  # told where it stands
        return []
    written = [{key: text_of(value) for key, value in entries_of(each).items()} for each in found]
    return [port for port in written if port.get("public") == "true" and port.get("host", "").isdigit()]


def _in_words(port: Mapping[str, str]) -> str:
    number = f"{port['host']}/udp" if "protocol" in port else port["host"]
    is_same = port["host"] == port["container"]
    return f"port {number}" if is_same else f"port {number}, where it has {port['container']}"
