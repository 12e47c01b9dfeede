"""What a machine has and what a task asks for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """An amount of `cpu` (millicores), `memory` and `disk` (bytes)."""

    cpu: int = 0
    memory: int = 0
    disk: int = 0

    def __add__(self, other: "Resources") -> "Resources":
        return Resources(
            cpu=self.cpu + other.cpu, memory=self.memory + other.memory, disk=self.disk + other.disk
        )

    def beyond(self, other: "Resources") -> "Resources":
        """What this is more than the other, never less than nothing."""
        more = self - other
        return Resources(cpu=max(more.cpu, 0), memory=max(more.memory, 0), disk=max(more.disk, 0))

    @property
    def is_overdrawn(self) -> bool:
        """Some of it is less than nothing, as what is left where more was taken than there was."""
        return min(self.cpu, self.memory, self.disk) < 0

    def __sub__(self, other: "Resources") -> "Resources":
        return Resources(
            cpu=self.cpu - other.cpu, memory=self.memory - other.memory, disk=self.disk - other.disk
        )
