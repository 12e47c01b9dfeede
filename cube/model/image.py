"""Image: what a node's engine, or the operator's, has to make containers from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

PART_LABEL = "cube.part"
"""On an image that is only the lower layers of one that is being pushed."""

DOCKER_HUB = "docker.io"
"""Docker's own registry, which an image's name need not name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image of an engine: `names` as `name:tag`, or with a digest; times in seconds since the epoch.

    `size` in bytes, as the engine counts it: layers that it shares with others included. `is_part`: it is
    nothing but what a push has brought so far.
    """

    id: str
    names: tuple[str, ...]
    size: int
    created_at: float
    is_part: bool = False

    def is_of(self, name: str, pinned: str) -> bool:
        """It is the image of that id; where none is pinned, or ids are of two kinds, the one of that name."""
        is_named = full_name(name) in self.names or self._has_digest_of(name)
        return self.id == pinned if pinned and not self.is_on_containerd else is_named

    def _has_digest_of(self, name: str) -> bool:
        """Engines list a digest without the tag that may stand before it in a job."""
        _, at, digest = name.partition("@")
        return bool(at) and any(mine.endswith(f"@{digest}") for mine in self.names)

    @property
    def is_on_containerd(self) -> bool:
        """Its id is the digest that a registry would know, and not that of its config as everywhere else."""
        return any(name.endswith(f"@{self.id}") for name in self.names)


@dataclass(frozen=True)
class Images:
    """Which images an engine has, as far as that is known; quick to ask of one after another.

    `listed` is what the engine told. `held` are names and ids of what is known to run there, where it did
    not tell; an id is empty where nobody knows it.
    """

    listed: tuple[Image, ...] = ()
    held: frozenset[tuple[str, str]] = frozenset()

    def has(self, name: str, pinned: str) -> bool:
        """One of them is the image of that id, or name, as `Image.is_of` says."""
        if pinned and pinned in self._ids:
            return True
        names = self._names_on_containerd if pinned else self._names
        _, at, digest = name.partition("@")
        return full_name(name) in names or (bool(at) and f"@{digest}" in names)

    def holding(self, runs: frozenset[tuple[str, str]]) -> "Images":
        """These, and what is known to run there besides."""
        return self if runs <= self.held else Images(listed=self.listed, held=self.held | runs)

    @cached_property
    def _ids(self) -> frozenset[str]:
        listed = (image.id for image in self.listed if not image.is_on_containerd)
        return frozenset((*listed, *(image_id for _, image_id in self.held)))

    @cached_property
    def _names(self) -> frozenset[str]:
        return _with_digests((*_names_of(self.listed), *(full_name(name) for name, _ in self.held)))

    @cached_property
    def _names_on_containerd(self) -> frozenset[str]:
        return _with_digests(_names_of(image for image in self.listed if image.is_on_containerd))


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
