"""Files that the project brings along: `configs`, and single files of its folder that are mounted."""

import posixpath
import re
from collections.abc import Iterator, Mapping

from cube.compose.scene import Put, Scene, Told, lost, odd
from cube.compose.tree import StrangeError, called, entries_of, is_null, items_of, made, table, text_of
from cube.document.check import shown
from cube.document.reader import Document, Scalar, Table, check_text
from cube.errors import InputError

MAX_BYTES = 1 << 16
"""Of one file: it is part of the job, and travels in the labels of its containers."""

_READABLE = 0o444
_FOR_ALL = (
    "everybody in the container may read it, and nobody write (mode 0444); what is secret goes to 'secrets'"
)
_AS_NOW = "the file is brought along as it is now; cube deploy brings it anew"


def configs(scene: Scene, document: Document) -> Iterator[Told]:
    """Each as a file that everybody in the container may read."""
    declared = entries_of(entries_of(scene.project.document).get("configs"))
    for item in items_of(document):
        written = entries_of(item) if isinstance(item, Table) else {"source": item}
        if "source" not in written:
            raise StrangeError(item.mark, "the key 'source' is missing")
        name = text_of(written["source"])
        if name not in declared:
            raise StrangeError(item.mark, f"the config {shown(name)} is not declared under 'configs'")
        target = text_of(written["target"]) if "target" in written else f"/{name}"
        yield from _ownership(written)
        yield from _declared(scene, name, declared[name], target)


def _ownership(written: Mapping[str, Document]) -> Iterator[Told]:
    for key in ("uid", "gid"):
        if key in written:
            yield odd(written[key], _FOR_ALL, "configs")
    mode = _mode(written["mode"]) if "mode" in written else _READABLE
    if mode & 0o111:
        yield lost(written["mode"], "a file that is brought along cannot be executed", "configs")
    elif mode != _READABLE:
        yield odd(written["mode"], _FOR_ALL, "configs")


def _mode(document: Document) -> int:
    """Raises StrangeError."""
    text = text_of(document)
    if re.fullmatch(r"(0o?)?[0-7]{3,4}", text) is None:
        raise StrangeError(document.mark, f"{shown(text)} is no mode; write one such as 0444")
    return int(text, 8)


def _declared(scene: Scene, name: str, document: Document, target: str) -> Iterator[Told]:
    written = entries_of(document)
    if "labels" in written:
        yield odd(written["labels"], "a file that is brought along has no labels", "configs")
    if "template_driver" in written:
        yield lost(written["template_driver"], "Cube fills in no templates of others", "configs")
    if called(written)[1]:
        yield lost(
            document,
            f"the config {shown(name)} is somebody else's; write what is in it: content, environment or file",
            "configs",
        )
        return
    match [key for key in ("content", "environment", "file") if not is_null(written.get(key))]:
        case ["content"]:
            yield _file(target, made(text_of(written["content"]), written["content"].mark))
        case ["environment"]:
            yield _file(target, _variable(scene, written["environment"]))
        case ["file"]:
            yield _file(target, text_at(scene, written["file"]))
        case _:
            what = f"say in one way what is in the config {shown(name)}: content, environment or file"
            yield lost(document, what, "configs")


def _variable(scene: Scene, document: Document) -> Scalar:
    name = text_of(document)
    value = scene.project.around.environment.get(name)
    if value is None:
        raise StrangeError(document.mark, f"the variable {name} is not set")
    return made(value, document.mark)


def mounted(scene: Scene, source: Scalar, target: str) -> Iterator[Told]:
    """A file of the project's folder, mounted to be read only."""
    try:
        text = text_at(scene, source)
    except StrangeError as error:
        yield lost(source, error.finding.what, "volumes")
        return
    yield odd(source, f"{shown(source.text)}: {_AS_NOW}", "volumes")
    yield _file(target, text)


def text_at(scene: Scene, place: Document) -> Scalar:
    """What is in the file that is named there. Raises StrangeError."""
    path = scene.project.path_of(place)
    try:
        text = scene.project.around.read(path)
        if text is None:
            raise StrangeError(place.mark, f"there is no file {path}; a folder is not brought along")
        check_text(text, path, MAX_BYTES)
    except InputError as error:
        raise StrangeError(place.mark, f"{error.where}: {error.what}") from None
    return made(text, place.mark)


def _file(target: str, text: Scalar) -> Put:
    return Put(("templates", posixpath.join("/", target)), table({"text": text}, text.mark))
