"""Pruning: which images of a node were only for versions of jobs that nobody will go back to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cube.model.image import Image, full_name
from cube.model.job import Job
from cube.model.observation import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """An image that may go, and what the engine is asked to remove for that: its names, or its id."""

    image: Image
    references: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Images by which jobs know them: full names, and ids."""

    names: frozenset[str]
    ids: frozenset[str]

    def include(self, image: Image) -> bool:
        """The image is one of them."""
        return not (self.ids.isdisjoint(image.ids) and self.names.isdisjoint(image.names))


def needs_of(versions: Iterable[Job]) -> Needs:
    """What those versions of jobs run from. A pinned name may mean another image by now: its id counts."""
    specs = [group.spec for job in versions for group in job.groups]
    return Needs(
        names=frozenset(full_name(spec.image) for spec in specs if not spec.pinned),
        ids=frozenset(spec.pinned for spec in specs if spec.pinned),
    )


def leftovers(
    seen: Seen, past: Sequence[Job], kept: Sequence[Job], *, budget: int = 0
) -> tuple[Leftover, ...]:
    """The images that only versions in `past` ran from, none in `kept`, and no container; the oldest first.

    What no job of ours ever ran from is somebody else's, and so is each other name that an image has. What is
    left of pushes that broke off goes before all.
    `budget` bytes of them may stay, the newest. A node that did not tell its images has none to give.
    """
    parts = [Leftover(image=image, references=(image.id,)) for image in seen.images or () if image.is_part]
    known, needed = needs_of(past), needs_of(kept)
    names = frozenset(full_name(group.spec.image) for job in past for group in job.groups)
    in_use = {container.image_id for container in seen.containers}
    free = [
        Leftover(image=image, references=references)
        for image in seen.images or ()
        if known.include(image) and not needed.include(image) and image.id not in in_use
        if (
            references := tuple(name for name in image.names if name in names) if image.names else (image.id,)
        )
    ]
    newest_first = sorted(free, key=lambda found: (-found.image.created_at, found.image.id))
    return (*parts, *_beyond(newest_first, budget))


def _beyond(newest_first: Sequence[Leftover], budget: int) -> tuple[Leftover, ...]:
    kept = 0
    for index, found in enumerate(newest_first):
        kept += found.image.size
        if kept > budget:
            return tuple(reversed(newest_first[index:]))
    return ()
