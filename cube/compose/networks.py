"""Networks, which Cube has none of its own of."""

from collections.abc import Iterator

from cube.compose.project import Project
from cube.compose.scene import Told, lost, odd
from cube.compose.tree import entries_of, is_null, items_of, switch_of, text_of
from cube.document.check import shown
from cube.document.reader import Document, Listing, Table

NONE = "Cube has no networks between tasks: they reach each other by the ports that nodes publish"
_OWN = "Cube has no networks of its own"
_INTERNAL = (
    "Cube has no networks of its own, and keeps no task from reaching out; if that does not matter, write "
    "x-cube: {ignore: [networks.internal]} at the top"
)
_WITHOUT_EFFECT = frozenset({"priority", "gw_priority", "interface_name", "use_service_name_alias"})


def joined(document: Document) -> Iterator[Told]:
    """Those of a service."""
    names = [text_of(item) for item in items_of(document)] if isinstance(document, Listing) else None
    options = {} if names is not None else entries_of(document)
    for name, value in options.items():
        for key, option in entries_of(value).items():
            if key in _WITHOUT_EFFECT:
                yield odd(option, f"{_OWN}: {key} in {shown(name)} does nothing", "networks")
            elif key != "aliases" and not is_null(option):
                yield lost(option, f"{_OWN}, and no {key} in {shown(name)}", "networks")
    if set(names or options) - {"default"}:
        yield odd(document, NONE, "networks")


def declared(project: Project) -> Iterator[Told]:
    """Those of the project. What one keeps from its services is a demand; all else comes to nothing."""
    for name, document in entries_of(entries_of(project.document).get("networks")).items():
        for key, value in entries_of(document).items():
            if key == "internal" and switch_of(value):
                yield lost(value, _INTERNAL, "networks.internal")
            elif not is_null(value) and not _is_off(value):
                yield odd(value, f"{_OWN}: {key} of {shown(name)} does nothing", "networks")


def _is_off(value: Document) -> bool:
    return not isinstance(value, Table | Listing) and text_of(value) in ("false", "no", "off", "")
