"""What is mounted: named volumes of the project, paths of the node, memory."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cube.compose import files, words
from cube.compose.process import TMPFS_SIZE, in_memory
from cube.compose.scene import Put, Scene, Told, in_words, lost, odd, put
from cube.compose.tree import (
    StrangeError,
    called,
    entries_of,
    is_null,
    items_of,
    made,
    switch_of,
    table,
    text_of,
)
from cube.document.check import shown
from cube.document.reader import Document, Listing, Table

_HARMLESS = frozenset({"rw", "cached", "consistent", "delegated"})
"""What the engine does anyway, or does on a desktop only."""

_ODD: Mapping[str, str] = {
    "nocopy": "a new volume begins with what the image has there",
    **dict.fromkeys(("z", "Z", "selinux"), "Cube changes no label of SELinux on a node"),
}
_MUST_BE_THERE = "the path is to be on each node that may run it: Cube makes none"
_LOCAL = (
    "the path is one of this machine, and the task runs on a node; put the file into the image, "
    "name an absolute path of the nodes, or, for a file of text, write :ro after it: it is brought along then"
)
_NAMELESS = "a volume without a name is nobody's once its container is replaced; give it one, as in data:"


class _Kind(NamedTuple):
    """A volume or a path, to be written to or not. `is_made`: Compose would make the path."""

    is_named: bool
    is_read_only: bool
    is_made: bool = True


def volumes(scene: Scene, document: Document) -> Iterator[Told]:
    """Each in the short form or the long one; they are put as one list."""
    found: list[Document] = []
    for item in items_of(document):
        for told in _long(scene, item) if isinstance(item, Table) else _short(scene, item):
            if isinstance(told, Put) and told.path == ("volumes",):
                found.append(told.value)
            else:
                yield told
    if found:
        yield put("volumes", Listing(tuple(found), document.mark))


def _short(scene: Scene, item: Document) -> Iterator[Told]:
    parts = text_of(item).split(":")
    if len(parts) == 1:
        yield lost(item, f"{_NAMELESS}{parts[0]}", "volumes")
        return
    if len(parts) > 3:
        raise StrangeError(
            item.mark, f"{shown(text_of(item))} is no volume; write source:target or source:target:ro"
        )
    modes = set(parts[2].split(",")) if len(parts) == 3 else set()
    yield from (odd(item, _ODD[mode], "volumes") for mode in sorted(modes & _ODD.keys()))
    if strange := sorted(modes - _HARMLESS - _ODD.keys() - {"ro"}):
        yield lost(item, f"Cube has no mode {shown(strange[0])} of a volume", "volumes")
    kind = _Kind(is_named=not parts[0].startswith(("/", ".", "~")), is_read_only="ro" in modes)
    yield from _mount(scene, item, parts[0], parts[1], kind)


def _long(scene: Scene, item: Document) -> Iterator[Told]:
    written = entries_of(item)
    kind = text_of(written.get("type", made("volume", item.mark)))
    if "target" not in written:
        raise StrangeError(item.mark, "the key 'target' is missing")
    if kind == "tmpfs":
        yield from _in_memory(written, item)
        return
    if kind not in ("volume", "bind"):
        yield lost(item, f"Cube mounts volumes, paths and memory, and no {shown(kind)}", "volumes")
        return
    yield from _options(written, kind)
    target = text_of(written["target"])
    if "source" not in written:
        yield lost(item, f"{_NAMELESS}{target}", "volumes")
        return
    is_read_only = "read_only" in written and switch_of(written["read_only"])
    create = entries_of(written.get("bind")).get("create_host_path")
    is_made = create is None or switch_of(create)
    found = _Kind(is_named=kind == "volume", is_read_only=is_read_only, is_made=is_made)
    yield from _mount(scene, item, text_of(written["source"]), target, found)


def _options(written: dict[str, Document], kind: str) -> Iterator[Told]:
    for key, value in entries_of(written.get(kind)).items():
        if key in _ODD:
            yield odd(value, _ODD[key], "volumes")
        elif key != "create_host_path":
            yield lost(value, f"Cube has no {key} of a {kind} mount", "volumes")
    for key in sorted(
        written.keys() - {"type", "source", "target", "read_only", "bind", "volume", "consistency"}
    ):
        yield lost(written[key], f"Cube has no {key} of a mount", "volumes")


def _in_memory(written: dict[str, Document], item: Document) -> Iterator[Told]:
    options = entries_of(written.get("tmpfs"))
    for key in sorted(options.keys() - {"size", "mode"}):
        yield lost(
            options[key], f"Cube gives a filesystem in memory a size and a mode, and no {key}", "volumes"
        )
    for key in sorted(written.keys() - {"type", "target", "tmpfs", "consistency"}):
        yield lost(written[key], f"Cube has no {key} of a filesystem in memory", "volumes")
    if "size" in options:
        size = in_words(options["size"], words.size)
    else:
        size = made(TMPFS_SIZE, item.mark)
        yield odd(item, f"it may hold {TMPFS_SIZE}; write tmpfs: {{size: 256m}}", "volumes")
    mode = in_words(options["mode"], _octal) if "mode" in options else None
    yield in_memory(text_of(written["target"]), size, mode)


def _octal(text: str) -> str:
    """The digits of a number that is written as octal. Raises ValueError: any other is not read so."""
    digits = text.removeprefix("0o") if text.startswith("0o") else text.removeprefix("0")
    if digits == text or not digits:
        raise ValueError(f"{shown(text)} is read as a decimal number by Compose; write a mode such as 0o1777")
    return digits


def _mount(scene: Scene, item: Document, source: str, target: str, kind: _Kind) -> Iterator[Told]:
    is_external = False
    if kind.is_named:
        yield from _named(scene, item, source)
        source, is_external = _name_of(scene, source)
    elif kind.is_read_only and source.startswith("."):
        yield from files.mounted(scene, made(source, item.mark), target)
        return
    elif not source.startswith("/"):
        yield lost(item, f"{shown(source)}: {_LOCAL}", "volumes")
        return
    elif kind.is_made:
        yield odd(item, f"{shown(source)}: {_MUST_BE_THERE}", "volumes")
    written: dict[str, Document | str] = {"source": source, "target": target}
    written |= {"read_only": "true"} if kind.is_read_only else {}
    written |= {"external": "true"} if is_external else {}
    yield put("volumes", table(written, item.mark))


def _named(scene: Scene, item: Document, source: str) -> Iterator[Told]:
    """A volume must be declared, and be one of the engine's own."""
    declared = entries_of(scene.project.document).get("volumes")
    if source not in entries_of(declared):
        raise StrangeError(item.mark, f"the volume {shown(source)} is not declared under 'volumes'")
    for key, value in entries_of(entries_of(declared)[source]).items():
        is_plain = key in ("name", "external") or (key == "driver" and text_of(value) == "local")
        if key == "labels":
            yield odd(value, "Cube gives its volumes no labels but its own", "volumes")
        elif not is_plain and not is_null(value):
            yield lost(value, f"Cube's volumes are plain ones of the node's engine, without {key}", "volumes")


def _name_of(scene: Scene, source: str) -> tuple[str, bool]:
    """As Compose calls it: data that is there already is found again. And whether somebody else makes it."""
    written = entries_of(entries_of(entries_of(scene.project.document).get("volumes"))[source])
    name, is_external = called(written)
    return name or (source if is_external else f"{scene.project.name}_{source}"), is_external
