"""What is mounted: named volumes of the project, paths of the node, memory."""

from collections.abc import Iterator
from typing import NamedTuple

from cube.compose import files, words
from cube.compose.process import TMPFS_SIZE, in_memory
from cube.compose.scene import Put, Scene, Told, in_words, lost, odd, put
from cube.compose.tree import StrangeError, entries_of, is_null, items_of, made, switch_of, table, text_of
from cube.document.check import shown
from cube.document.reader import Document, Listing, Table

_HARMLESS = frozenset({"rw", "z", "Z", "cached", "consistent", "delegated", "nocopy"})
_LOCAL = (
    "the path is one of this machine, and the task runs on a node; put the file into the image, "
    "name an absolute path of the nodes, or, for a file of text, write :ro after it: it is brought along then"
)
_NAMELESS = "a volume without a name is nobody's once its container is replaced; give it one, as in data:"


class _Kind(NamedTuple):
    """A volume or a path, to be written to or not."""

    is_named: bool
    is_read_only: bool


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
    if strange := sorted(modes - _HARMLESS - {"ro"}):
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
    found = _Kind(is_named=kind == "volume", is_read_only=is_read_only)
    yield from _mount(scene, item, text_of(written["source"]), target, found)


def _options(written: dict[str, Document], kind: str) -> Iterator[Told]:
    harmless = {"bind": {"create_host_path", "selinux"}, "volume": {"nocopy"}}
    for key, value in entries_of(written.get(kind)).items():
        if key not in harmless[kind]:
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
    if kind.is_named:
        yield from _named(scene, item, source)
        source = _name_of(scene, source)
    elif kind.is_read_only and source.startswith("."):
        yield from files.mounted(scene, made(source, item.mark), target)
        return
    elif not source.startswith("/"):
        yield lost(item, f"{shown(source)}: {_LOCAL}", "volumes")
        return
    written: dict[str, Document | str] = {"source": source, "target": target}
    yield put("volumes", table(written | ({"read_only": "true"} if kind.is_read_only else {}), item.mark))


def _named(scene: Scene, item: Document, source: str) -> Iterator[Told]:
    """A volume must be declared, and be one of the engine's own."""
    declared = entries_of(scene.project.document).get("volumes")
    if source not in entries_of(declared):
        raise StrangeError(item.mark, f"the volume {shown(source)} is not declared under 'volumes'")
    for key, value in entries_of(entries_of(declared)[source]).items():
        is_plain = key in ("name", "external", "labels") or (key == "driver" and text_of(value) == "local")
        if not is_plain and not key.startswith("x-") and not is_null(value):
            yield lost(value, f"Cube's volumes are plain ones of the node's engine, without {key}", "volumes")


def _name_of(scene: Scene, source: str) -> str:
    """As Compose calls it: data that is there already is found again."""
    written = entries_of(entries_of(entries_of(scene.project.document).get("volumes"))[source])
    if "name" in written:
        return text_of(written["name"])
    external = written.get("external")
    is_external = external is not None and (isinstance(external, Table) or switch_of(external))
    return source if is_external else f"{scene.project.name}_{source}"


def secrets(scene: Scene, document: Document) -> Iterator[Told]:
    """By name; where a secret comes from is said in the project's vault."""
    declared = entries_of(scene.project.document).get("secrets")
    for item in items_of(document):
        written = entries_of(item) if isinstance(item, Table) else {"source": item}
        if "source" not in written:
            raise StrangeError(item.mark, "the key 'source' is missing")
        name = text_of(written["source"])
        if name not in entries_of(declared):
            raise StrangeError(item.mark, f"the secret {shown(name)} is not declared under 'secrets'")
        yield from _origin(name, entries_of(entries_of(declared)[name]), item)
        for key in sorted(written.keys() & {"uid", "gid", "mode"}):
            yield odd(written[key], "the task's user alone may read it, mode 0400", "secrets")
        target = text_of(written["target"]) if "target" in written else name
        path = target if target.startswith("/") else f"/run/secrets/{target}"
        yield Put(("secrets", name), made(path, item.mark))


def _origin(name: str, declared: dict[str, Document], item: Document) -> Iterator[Told]:
    words_ = {"file": "file", "environment": "env"}
    for key, word in words_.items():
        if key in declared:
            source = f"{name}: {{{word}: {text_of(declared[key])}}}"
            yield odd(item, f"say where it comes from in secrets/CLUSTER.yml: {source}", "secrets")
