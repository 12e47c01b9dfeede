"""What runs in the container, as whom, and with what kept from it."""

import re
import shlex
from collections.abc import Iterator

from cube.compose import words
from cube.compose.dotenv import variables
from cube.compose.scene import Put, Scene, Told, in_words, lost, odd, put
from cube.compose.tree import (
    StrangeError,
    entries_of,
    is_null,
    items_of,
    keyed,
    listing,
    made,
    one_or_more,
    pairs_of,
    switch_of,
    table,
    text_of,
)
from cube.document.check import shown
from cube.document.reader import Document, Listing, Scalar, Table

TMPFS_SIZE = "64MiB"
"""Of a filesystem in memory whose size nobody wrote: half of what a task has where nothing is written."""


def arguments(document: Document) -> Listing:
    """A list of arguments, or one line as a shell splits it. Raises StrangeError."""
    if isinstance(document, Scalar):
        try:
            return listing(shlex.split(document.text), document.mark)
        except ValueError as error:
            raise StrangeError(document.mark, f"{shown(document.text)}: {error}") from None
    return listing(map(text_of, items_of(document)), document.mark)


def command(document: Document) -> Iterator[Told]:
    """The arguments."""
    yield from _program("command", document)


def entrypoint(document: Document) -> Iterator[Told]:
    """The program."""
    yield from _program("entrypoint", document)


def _program(key: str, document: Document) -> Iterator[Told]:
    found = arguments(document)
    if found.items:
        yield put(key, found)
    else:
        yield lost(document, f"Cube cannot empty the image's own {key}", key)


def environment(scene: Scene, document: Document) -> Iterator[Told]:
    """Variables; one without a value is the operator's own."""
    for key, value in pairs_of(document):
        found = value if not is_null(value) else _own(scene, key)
        if found is not None:
            yield Put(("env", key.text), made(text_of(found), found.mark))


def _own(scene: Scene, key: Scalar) -> Scalar | None:
    value = scene.project.around.environment.get(key.text)
    return None if value is None else made(value, key.mark)


def env_file(scene: Scene, document: Document) -> Iterator[Told]:
    """Variables in files, which those in `environment` go before."""
    for item in one_or_more(document) if not isinstance(document, Table) else (document,):
        written = entries_of(item) if isinstance(item, Table) else {"path": item}
        if "path" not in written:
            raise StrangeError(item.mark, "the key 'path' is missing")
        place = written["path"]
        path = scene.project.path_of(place)
        text = scene.project.around.read(path)
        is_raw = text_of(written.get("format", made("", item.mark))) == "raw"
        if is_raw:
            yield lost(written["format"], "Cube reads files of variables in the usual form only", "env_file")
        elif text is not None:
            yield from _entries(scene, place, text, "env")
        elif switch_of(written.get("required", made("true", item.mark))):
            raise StrangeError(place.mark, f"there is no file {path}")


def label_file(scene: Scene, document: Document) -> Iterator[Told]:
    """Labels in files of the same form, which those in `labels` go before."""
    for place in one_or_more(document):
        path = scene.project.path_of(place)
        text = scene.project.around.read(path)
        if text is None:
            raise StrangeError(place.mark, f"there is no file {path}")
        yield from _entries(scene, place, text, "labels")


def _entries(scene: Scene, place: Document, text: str, key: str) -> Iterator[Told]:
    """What the file that is named there sets."""
    found = variables(text, scene.project.path_of(place), scene.project.around.environment.get)
    yield from (Put((key, name), made(value, place.mark)) for name, value in found.items())


def labels(document: Document) -> Iterator[Told]:
    """Labels of the containers."""
    for key, value in pairs_of(document):
        yield Put(("labels", key.text), made("" if is_null(value) else text_of(value), value.mark))


def hostname(scene: Scene, document: Document) -> Iterator[Told]:
    """With its domain, where one is written."""
    domain = scene.at("domainname")
    name = text_of(document) if domain is None else f"{text_of(document)}.{text_of(domain)}"
    yield put("hostname", made(name, document.mark))


def domainname(scene: Scene, document: Document) -> Iterator[Told]:
    """It is part of the hostname."""
    if scene.at("hostname") is None:
        what = f"it is said with the name before it only; write hostname: {scene.service}"
        yield odd(document, what, "domainname")


def tmpfs(document: Document) -> Iterator[Told]:
    """Filesystems in memory, each with a size."""
    for item in one_or_more(document):
        target, _, options = text_of(item).partition(":")
        written = dict(part.partition("=")[::2] for part in filter(None, options.split(",")))
        size = written.pop("size", None)
        if size is None:
            yield odd(item, f"{target} may hold {TMPFS_SIZE}; write a size: {target}:size=256m", "tmpfs")
        mode = written.pop("mode", None)
        if others := sorted(written.keys() - {"rw", "noexec", "nosuid", "nodev"}):
            what = f"Cube gives a filesystem in memory a size and a mode, and no {', '.join(others)}"
            yield lost(item, what, "tmpfs")
        words_ = made(size or TMPFS_SIZE, item.mark)
        said = in_words(words_, words.size) if size else words_
        yield in_memory(target, said, None if mode is None else made(mode, item.mark))


def in_memory(target: str, size: Scalar, mode: Document | None) -> Put:
    """A filesystem in memory, as a job has it."""
    if mode is None:
        return Put(("tmpfs", target), size)
    return Put(("tmpfs", target), table({"size": size, "mode": mode}, size.mark))


def ulimits(document: Document) -> Iterator[Told]:
    """One number, or a soft and a hard one."""
    for key, value in keyed(document):
        if isinstance(value, Table):
            both = entries_of(value)
            if not {"soft", "hard"} <= both.keys():
                raise StrangeError(value.mark, "write both, 'soft' and 'hard'")
            text = f"{text_of(both['soft'])}:{text_of(both['hard'])}"
        else:
            text = text_of(value)
        yield Put(("ulimits", key.text), made(text, value.mark))


def extra_hosts(document: Document) -> Iterator[Told]:
    """`name:address`, `name=address`, or a table."""
    for key, value in pairs_of(document, "=:"):
        yield from (Put(("extra_hosts", key.text), _bare(address)) for address in one_or_more(value))


def _bare(address: Document) -> Scalar:
    return made(text_of(address).removeprefix("[").removesuffix("]"), address.mark)


def security_opt(document: Document) -> Iterator[Told]:
    """What can be said of new privileges; nothing else."""
    for item in items_of(document):
        found = re.fullmatch(r"no-new-privileges(?:[:=](true|false))?", text_of(item))
        if found is None:
            yield lost(item, "Cube keeps the engine's own profiles", "security_opt")
        elif found[1] == "false":
            yield put("allow_new_privileges", made("true", item.mark))


def logging(document: Document) -> Iterator[Told]:
    """The driver, and its options; Docker's own has no bounds, Cube's has."""
    written = entries_of(document)
    if "driver" in written:
        yield put("logging.driver", written["driver"])
    options = {key.text: text_of(value) for key, value in keyed(written.get("options"))}
    if options:
        mark = written["options"].mark
        yield put("logging.options", table(dict(options), mark))


def stop_signal(document: Document) -> Iterator[Told]:
    """With or without its `SIG`."""
    yield put("stop.signal", in_words(document, words.signal))


def stop_grace_period(document: Document) -> Iterator[Told]:
    """How long it may take."""
    yield put("stop.grace", in_words(document, words.duration))


def user(document: Document) -> Iterator[Told]:
    """A name or number, or both of a user and a group."""
    yield put("user", document)


def pids(document: Document) -> Iterator[Told]:
    """A number; any number is a million."""
    is_any = text_of(document) in ("-1", "0")
    yield put("pids", made("1000000", document.mark) if is_any else document)
