"""The shelf: images of the operator's engine, each packed once, for as long as a command needs them."""

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Protocol, Self, cast

from cube.errors import CubeError
from cube.image.pack import Pack, unpack
from cube.image.recipe import Recipe

SPACE = "/var/tmp"  # noqa: S108 - the folder within is made anew, for us alone
"""Where images are taken apart: on a disk, for /tmp is memory on many machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cargo:
    """An image to be brought to nodes: what it is made of, and how its bytes are had when needed."""

    recipe: Recipe
    pack: Callable[[], Pack]


class Readable(Protocol):
    """What is read once, from its beginning to its end."""

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes at most; none at the end."""
        ...


class Source(Protocol):
    """Who has images: this machine's engine, or a caller who offers one."""

    def needed(self, name: str) -> Recipe:
        """The image of that name. Raises InputError where there is none, CubeError."""
        ...

    def saved(self, name: str) -> AbstractContextManager[Readable]:
        """The image as one long tar, to be read as it comes. Raises CubeError."""
        ...


class Shelf:
    """Packs by image. Any number of threads may ask; what it keeps on disk goes when nobody uses it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._packing = threading.Lock()
        self._packs: dict[tuple[str, str], Pack] = {}
        self._users = 0
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def cargo(self, name: str) -> Cargo:
        """The image of that name. Raises InputError where the engine has none, NoEngineError."""
        recipe = self._source.needed(name)
        return Cargo(recipe=recipe, pack=partial(self._pack, recipe))

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """What is packed meanwhile stays until the last user has ended: a manager may run for weeks."""
        with self._packing:
            self._users += 1
        try:
            yield
        finally:
            with self._packing:
                self._users -= 1
                if not self._users:
                    self.close()

    def close(self) -> None:
        """Remove what is on disk."""
        self._packs.clear()
        folder, self._folder = self._folder, None
        if folder is not None:
            folder.cleanup()

    def _pack(self, recipe: Recipe) -> Pack:
        """Raises CubeError."""
        key = (recipe.name, recipe.id)  # a name may come to mean another image while the shelf is open
        with self._packing:
            if key not in self._packs:
                self._packs[key] = self._make(recipe)
            return self._packs[key]

    def _make(self, recipe: Recipe) -> Pack:
        try:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="cube-images-", dir=SPACE)
            folder = tempfile.mkdtemp(dir=self._folder.name)
            with self._source.saved(recipe.name) as saved:
                return unpack(cast(IO[bytes], saved), recipe.name, Path(folder))
        except OSError as error:
            why = error.strerror or str(error)
            raise CubeError(f"image {recipe.name} cannot be kept here", where=SPACE, why=why) from error
