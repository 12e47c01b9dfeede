"""The shelf: images of the operator's engine, each packed once, for as long as a command needs them."""

import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Self, cast

from cube.image.own import OwnEngine
from cube.image.pack import Pack, unpack
from cube.image.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Cargo:
    """An image to be brought to nodes: what it is made of, and how its bytes are had when needed."""

    recipe: Recipe
    pack: Callable[[], Pack]


class Shelf:
    """Packs by image. Any number of threads may ask; what it keeps on disk goes when it is closed."""

    def __init__(self, engine: OwnEngine) -> None:
        self.engine = engine
        self._packing = threading.Lock()
        self._packs: dict[str, Pack] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cargo(self, name: str) -> Cargo:
        """The image of that name. Raises InputError where the engine has none, NoEngineError."""
        return Cargo(recipe=self.engine.needed(name), pack=partial(self._pack, name))

    def _pack(self, name: str) -> Pack:
        with self._packing:
            if name not in self._packs:
                self._packs[name] = self._make(name)
            return self._packs[name]

    def close(self) -> None:
        """Remove what is on disk."""
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    def _make(self, name: str) -> Pack:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cube-images-", dir="/var/tmp")
        folder = Path(self._folder.name) / str(len(self._packs))
        folder.mkdir(exist_ok=True)
        with self.engine.saved(name) as saved:
            return unpack(cast(IO[bytes], saved), name, folder)
