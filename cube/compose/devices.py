"""Devices: of kinds that the inventory names, a number for each task; never those that a file picks."""

from collections.abc import Iterator, Mapping

from cube.compose.scene import Put, Told, lost, odd
from cube.compose.tree import StrangeError, entries_of, is_null, items_of, made, one_or_more, text_of
from cube.document.check import shown
from cube.document.reader import Document, Scalar

_NAMED = (
    "a task gets devices of a kind that the inventory's cube_devices names: write "
    "x-cube: {devices: {KIND: 1}, ignore: [devices]}"
)
_DRIVER = (
    "whose devices of that kind they are, and how a container gets them, the inventory says (cube_devices)"
)
_HOW_MANY = "Cube gives each task a number of devices, of its own choice: write 'count: 1'"


def devices(document: Document) -> Iterator[Told]:
    """Paths of the node."""
    for item in items_of(document):
        yield lost(item, f"devices: {_NAMED}", "devices")


def gpus(document: Document) -> Iterator[Told]:
    """`all`, or as in `deploy.resources.reservations.devices`."""
    if isinstance(document, Scalar):
        yield lost(document, f"gpus: {_HOW_MANY}", "gpus")
        return
    for item in items_of(document):
        yield from _one(item, ["gpu"], "gpus")


def reserved(document: Document) -> Iterator[Told]:
    """What `deploy.resources.reservations.devices` asks for: the kind is the first capability."""
    key = "deploy.resources.reservations.devices"
    for item in items_of(document):
        kinds = [text_of(each) for each in one_or_more(entries_of(item).get("capabilities"))]
        yield from _one(item, kinds, key)


def _one(item: Document, kinds: list[str], key: str) -> Iterator[Told]:
    written = entries_of(item)
    if not kinds:
        raise StrangeError(item.mark, "the key 'capabilities' is missing")
    kind = "gpu" if "gpu" in kinds else kinds[0]
    yield from _beyond(written, kind, key)
    count = written.get("count")
    if "device_ids" in written or count is None or text_of(count) in ("all", "-1"):
        yield lost(item, _HOW_MANY, key)
    else:
        yield Put(("devices", kind), made(text_of(count), count.mark))


def _beyond(written: Mapping[str, Document], kind: str, key: str) -> Iterator[Told]:
    """What is written of them beside their kind and number."""
    if not is_null(written.get("options")):
        yield lost(written["options"], "Cube gives devices no options", key)
    if not is_null(written.get("driver")):
        yield odd(written["driver"], _DRIVER, key)
    for each in one_or_more(written.get("capabilities")):
        if text_of(each) not in (kind, "gpu"):
            yield odd(each, f"Cube gives devices by their kind, here {shown(kind)}, and nothing else", key)
