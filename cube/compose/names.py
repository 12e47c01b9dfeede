"""Services that name each other as hosts: Cube has no network of theirs, but names for where tasks serve."""

import re
from collections.abc import Iterator, Mapping, Sequence

from cube.compose import ports, words
from cube.compose.scene import Put, Scene, Told, odd
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
_PAIR = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def names(scene: Scene) -> Iterator[Told]:
    """A name for each service that the settings of this one seem to name, if it can be reached at all."""
    known = {key.text: text_of(value) for key, value in pairs_of(scene.at("extra_hosts"), "=:")}
    for name, other in sorted(dict(_called(scene)).items()):
        open_ports = _published(scene.project.services[other][1])
        may_be_found = open_ports and _HOSTNAME.fullmatch(name) and "host-gateway" not in known.values()
        for scalar in () if name in known else _naming(scene, name):
            if may_be_found:
                yield Put(("discover", name), _place(scene, other, scalar))
                yield odd(
                    scalar, f"{shown(name)} leads to the nodes that run it, at {', '.join(open_ports)}", _KEY
                )
            else:
                what = f"{shown(name)} is no name that tasks of Cube resolve, if a service is meant"
                yield odd(scalar, f"{what}; publish its port, under the same number, and it is", _KEY)


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


def _naming(scene: Scene, name: str) -> Iterator[Scalar]:
    """Links to that name, and values that look as if it was meant: `name`, `name:5432`, `http://name/`."""
    yield from (link for link in _links(scene) if link.text.split(":")[-1] == name)
    named = re.compile(rf"(?:^|[/@,\s]){re.escape(name)}(?::\d|/|$)")
    for key in ("environment", "command", "entrypoint"):
        for scalar in scalars(scene.at(key) or made("", scene.mark)):
            text = scalar.text.partition("=")[2] if _PAIR.match(scalar.text) else scalar.text
            if named.search(text):
                yield scalar


def _place(scene: Scene, other: str, scalar: Scalar) -> Scalar:
    return made(f"{words.name(scene.project.name)}/{scene.groups[other]}", scalar.mark)


def _published(service: Table) -> list[str]:
    """The ports of TCP that other nodes reach, in words."""
    document = entries_of(service).get("ports")
    try:
        found = [told.value for told in ports.ports(document) if isinstance(told, Put)] if document else []
    except StrangeError:  # told where it stands
        return []
    written = [{key: text_of(value) for key, value in entries_of(each).items()} for each in found]
    return [_in_words(port) for port in written if _is_open(port)]


def _is_open(port: Mapping[str, str]) -> bool:
    return port.get("public") == "true" and port.get("host", "").isdigit() and "protocol" not in port


def _in_words(port: Mapping[str, str]) -> str:
    is_same = port["host"] == port["container"]
    return f"port {port['host']}" if is_same else f"port {port['host']}, where it has {port['container']}"
