"""Task: one instance of a group, the states it goes through, and the events that tell its story."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cube.errors import InternalError
from cube.model.job import TaskSpec


class State(StrEnum):
    """Where a task is in its life. The names are those of Boring's book."""

    PENDING = "Pending"
    SCHEDULED = "Scheduled"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"

    @property
    def is_terminal(self) -> bool:
        """Nothing follows but, for a failed task, a restart."""
        return self in (State.COMPLETED, State.FAILED)


TRANSITIONS: Mapping[State | None, frozenset[State]] = {
    None: frozenset({State.PENDING, State.SCHEDULED}),
    State.PENDING: frozenset({State.PENDING, State.SCHEDULED, State.COMPLETED}),
    State.SCHEDULED: frozenset({State.SCHEDULED, State.RUNNING, State.COMPLETED, State.FAILED}),
    State.RUNNING: frozenset({State.RUNNING, State.SCHEDULED, State.COMPLETED, State.FAILED}),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset({State.SCHEDULED, State.RUNNING, State.COMPLETED}),
}
"""From which state a task may go to which. The store checks every write against it."""


def check_transition(source: State | None, target: State) -> None:
    """Raises InternalError where the table does not allow the step."""
    if target not in TRANSITIONS[source]:
        raise InternalError(f"a task cannot go from {source or 'nothing'} to {target}")


class Health(StrEnum):
    """What the last check said; a task without a check stays UNCHECKED."""

    UNCHECKED = "unchecked"
    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


GroupKey = tuple[str, str]
"""A job's name, and that of one of its groups."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A place that a job wants filled: `job/group[index]`."""

    job: str
    group: str
    index: int

    @property
    def group_key(self) -> GroupKey:
        """The job and the group that it is of."""
        return self.job, self.group

    def __str__(self) -> str:
        return f"{self.job}/{self.group}[{self.index}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One attempt to fill a slot, bound to one node from Scheduled on, and to one container there.

    `ports` maps a port's name to the port on the node, `devices` a kind to those of the node that it has for
    itself. Times are seconds since the epoch.
    `reason` is that of the last event. `order` counts tasks in the order in which they were first wanted.

    `healthy_since`: since when it has been healthy without a break, or has run where nothing is checked.
    `checked_at`: when a check was last counted. `reschedules` counts the tasks of this slot that failed for
    good one after the other before this one, `failed_on` names their nodes. `quarantined_until`: its
    container is kept for somebody to look at.
    """

    id: str
    slot: Slot
    version: int
    spec: TaskSpec
    state: State
    order: int
    created_at: float
    changed_at: float
    node: str | None = None
    container: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    health: Health = Health.UNCHECKED
    healthy_since: float | None = None
    checked_at: float = 0.0
    check_failures: int = 0
    check_successes: int = 0
    restarts: int = 0
    reschedules: int = 0
    failed_on: tuple[str, ...] = ()
    quarantined_until: float | None = None
    exit_code: int | None = None
    reason: str = ""

    @property
    def holds_room(self) -> bool:
        """What it asked of its node is promised to it: it neither waits nor has ended as it should."""
        return self.state not in (State.PENDING, State.COMPLETED)

    @property
    def container_name(self) -> str:
        """What the task's container is called: the same for ever, so that it cannot be created twice."""
        return f"cube-{self.slot.job}-{self.slot.group}-{self.slot.index}-{self.id[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEvent:
    """One thing that happened: to a task, from which state to which, when, why and by whom.

    `number` grows by one with every event of the store. `detail` holds a placement's scores and refusals.
    `task` is empty and `target` None for what happened to a whole job, or to a node: a rollout, a drain.
    """

    number: int
    at: float
    task: str
    slot: Slot
    version: int
    source: State | None
    target: State | None
    node: str | None
    reason: str
    actor: str
    detail: Mapping[str, str] = field(default_factory=dict)
