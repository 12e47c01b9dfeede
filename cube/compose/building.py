"""How a service's image is built."""

import posixpath
from collections.abc import Iterator

from cube.compose.scene import Put, Scene, Told, lost, odd, put
from cube.compose.tree import (
    StrangeError,
    entries_of,
    is_null,
    made,
    pairs_of,
    table,
    text_of,
)
from cube.document.reader import Document, Scalar

_HARMLESS = frozenset({"cache_from", "cache_to", "no_cache", "pull", "tags"})


def build(scene: Scene, document: Document) -> Iterator[Told]:
    """By the operator's engine; an image without a name gets the one that Compose gives it."""
    written = entries_of(table({"context": document}, document.mark)) if isinstance(document, Scalar) else {}
    written = written or entries_of(document)
    yield Put(("build", "context"), _context(scene, written.get("context", made(".", document.mark))))
    for key, value in written.items():
        match key:
            case "context":
                continue
            case "dockerfile" | "target":
                yield Put(("build", key), value)
            case "args":
                yield from _arguments(scene, value)
            case _ if key in _HARMLESS:
                yield odd(value, f"the build of Cube has no {key}", f"build.{key}")
            case _ if not key.startswith("x-") and not is_null(value):
                yield lost(value, f"the build of Cube has no {key}", f"build.{key}")
    if scene.at("image") is None:
        yield put("image", made(f"{scene.project.name}-{scene.service}", document.mark))


def _context(scene: Scene, document: Document) -> Scalar:
    """As the folder of the project sees it."""
    text = text_of(document)
    if "://" in text or text.startswith("git@"):
        raise StrangeError(document.mark, "Cube builds from a folder of this machine")
    path = scene.project.path_of(document)
    return made(
        path if path.startswith("/") else posixpath.relpath(path, scene.project.folder or "."), document.mark
    )


def _arguments(scene: Scene, document: Document) -> Iterator[Told]:
    """One without a value is the operator's own variable."""
    for key, value in pairs_of(document):
        text = scene.project.around.environment.get(key.text) if is_null(value) else text_of(value)
        if text is not None:
            yield Put(("build", "args", key.text), made(text, value.mark))
