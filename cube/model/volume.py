"""Volume: data that a node's engine keeps under a name, and who uses it."""

from collections.abc import Mapping
from dataclasses import dataclass

from cube.model.task import Slot


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeUse:
    """A container that has the volume mounted. `slot` None: it is no task of this cluster."""

    container: str
    slot: Slot | None
    is_alive: bool

    def __str__(self) -> str:
        return self.container if self.slot is None else str(self.slot)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVolume:
    """A volume on one node. `cluster` is the one whose Cube made it; empty: nobody's.

    `size` in bytes; None: the engine did not tell in time. `is_read`: a copy of it is being made.
    `is_half`: it is being filled from an archive, or that was cut short.
    """

    node: str
    name: str
    cluster: str
    size: int | None
    uses: tuple[VolumeUse, ...] = ()
    is_read: bool = False
    is_half: bool = False

    @property
    def users(self) -> tuple[VolumeUse, ...]:
        """Those that run."""
        return tuple(use for use in self.uses if use.is_alive)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """What an archive of a volume holds: so many files, so many bytes of them, and a digest of all of it.

    The digest is of names, kinds, modes, owners, times and contents, and not of how they are packed.
    """

    digest: str
    files: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftVolume:
    """A volume that a task of that job has left, to go on elsewhere with what was in it.

    It is kept `until` then, in seconds since the epoch, in case what it has become elsewhere is no good.
    """

    node: str
    volume: str
    job: str
    version: int
    until: float


Held = Mapping[str, tuple[StoredVolume, ...]]
"""The volumes of each node that answered, by its name."""
