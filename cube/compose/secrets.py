"""Secrets: by name, at a place; what is in them, the project's vault knows."""

from collections.abc import Iterator, Mapping

import yaml

from cube.compose.scene import Put, Scene, Told, lost, odd
from cube.compose.tree import StrangeError, called, entries_of, is_null, items_of, made, text_of
from cube.document.check import shown
from cube.document.reader import Document, Table


def secrets(scene: Scene, document: Document) -> Iterator[Told]:
    """Each as a file."""
    for item in items_of(document):
        written = entries_of(item) if isinstance(item, Table) else {"source": item}
        if "source" not in written:
            raise StrangeError(item.mark, "the key 'source' is missing")
        source = text_of(written["source"])
        declared = entries_of(entries_of(scene.project.document).get("secrets"))
        if source not in declared:
            raise StrangeError(item.mark, f"the secret {shown(source)} is not declared under 'secrets'")
        found = entries_of(declared[source])
        name = called(found)[0] or source
        yield from _origin(scene, name, found)
        for key in sorted(written.keys() & {"uid", "gid", "mode"}):
            yield odd(written[key], "the task's user alone may read it, mode 0400", "secrets")
        target = text_of(written["target"]) if "target" in written else source
        path = target if target.startswith("/") else f"/run/secrets/{target}"
        yield Put(("secrets", name), made(path, item.mark))


def _origin(scene: Scene, name: str, declared: Mapping[str, Document]) -> Iterator[Told]:
    for key, value in declared.items():
        match key:
            case "name" | "external":
                continue
            case "file":
                yield odd(value, _to_write(name, "file", scene.project.path_of(value)), "secrets")
            case "environment":
                yield odd(value, _to_write(name, "env", text_of(value)), "secrets")
            case "labels":
                yield odd(value, "a secret of Cube's has no labels", "secrets")
            case _ if not is_null(value):
                yield lost(value, f"Cube's secrets come from the project's vault, without {key}", "secrets")


def _to_write(name: str, kind: str, where: str) -> str:
    line = yaml.safe_dump({name: {kind: where}}, default_flow_style=True, width=10_000).strip()[1:-1]
    return f"secrets/CLUSTER.yml, where CLUSTER is the inventory's name, has to say: {line}"
