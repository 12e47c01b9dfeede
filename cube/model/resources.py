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

    def __sub__(self, other: "Resources") -> "Resources":
        return Resources(
            cpu=self.cpu - other.cpu, memory=self.memory - other.memory, disk=self.disk - other.disk
        )
