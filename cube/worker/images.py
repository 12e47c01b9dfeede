"""The images of a node's engine: which it has, how much of another one, and loading more."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import quote, urlencode

from cube.connection import Channel
from cube.image.recipe import Recipe, image_inspected, recipe_of
from cube.model.image import Image, name_of_pin
from cube.worker.container import Json
from cube.worker.engine import EngineError, conversation, delete, get, list_images, post, send

Told = Callable[[int], None]
"""Is told how many bytes more have been sent."""


def layers_there(channel: Channel, layers: Sequence[str]) -> int:
    """How many of those layers, from the lowest on, the engine has: one lies upon all that are under it.

    Raises EngineError or EngineSilentError.
    """
    with conversation(channel) as connection:
        found = (_layers_of(connection, image.id) for image in list_images(connection))
        return max((_shared(layers, theirs) for theirs in found), default=0)


def recipe(channel: Channel, name: str) -> Recipe | None:
    """The image that has that name now; None: none has it. Raises EngineError or EngineSilentError.

    One of which it lacks a layer's bytes an engine on containerd has, and does not list: that is none.
    """
    with conversation(channel) as connection:
        try:
            found = recipe_of(name, get(connection, _path(name)))
        except EngineError as error:
            if error.status != 404:
                raise
            return None
        return found if found.id in {image.id for image in list_images(connection)} else None


def load(channel: Channel, pieces: Iterable[bytes], size: int, told: Told) -> None:
    """Have the engine load that archive. Raises EngineError where it refuses it, EngineSilentError."""
    with conversation(channel) as connection:
        response = send(connection, "/images/load", _counted(pieces, told), size, kind="application/x-tar")
        for line in _progress(response):
            if "error" in line:
                raise EngineError("the engine cannot load the image", why=str(line["error"]))


def pin(channel: Channel, image: str, pinned: str) -> None:
    """Have the engine keep that id for its image, too. Raises EngineError or EngineSilentError."""
    with conversation(channel) as connection:
        _pin(connection, image, pinned)


def remove(channel: Channel, name: str) -> None:
    """Take the name from its image, and remove an image that has no other. One that is gone already is done.

    What the engine keeps of other ids for it goes with the last name. Raises EngineError (`status` 409: a
    container was made from it), or EngineSilentError.
    """
    with conversation(channel) as connection:
        try:
            found = image_inspected(get(connection, _path(name)))
            pins = found.pins if _is_last(name, found) else ()
            with ExitStack() as kept:
                for pinned in pins:
                    delete(connection, _at(name_of_pin(pinned)))
                    kept.callback(_pin, connection, found.id, pinned)
                delete(connection, _at(name))
                kept.pop_all()
        except EngineError as error:
            if error.status != 404:
                raise


def _is_last(name: str, image: Image) -> bool:
    labels = {label for label in image.names if "@" not in label}
    return not labels - {name} or (name == image.id and len(labels) == 1)


def _pin(connection: HTTPConnection, image: str, pinned: str) -> None:
    repository, _, tag = name_of_pin(pinned).partition(":")
    post(connection, f"{_at(image)}/tag?{urlencode({'repo': repository, 'tag': tag})}", {})


def _counted(pieces: Iterable[bytes], told: Told) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        told(len(piece))


def _progress(response: HTTPResponse) -> Iterator[Json]:
    """What the engine says while it loads, a JSON object in each line."""
    for line in response:
        if line.strip():
            try:
                yield json.loads(line)
            except ValueError as error:
                raise EngineError("the engine's progress is cut short", why=str(error)) from error


def _layers_of(connection: HTTPConnection, image: str) -> tuple[str, ...]:
    """Of one that has gone since it was listed, none."""
    try:
        return _layers(get(connection, _path(image)))
    except EngineError as error:
        if error.status != 404:
            raise
        return ()


def _layers(found: Any) -> tuple[str, ...]:
    return tuple(map(str, (found.get("RootFS") or {}).get("Layers") or ()))


def _path(name: str) -> str:
    return f"{_at(name)}/json"


def _at(name: str) -> str:
    return f"/images/{quote(name, safe='')}"


def _shared(ours: Sequence[str], theirs: Sequence[str]) -> int:
    pairs = zip(ours, theirs, strict=False)
    return next(
        (index for index, (one, other) in enumerate(pairs) if one != other), min(len(ours), len(theirs))
    )
