"""What a plan asks for, what a worker is told, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cube.model.job import TaskSpec
from cube.model.task import Health, Slot, State, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why one node cannot take one task. `ever`: it never could, whatever else were stopped there."""

    node: str
    reason: str
    ever: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A placement's explanation: the score of every candidate, and the refusals of the others."""

    scores: Mapping[str, float]
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Fill a slot: a task of this spec on this node. `pending` is the task that waited for it, if one did."""

    slot: Slot
    version: int
    spec: TaskSpec
    node: str
    ports: Mapping[str, int]
    decision: Decision
    reason: str
    pending: Task | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Make the task's container exist and run on its node; an existing one is started, never doubled."""

    task: Task
    reason: str

    @property
    def node(self) -> str:
        """Where it happens."""
        assert self.task.node is not None
        return self.task.node


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Stop and remove one container. `task` None: the container is an orphan; else the task goes to `target`.

    `grace` in seconds, before the engine kills it.
    """

    node: str
    container: str
    container_name: str
    grace: float
    reason: str
    task: Task | None = None
    target: State = State.COMPLETED


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Record what was seen: the task's new state and health. Touches no node.

    `restarts` is how many still count against the policy; None: as many as before.
    """

    task: Task
    target: State
    reason: str
    container: str | None = None
    exit_code: int | None = None
    health: Health | None = None
    check_failures: int = 0
    restarts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A slot that cannot be filled now: it stays Pending, with a refusal per node."""

    slot: Slot
    version: int
    spec: TaskSpec
    decision: Decision
    reason: str
    pending: Task | None = None


Action = Place | Start | Stop | Note | Wait
Effect = Start | Stop
"""The actions that touch a node; a Place becomes a Start once its task is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Tasks of an older version that still serve: they may not go yet, and why."""

    job: str
    group: str
    count: int
    reason: str

    def __str__(self) -> str:
        return f"{self.job}/{self.group}: {self.count} of an older version left: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The actions of one wave, none of which waits for another.

    `due` is when the passing of time alone will change the plan, by job: a restart, the next health check.
    `held` says what will follow once these are done, if it can; `warnings` what a person should know.
    """

    actions: tuple[Action, ...] = ()
    due: Mapping[str, float] = field(default_factory=dict)
    held: tuple[Held, ...] = ()
    warnings: tuple[str, ...] = ()

    def due_for(self, job: str | None) -> float | None:
        """When time alone will change what the plan asks for that job; None: for any."""
        return min((at for name, at in self.due.items() if job in (None, name)), default=None)

    @property
    def changes(self) -> tuple[Place | Start | Stop, ...]:
        """The actions that touch a node."""
        return tuple(action for action in self.actions if isinstance(action, Place | Start | Stop))


class Verdict(StrEnum):
    """UNKNOWN: the reply was lost; the effect may have happened, or may yet happen."""

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one effect. `container` is the id of a started one."""

    verdict: Verdict
    container: str | None = None
    why: str = ""
    cure: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
