"""Compose files laid over each other, by the specification's rules of merging."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from cube.compose.tree import as_table, is_null, made, one_or_more, table, text_of
from cube.document.reader import Document, Listing, Mark, Scalar, Table

RESET, OVERRIDE = "!reset", "!override"
TAGS = frozenset({RESET, OVERRIDE})

Path = tuple[str, ...]


def merged(below: Document | None, above: Document, path: Path = ()) -> Document:
    """The document `above`, laid over the one below; `path` is where both stand, `*` for any name."""
    if below is None or above.tag == OVERRIDE:
        return without_tags(above)
    shape = SHAPES.get(path)
    if shape is not None:
        below, above = shape(below), shape(above)
    if path in REPLACED or (is_null(above) and not isinstance(above, Table)):
        return below if is_null(above) else above
    if isinstance(below, Table) and isinstance(above, Table):
        if path == LOGGING and _driver(below) != _driver(above) and _driver(above):
            return above
        return _tables(below, above, path)
    if isinstance(below, Listing) and isinstance(above, Listing):
        return _lists(below, above, path)
    return above


def without_tags(document: Document) -> Document:
    """What is left once nothing lies below it: entries to be reset are gone."""
    match document:
        case Table(entries=entries, mark=mark):
            kept = ((key, without_tags(value)) for key, value in entries if value.tag != RESET)
            return Table(tuple(kept), mark)
        case Listing(items=items, mark=mark):
            return Listing(tuple(without_tags(item) for item in items if item.tag != RESET), mark)
        case Scalar(text=text, mark=mark, is_plain=is_plain):
            return Scalar(text, mark, is_plain)


def _tables(below: Table, above: Table, path: Path) -> Table:
    found = {key.text: (key, value) for key, value in below.entries}
    for key, value in above.entries:
        if value.tag == RESET:
            found.pop(key.text, None)
            continue
        lower = found.get(key.text, (key, None))[1]
        inner = (*path, "*") if path in NAMED else (*path, key.text)
        is_value = path in VALUES
        found[key.text] = (key, value if is_value else merged(lower, value, inner))
    return Table(tuple(found.values()), below.mark)


def _lists(below: Listing, above: Listing, path: Path) -> Listing:
    """One after the other; of two for the same thing the later, at the place of the first."""
    identity = IDENTITIES.get(path)
    if identity is None:
        return Listing((*below.items, *above.items), below.mark)
    found: dict[str, Document] = {}
    for item in (*below.items, *above.items):
        found[identity(item)] = item
    return Listing(tuple(found.values()), below.mark)


SERVICE: Path = ("services", "*")
LOGGING: Path = (*SERVICE, "logging")
NAMED = frozenset({("services",), ("volumes",), ("networks",), ("configs",), ("secrets",)})
"""Tables whose keys are names that somebody chose."""

VALUES = frozenset({(*SERVICE, "environment"), (*SERVICE, "labels"), (*SERVICE, "extra_hosts")})
"""Tables of single values: even nothing takes the place of something."""

REPLACED = frozenset({(*SERVICE, "command"), (*SERVICE, "entrypoint"), (*SERVICE, "healthcheck", "test")})
"""What is one value, though it be written as a list."""


def _driver(logging: Table) -> str:
    return next((text_of(value) for key, value in logging.entries if key.text == "driver"), "")


def _list(document: Document) -> Document:
    return Listing(one_or_more(document), document.mark, document.tag)


def _named(value: Mapping[str, str]) -> Callable[[Document], Document]:
    """A list of names as a table of what each stands for."""

    def shape(document: Document) -> Document:
        if not isinstance(document, Listing):
            return document
        entries = ((made(text_of(item), item.mark), _standing(item.mark)) for item in document.items)
        return Table(tuple(entries), document.mark, document.tag)

    def _standing(mark: Mark) -> Document:
        return table(value, mark) if value else Scalar("", mark, is_plain=True)

    return shape


def _alone(key: str) -> Callable[[Document], Document]:
    """A single value as the table of which it is the one entry that matters."""
    return lambda document: (
        table({key: document}, document.mark)
        if isinstance(document, Scalar) and not is_null(document)
        else document
    )


SHAPES: Mapping[Path, Callable[[Document], Document]] = {
    **{(*SERVICE, key): as_table for key in ("environment", "labels", "annotations", "sysctls")},
    (*SERVICE, "extra_hosts"): lambda document: as_table(document, "=:"),
    (*SERVICE, "depends_on"): _named({"condition": "service_started"}),
    (*SERVICE, "networks"): _named({}),
    (*SERVICE, "build"): _alone("context"),
    (*SERVICE, "extends"): _alone("service"),
    **{(*SERVICE, key): _list for key in ("env_file", "dns", "dns_search", "tmpfs", "label_file")},
}
"""The longer of the two ways in which each may be written."""


class _Port(NamedTuple):
    address: str
    published: str
    target: str
    protocol: str


def _port(item: Document) -> str:
    if isinstance(item, Table):
        written = {key.text: text_of(value) for key, value in item.entries}
        return repr(
            _Port(
                written.get("host_ip", ""),
                written.get("published", ""),
                written.get("target", ""),
                written.get("protocol", "tcp"),
            )
        )
    ports, _, protocol = text_of(item).partition("/")
    *address, published, target = ["", "", *ports.split(":")]
    return repr(_Port(":".join(filter(None, address)), published, target, protocol or "tcp"))


def _target(item: Document) -> str:
    """Where a volume, a secret or a configuration is to be seen."""
    if isinstance(item, Table):
        written = {key.text: value for key, value in item.entries}
        return text_of(written.get("target") or written.get("source") or made("", item.mark))
    parts = text_of(item).split(":")
    return parts[1] if len(parts) > 1 else parts[0]


IDENTITIES: Mapping[Path, Callable[[Document], str]] = {
    (*SERVICE, "ports"): _port,
    **{(*SERVICE, key): _target for key in ("volumes", "secrets", "configs")},
    **{
        (*SERVICE, key): text_of
        for key in ("expose", "cap_add", "cap_drop", "dns", "dns_search", "group_add", "tmpfs", "profiles")
    },
}
"""What tells two entries of a list apart, where only one of each may be."""
