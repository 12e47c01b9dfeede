"""Transit: an image on its way to a node."""

from collections.abc import Callable
from dataclasses import dataclass

from cube.model.action import Effect, Fetch, Push, Start


@dataclass(frozen=True, slots=True, kw_only=True)
class Transit:
    """How far a job's image is on its way to a node, as the node's engine tells it, or who pushes it.

    `got` bytes have come of the `size` that are known of, `done` layers are in place of `layers`: of a pull
    both grow as the engine learns of more. Of a push the layers are not told: 0 of 0.
    """

    node: str
    image: str
    job: str
    got: int = 0
    size: int = 0
    done: int = 0
    layers: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """The same of every report of one transit."""
        return self.node, self.image

    def is_for(self, effect: Effect) -> bool:
        """The effect is what waits for it."""
        return self.key == (effect.node, _image_of(effect))


Told = Callable[[Transit], None]
"""Hears how far an image is. It may be called from any thread."""


def unheard(_transit: Transit) -> None:
    """Nobody wants to know."""


def _image_of(effect: Effect) -> str:
    match effect:
        case Push() | Fetch():
            return effect.image
        case Start():
            return effect.task.spec.image
        case _:
            return ""
