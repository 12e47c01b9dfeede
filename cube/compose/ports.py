"""Published ports."""

import re
from collections.abc import Iterator, Mapping

from cube.compose.scene import Put, Told, lost, odd
from cube.compose.tree import StrangeError, entries_of, items_of, made, table, text_of
from cube.document.check import shown
from cube.document.reader import Document, Mark, Table, plain

_SHORT = re.compile(
    r"(?:(?P<host_ip>\[[0-9A-Fa-f:.]+\]|[0-9]+(?:\.[0-9]+){3}):)?(?:(?P<published>\d*(?:-\d+)?):)?(?P<target>\d+(?:-\d+)?)"
    r"(?:/(?P<protocol>\w+))?"
)
_ANY, _LOOPBACK = ("", "0.0.0.0", "::"), ("127.0.0.1", "::1", "localhost")  # noqa: S104 - what somebody wrote
_MODE = "the port is open on the nodes that run a task: there is no routing mesh"
_APP = "Cube does not ask what is spoken there, but in an ingress"


def ports(document: Document) -> Iterator[Told]:
    """Each in the short form or the long one; a range is several."""
    before: dict[tuple[str, str], Document] = {}
    names: list[str] = []
    for item in items_of(document):
        for told in _long(item) if isinstance(item, Table) else _short(item):
            if not isinstance(told, Put):
                yield told
                continue
            first = before.setdefault(_inside(told.value), told.value)
            if first is told.value:
                names.append(told.path[1])
                yield told._replace(path=("ports", _numbered(told.path[1], names.count(told.path[1]))))
            elif plain(first) != plain(told.value):
                number, protocol = _inside(told.value)
                what = f"the container's {protocol} port {number} is published already ({first.mark})"
                yield lost(item, f"{what}; Cube publishes a port once, so leave one of them", "ports")


def _inside(port: Document) -> tuple[str, str]:
    """What tells it apart in the container."""
    written = entries_of(port)
    return text_of(written["container"]), text_of(written.get("protocol", made("tcp", port.mark)))


def _numbered(name: str, number: int) -> str:
    """Compose's names of ports are for people, and two may be alike."""
    return name if number == 1 else f"{name}-{number}"


def _short(item: Document) -> Iterator[Told]:
    found = _SHORT.fullmatch(text_of(item))
    if found is None:
        text = shown(text_of(item))
        raise StrangeError(item.mark, f"{text} is no port; write 8080:80 or 127.0.0.1:8080:80/tcp")
    written = {key: value for key, value in found.groupdict().items() if value}
    yield from _published(item, {**written, "host_ip": written.get("host_ip", "").strip("[]")})


def _long(item: Document) -> Iterator[Told]:
    written = {key: text_of(value) for key, value in entries_of(item).items()}
    if "target" not in written:
        raise StrangeError(item.mark, "the key 'target' is missing")
    if "app_protocol" in written:
        yield odd(item, _APP, "ports")
    if written.get("mode") == "ingress":
        yield odd(item, _MODE, "ports")
    yield from _published(item, written)


def _published(item: Document, written: Mapping[str, str]) -> Iterator[Told]:
    host, published = written.get("host_ip", ""), written.get("published", "")
    if host not in (*_ANY, *_LOOPBACK):
        what = f"Cube publishes on every address of a node or on its loopback, not on {host}"
        yield lost(item, what, "ports")
    inside, outside = _range(item, written["target"]), _range(item, published) if published else ()
    if len(outside) > 1 and len(inside) not in (1, len(outside)):
        raise StrangeError(item.mark, "the two ranges are not of one length")
    is_choice = len(outside) > 1 and len(inside) == 1
    protocol = written.get("protocol", "tcp")
    for index, port in enumerate(inside):
        wanted = published if is_choice else str(outside[index]) if outside else "auto"
        name = written.get("name") if len(inside) == 1 else None
        found = _port(port, wanted, protocol, item.mark, is_public=host not in _LOOPBACK)
        yield Put(("ports", name or _name(port, protocol)), found)


def _port(port: int, host: str, protocol: str, mark: Mark, *, is_public: bool) -> Table:
    found: dict[str, Document | str] = {"container": str(port)}
    found |= {} if host == "auto" else {"host": host}
    found |= {"public": "true"} if is_public else {}
    return table(found | ({} if protocol == "tcp" else {"protocol": protocol}), mark)


def _name(port: int, protocol: str) -> str:
    return f"port-{port}" if protocol == "tcp" else f"port-{port}-{protocol}"


def _range(item: Document, text: str) -> tuple[int, ...]:
    low, _, high = text.partition("-")
    if not low.isdigit() or (high and not high.isdigit()) or len(text) > 11:
        raise StrangeError(item.mark, f"{shown(text)} is no port")
    found = range(int(low), int(high or low) + 1)
    if not found:
        raise StrangeError(item.mark, f"{shown(text)} is no range of ports")
    return tuple(found)
