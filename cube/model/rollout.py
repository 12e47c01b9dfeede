"""Rollout: how far a version of a job has come."""

from dataclasses import dataclass
from enum import StrEnum


class RolloutState(StrEnum):
    """RUNNING: under way. PAUSED: nothing more is replaced until somebody resumes it.

    SUCCEEDED: everything is of this version and healthy. FAILED: it was given up; what still serves is left.
    """

    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"

    @property
    def is_held(self) -> bool:
        """No task of an older version may go."""
        return self in (RolloutState.PAUSED, RolloutState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """Of one version of one job, from the moment it was wanted.

    `since` (seconds since the epoch) is when it began, or was last promoted or resumed: deadlines count from
    then. `promoted`: more than the canaries may be replaced. `stable` is the version to go back to, the last
    one that had succeeded; None where there is none, and for a rollout that goes back itself.
    """

    job: str
    version: int
    since: float
    state: RolloutState = RolloutState.RUNNING
    promoted: bool = False
    stable: int | None = None
    reason: str = ""
