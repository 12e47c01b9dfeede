"""What a plan asks for, what a worker is told, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cube.model.files import hash_of, mark_of
from cube.model.job import Job, OnChange, TaskSpec, Telling
from cube.model.move import Move
from cube.model.observation import PostMortem
from cube.model.rollout import RolloutState
from cube.model.task import Health, Slot, State, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why one node cannot take one task. `ever`: it never could, whatever else were stopped there.

    `filter` names who refuses, `wanted` and `found` what was asked and what there is, as `reason` tells it.
    """

    node: str
    reason: str
    ever: bool = False
    filter: str = ""
    wanted: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A part of a node's score. `points` are hundred-millionths of 1, so that terms add up exactly.

    `weight` counts it against the other terms of the same score.
    """

    name: str
    points: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What one node has against a task that fits nowhere (`fault`: `lacks 512MiB of memory`), and what helps.

    `changes` is how many things would have to change, all of them told in `change`.
    """

    node: str
    fault: str
    change: str
    changes: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A placement's explanation: the score of every candidate, and the refusals of the others.

    `scheduler` names the algorithm that gave the scores; empty: an older Cube did not say.

    `terms` are what the best scores are made of, the winner's first, where the scheduler can tell.
    `last` are nodes that would only be taken if no other could be, each with the reason.
    Of a large fleet only the best few scores are told and some refusals; `others` counts the candidates
    beside those, `last_others` the nodes beside `last`, `refused` all nodes that each filter refuses.
    `remedies` are what would make a task fit that fits nowhere, the smallest change first.
    """

    scores: Mapping[str, float]
    refusals: tuple[Refusal, ...] = ()
    terms: Mapping[str, tuple[Term, ...]] = field(default_factory=dict)
    others: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, str] = field(default_factory=dict)
    last_others: int = 0
    remedies: tuple[Remedy, ...] = ()
    scheduler: str = ""

    @property
    def refusals_by_filter(self) -> Mapping[str, int]:
        """How many nodes each filter refuses, the one that refuses most first."""
        found = {name: {each.node for each in self.refusals if each.filter == name} for name in self._filters}
        counts = {name: len(nodes) for name, nodes in found.items()} | dict(self.refused)
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    @property
    def _filters(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(each.filter for each in self.refusals))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Fill a slot: a task of this spec on this node. `pending` is the task that waited for it, if one did.

    `devices` are those of the node that it gets, by kind.
    `reschedules` and `failed_on` are what the new task knows of those that failed before it.
    """

    slot: Slot
    version: int
    spec: TaskSpec
    node: str
    ports: Mapping[str, int]
    decision: Decision
    reason: str
    devices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pending: Task | None = None
    reschedules: int = 0
    failed_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Make the task's container exist and run on its node; an existing one is started, never doubled.

    `job` and `parent` are what the store adds for the labels of a new container: the job in the task's
    version, and where that is a run the job that it is a run of.
    """

    task: Task
    reason: str
    job: Job | None = None
    parent: Job | None = None

    @property
    def node(self) -> str:
        """Where it happens."""
        assert self.task.node is not None
        return self.task.node


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Stop and remove one container. `task` None: the container is an orphan; else the task goes to `target`.

    `container` is its id; its name where none was seen, and only the task's files, or a late start, may be.
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
class Quarantine:
    """Cut the task's container off from every network, and let it run on until `until`; the task failed."""

    task: Task
    container: str
    container_name: str
    until: float
    reason: str

    @property
    def node(self) -> str:
        """Where it happens."""
        assert self.task.node is not None
        return self.task.node


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """Bring an image of the operator's engine to a node, for that job.

    `image` is its full name, `pinned` its id there.
    """

    node: str
    image: str
    pinned: str
    job: str
    reason: str

    @property
    def task(self) -> Task | None:
        """None: it is for no single one."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Have a node's engine fetch an image from its registry, for that job, before what runs is touched.

    `image` is as the job calls it, `pinned` the id that it must have; empty: any.
    """

    node: str
    image: str
    pinned: str
    job: str
    reason: str

    @property
    def task(self) -> Task | None:
        """None: it is for no single one."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """Make a running task's files be these `texts`, in the order of its templates, then tell it by each.

    `grace` in seconds, where it is told by a restart. `services` are the jobs, and groups of jobs, that the
    files list. `tries`: how often it was tried before, since its process was told last.
    """

    task: Task
    container: str
    texts: tuple[str, ...]
    tellings: tuple[OnChange, ...]
    grace: float
    reason: str
    services: tuple[str, ...] = ()
    tries: int = 0

    @property
    def node(self) -> str:
        """Where it happens."""
        assert self.task.node is not None
        return self.task.node

    @property
    def restarts(self) -> bool:
        """The task's process begins anew."""
        return any(each.telling is Telling.RESTART for each in self.tellings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """How a task stands with its health check, after one more answer. See Task for the fields."""

    health: Health
    at: float
    healthy_since: float | None
    failures: int = 0
    successes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Record what was seen: the task's new state and health. Touches no node.

    `restarts` and `reschedules` are how many still count against the policies; None: as many as before.
    `node` is what its node is called now; None: as before.
    """

    task: Task
    target: State
    reason: str
    container: str | None = None
    exit_code: int | None = None
    checked: Checked | None = None
    restarts: int | None = None
    reschedules: int | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """A slot that cannot be filled now: it stays Pending, with a refusal per node.

    Without any refusal it waits for something else than a node. `reschedules` and `failed_on` as in Place.
    """

    slot: Slot
    version: int
    spec: TaskSpec
    decision: Decision
    reason: str
    pending: Task | None = None
    reschedules: int = 0
    failed_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Begin a run of a periodic job: `job` is the run, a job of its own."""

    job: Job
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclude:
    """A rollout has ended, in that state."""

    job: str
    version: int
    state: RolloutState
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revert:
    """Want the job again as it was in version `to`, in place of `version`, which failed."""

    job: str
    version: int
    to: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget:
    """Forget a run of a periodic or parameterized job that ended long ago, and of which nothing is left."""

    job: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndMove:
    """A move is over. `is_done`: the task runs where it was to go; else the move is dropped, and why."""

    move: Move
    is_done: bool
    reason: str

    def __str__(self) -> str:
        if self.is_done:
            return f"moved {self.move.slot} from {self.move.source} to {self.move.target}: {self.reason}"
        return f"not moved {self.move.slot} to {self.move.target}: {self.reason}"


Action = (
    Place
    | Start
    | Stop
    | Quarantine
    | Push
    | Fetch
    | Refresh
    | Note
    | Wait
    | Launch
    | Conclude
    | Revert
    | Forget
    | EndMove
)
Effect = Start | Stop | Quarantine | Push | Fetch | Refresh
Change = Place | Effect
"""The actions that touch a node; a Place becomes a Start, which is an effect, once its task is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Tasks that are to go and still serve, for now: how many of a group, and why.

    `waits_for_a_person`: time alone will not let them go.
    """

    job: str
    group: str
    count: int
    reason: str
    waits_for_a_person: bool = False

    def __str__(self) -> str:
        return f"{self.job}/{self.group}: {self.count} still to be replaced: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The actions of one wave, none of which waits for another.

    `due` is when the passing of time alone will change the plan, by job: a restart, the next health check.
    `later` is the same for all that a sweep will see to, be it due in days: the next run of a periodic job.
    `held` says what will follow once these are done, if it can; `warnings` what a person should know.
    """

    actions: tuple[Action, ...] = ()
    due: Mapping[str, float] = field(default_factory=dict)
    later: Mapping[str, float] = field(default_factory=dict)
    held: tuple[Held, ...] = ()
    warnings: tuple[str, ...] = ()

    def due_for(self, job: str | None) -> float | None:
        """When time alone will change what the plan asks for that job; None: for any."""
        return min((at for name, at in self.due.items() if job in (None, name)), default=None)

    @property
    def wake(self) -> float | None:
        """When a manager that has nothing else to do should look again."""
        return min(self.later.values(), default=None)

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """What it changes, and what it finds failed, each in a few words, in order.

        Two plans with the same one do the same.
        """
        found = [action for action in self.actions if isinstance(action, Note)]
        failed = (
            f"failed {note.task.slot} on {note.task.node}" for note in found if note.target is State.FAILED
        )
        return tuple(sorted((*failed, *(_in_short(change) for change in self.changes))))

    @property
    def changes(self) -> tuple[Change, ...]:
        """The actions that touch a node."""
        return tuple(action for action in self.actions if isinstance(action, Change))


def _in_short(change: Change) -> str:
    match change:
        case Place():
            return (
                f"start {change.slot} on {change.node} (version {change.version}, spec {change.spec.digest})"
            )
        case Start():
            return f"start {change.task.slot} on {change.node} ({change.task.container_name})"
        case Stop():
            return f"stop {change.container_name} on {change.node}"
        case Quarantine():
            return f"quarantine {change.container_name} on {change.node}"
        case Push() | Fetch():
            kind = type(change).__name__.lower()
            return f"{kind} {change.image} to {change.node} ({change.pinned})"
        case Refresh():
            mark = mark_of(map(hash_of, change.texts))
            return f"refresh {change.task.container_name} on {change.node} ({mark[:16]})"


class Verdict(StrEnum):
    """UNKNOWN: the reply was lost; the effect may have happened, or may yet happen.

    STALE: it was not tried, for its plan had become too old.
    """

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    STALE = "stale"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one effect. `container` is the id of a started one.

    `post_mortem` is what was left of a container that had ended badly, taken before the effect touched it.
    `end` is what it left when it was started, and ended at once again. `seconds` is how long the node took.
    """

    verdict: Verdict
    container: str | None = None
    why: str = ""
    cure: str = ""
    detail: Mapping[str, str] = field(default_factory=dict)
    post_mortem: PostMortem | None = None
    end: PostMortem | None = None
    seconds: float = field(default=0.0, compare=False)
