"""What the operator's engine has, as the loop sees it: a machine without an engine has nothing to push."""

import time
from collections.abc import Mapping

from cube.errors import CubeError
from cube.image.own import OwnEngine

AGAIN = 60.0
"""Seconds after which an engine that did not answer is asked again."""


class OwnStock:
    """The images of the operator's engine, by full name."""

    def __init__(self, engine: OwnEngine) -> None:
        self._engine = engine
        self._asked_again_at = 0.0

    def __call__(self) -> Mapping[str, str]:
        """Their ids."""
        if time.monotonic() < self._asked_again_at:
            return {}
        try:
            images = self._engine.images()
        except CubeError:
            self._asked_again_at = time.monotonic() + AGAIN
            return {}
        return {name: image.id for image in images for name in image.names}
