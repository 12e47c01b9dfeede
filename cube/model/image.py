"""Image: what a node's engine, or the operator's, has to make containers from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

PART_LABEL = "cube.part"
"""On an image that is only the lower layers of one that is being pushed."""

PIN = "cube/pin"
"""The repository of the names by which an engine keeps the id that an image of its own has elsewhere."""

DOCKER_HUB = "docker.io"
"""Docker's own registry, which an image's name need not name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of an engine: `names` as `name:tag`, or with a digest; times in seconds since the epoch.

    `size` in bytes, as the engine counts it: layers that it shares with others included. `is_part`: it is
    nothing but what a push has brought so far. `pins` are its ids in the engines from which it was pushed,
    where these are not its own.
    """

    id: str
    names: tuple[str, ...]
    size: int
    created_at: float
    is_part: bool = False
    pins: tuple[str, ...] = ()

    def is_of(self, name: str, pinned: str) -> bool:
        """It is the image of that id; where none is pinned, the one of that name."""
        if pinned:
            return pinned in self.ids
        return full_name(name) in self.names or self._has_digest_of(name)

    def may_be_of(self, name: str, pinned: str) -> bool:
        """The same, or nobody knows: it has that name, and an id that is nobody else's."""
        return self.is_of(name, pinned) or (self.is_unpinned and self.is_of(name, ""))

    def _has_digest_of(self, name: str) -> bool:
        """Engines list a digest without the tag that may stand before it in a job."""
        _, at, digest = name.partition("@")
        return bool(at) and any(mine.endswith(f"@{digest}") for mine in self.names)

    @property
    def ids(self) -> frozenset[str]:
        """All by which somebody knows it: its own, those where it was pushed from, a registry's digests."""
        return frozenset(
            (self.id, *self.pins, *(name.partition("@")[2] for name in self.names if "@" in name))
        )

    @property
    def pinnable(self) -> frozenset[str]:
        """The ids that others may know it by, too: on containerd its own is not one of them."""
        return frozenset(self.pins if self.is_on_containerd else (*self.pins, self.id))

    @property
    def is_on_containerd(self) -> bool:
        """Its id is the digest that a registry would know, and not that of its config as everywhere else."""
        return any(name.endswith(f"@{self.id}") for name in self.names)

    @property
    def is_unpinned(self) -> bool:
        """Nobody knows which id it has where it comes from."""
        return not self.pinnable


@dataclass(frozen=True)
class Images:
    """Which images an engine has, as far as that is known; quick to ask of one after another.

    `listed` is what the engine told. `held` are names and ids of what is known to run there, where it did
    not tell; an id is empty where nobody knows it.
    """

    listed: tuple[Image, ...] = ()
    held: frozenset[tuple[str, str]] = frozenset()

    def has(self, name: str, pinned: str) -> bool:
        """One of them is the image of that id, or name, as `Image.may_be_of` says."""
        if pinned and pinned in self._ids:
            return True
        names = self._names_of_unpinned if pinned else self._names
        _, at, digest = name.partition("@")
        return full_name(name) in names or (bool(at) and f"@{digest}" in names)

    def holding(self, runs: frozenset[tuple[str, str]]) -> "Images":
        """These, and what is known to run there besides."""
        return self if runs <= self.held else Images(listed=self.listed, held=self.held | runs)

    @cached_property
    def _ids(self) -> frozenset[str]:
        listed = (known for image in self.listed for known in image.ids)
        return frozenset((*listed, *(image_id for _, image_id in self.held)))

    @cached_property
    def _names(self) -> frozenset[str]:
        return _with_digests((*_names_of(self.listed), *(full_name(name) for name, _ in self.held)))

    @cached_property
    def _names_of_unpinned(self) -> frozenset[str]:
        return _with_digests(_names_of(image for image in self.listed if image.is_unpinned))


NO_IMAGES = Images()


def full_name(name: str) -> str:
    """The name as engines list it: without a tag it is `latest`, without a registry Docker's own.

    An id stays as it is, and a name with a digest loses its tag.
    """
    if name.startswith("sha256:"):
        return name
    short, at, digest = name.removeprefix("docker.io/").removeprefix("library/").partition("@")
    if at:
        return f"{_without_tag(short)}@{digest}"
    return short if ":" in short.rpartition("/")[2] else f"{short}:latest"


def name_of_pin(pinned: str) -> str:
    """The name that an image has in an engine of which its id is another one."""
    return f"{PIN}:{pinned.removeprefix('sha256:')}"


def whole_name(name: str) -> str:
    """The full name with what engines leave out: Docker's registry, and its folder for Docker's images."""
    full = full_name(name)
    if registry_of(full) != DOCKER_HUB:
        return full
    return f"{DOCKER_HUB}/{full if '/' in full else f'library/{full}'}"


def with_digest(name: str, digest: str) -> str:
    """The name, which can mean only that any more; its tag stays for people to read."""
    return f"{name}@{digest}"


def as_called(name: str) -> str:
    """The name as people call it: its tag, where it has one, is enough for them."""
    tagged, _, _ = name.partition("@")
    return tagged if ":" in tagged.rpartition("/")[2] else name


def registry_of(name: str) -> str:
    """The registry that the image would come from, as its name begins; without one, Docker's own."""
    first, slash, _ = name.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return first if is_host and first != "index.docker.io" else DOCKER_HUB


def is_exact(name: str) -> bool:
    """It can only ever mean one image: an id, or a name with a digest."""
    return name.startswith("sha256:") or "@" in name


def _names_of(images: Iterable[Image]) -> Iterator[str]:
    return (name for image in images for name in image.names)


def _with_digests(names: Iterable[str]) -> frozenset[str]:
    """The names, and each digest by itself: whatever stands before it, it is the same image."""
    found = tuple(names)
    return frozenset((*found, *(f"@{name.partition('@')[2]}" for name in found if "@" in name)))


def _without_tag(name: str) -> str:
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}{last.partition(':')[0]}"
