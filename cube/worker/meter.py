"""How far an image is: of a pull from the lines that an engine tells of its layers."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cube.model.transit import Told, Transit
from cube.worker.container import Json

EVERY = 1.0
"""Seconds between two reports of one image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One that is pulled: bytes that have come of those known, and whether it is in place."""

    got: int = 0
    size: int = 0
    is_done: bool = False

    def after(self, status: str, current: int, size: int) -> "Layer":
        """The layer as the engine tells of it now. Small ones are never told to be under way."""
        match status:
            case "Downloading":
                return replace(self, got=current, size=max(size, current))
            case "Extracting" if size:
                return replace(self, got=size, size=size)
            case "Pull complete":
                return replace(self, got=self.size, is_done=True)
            case _:
                return replace(self, got=self.size)


STATES = frozenset(
    {
        "Pulling fs layer",
        "Waiting",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    }
)
"""What an engine says of a layer that it pulls; of one that it has, and of an image, it says otherwise."""


class Pace:
    """Says when something is due to be told: at once, and then once a second at most."""

    def __init__(self) -> None:
        self._due = -math.inf

    def is_due(self, now: float) -> bool:
        """Whether it is now; the next time a second later."""
        if now < self._due:
            return False
        self._due = now + EVERY
        return True


class Meter:
    """What has come for one effect. `told` hears it at once, and then once a second at most."""

    def __init__(self, start: Transit, told: Told, clock: Callable[[], float] = time.monotonic) -> None:
        self._start = start
        self._told = told
        self._clock = clock
        self._layers: dict[str, Layer] = {}
        self._pace = Pace()
        self._began = self._heard = 0.0

    def hear(self, line: Json) -> None:
        """One line of the engine's."""
        name, status = str(line.get("id")), str(line.get("status"))
        if status not in STATES:
            return
        self._heard = self._clock()
        if not self._layers:
            self._began = self._heard
        current, size = _bytes_in(line.get("progressDetail"))
        self._layers[name] = self._layers.get(name, Layer()).after(status, current, size)
        if self._pace.is_due(self._heard):
            self._told(self._now)

    @property
    def detail(self) -> Mapping[str, str]:
        """What came in all, for the outcome of the effect; nothing where no layer had to."""
        if not self._layers:
            return {}
        now = self._now
        seconds = f"{self._heard - self._began:.1f}"
        return {"bytes": str(now.got), "layers": str(now.layers), "seconds": seconds}

    @property
    def _now(self) -> Transit:
        layers = self._layers.values()
        return replace(
            self._start,
            got=sum(layer.got for layer in layers),
            size=sum(layer.size for layer in layers),
            done=sum(layer.is_done for layer in layers),
            layers=len(layers),
        )


def _bytes_in(detail: object) -> tuple[int, int]:
    """How many of how many; 0 for what is not told. With `units` it is not bytes that are counted."""
    known = detail if isinstance(detail, dict) and "units" not in detail else {}
    return _count(known.get("current")), _count(known.get("total"))


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
