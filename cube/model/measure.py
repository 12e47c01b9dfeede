"""Measures: how a node was used, as it is remembered for days."""

from collections.abc import Mapping
from dataclasses import dataclass

from cube.model.observation import CpuTimes, Use
from cube.model.resources import Resources


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What one look at a node showed of its use, with what was `promised` to tasks there.

    `memory` and `disk` are bytes in use by everybody, `load` is that of the last minute. `tasks` maps Cube's
    own containers, such as `web/app[0] f79e68d8`, to what they use, `others` those of others by their names.
    Times of CPU only count up: how busy something was is told by two measures, however far apart.
    """

    node: str
    at: float
    boot_id: str
    cpu: CpuTimes
    load: float
    memory: int
    disk: int
    capacity: Resources
    promised: Resources
    tasks: Mapping[str, Use]
    others: Mapping[str, Use]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How a node was used from `since` to `at`, in seconds since the epoch; memory and disk as they are then.

    `used` is in use by everybody; of it, Cube's `tasks` and the `others` have theirs. A container's disk is
    not told, and counts as none.
    """

    since: float
    at: float
    capacity: Resources
    promised: Resources
    used: Resources
    load: float
    tasks: Mapping[str, Resources]
    others: Mapping[str, Resources]

    @property
    def by_tasks(self) -> Resources:
        """What all of Cube's tasks use together."""
        return sum(self.tasks.values(), Resources())

    @property
    def by_others(self) -> Resources:
        """What is in use beside them: by other containers, and by the machine itself."""
        return self.used.beyond(self.by_tasks)
