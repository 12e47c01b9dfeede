"""A recorded history: which tasks came and went, and where another algorithm would have put them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import attrgetter

from cube.model.job import Job, JobType
from cube.model.resources import Resources
from cube.model.task import Slot, State, TaskEvent
from cube.reconciler.placement import Room, room_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler, place
from cube.scheduler.filters import choose_ports
from cube.scheduler.state import Load, NodeState, Request

POINTS = 400
"""Of how many moments an account tells how full the fleet was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """One task's time on a node. `began` and `ended` (None: it is there still) in seconds since the epoch.

    `came` and `went` are the numbers of those events, `node` is where it was.
    """

    task: str
    request: Request
    node: str
    began: float
    came: int
    ended: float | None = None
    went: int | None = None

    @property
    def slot(self) -> Slot:
        """Whose place it took."""
        return self.request.slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """How full the fleet was from `at` on: nodes with a task, and the shares of CPU and memory promised."""

    at: float
    nodes: int
    cpu: float
    memory: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What came of a history. `placed` tasks got a node, `waited` of them only later, `never` not at all.

    `elsewhere`: placed on another node than they were on. `nodes_mean` is over time, `nodes_most` at once.
    """

    placed: int
    waited: int
    never: int
    elsewhere: int
    nodes_mean: float
    nodes_most: int
    course: tuple[Moment, ...]


Choice = Callable[[Stay, Room], str | None]
"""Which node a task gets; None: none can take it."""


def stays_of(events: Iterable[TaskEvent], jobs: Mapping[tuple[str, int], Job]) -> Iterator[Stay]:
    """The stays that these events, in their order, tell of; not those of versions that are forgotten."""
    stays: dict[str, Stay] = {}
    for event in events:
        known = stays.get(event.task)
        if known is None:
            if (stay := _arrival(event, jobs)) is not None:
                stays[event.task] = stay
        elif event.target is State.COMPLETED:
            stays[event.task] = replace(known, ended=event.at, went=event.number)
        elif event.node is not None and event.node != known.node:
            stays[event.task] = replace(known, node=event.node, request=_renamed(known.request, event.node))
    yield from stays.values()


def empty_fleet(world: World) -> Room:
    """The nodes that answered, with nothing on them."""
    return {
        name: NodeState(node=state.node, capacity=state.capacity, load=Load(cpu=0, memory=0))
        for name, state in room_of(world).items()
    }


def as_it_was(stay: Stay, room: Room) -> str | None:
    """The node that the task was on, if that is there."""
    return stay.node if stay.node in room else None


def chosen_by(scheduler: Scheduler) -> Choice:
    """The node that the scheduler picks."""

    def choose(stay: Stay, room: Room) -> str | None:
        found, _ = place(scheduler, stay.request, tuple(room.values()))
        return found.node.name if found is not None else None

    return choose


def relive(choose: Choice, fleet: Room, stays: Sequence[Stay], *, since: float, until: float) -> Account:
    """The stays from `since` to `until` once more, each where `choose` puts it when it comes.

    What was there at `since` stays where it was. A task that fits nowhere waits, the oldest first, for one
    that goes; drains and cordons of the time are not known.
    """
    lived = _Lived(fleet=dict(fleet))
    for step in _steps(stay for stay in stays if stay.ended is None or stay.ended > since):
        if step.comes:
            lived.arrive(step.stay, as_it_was if step.at < since else choose)
        else:
            lived.leave(step.stay, choose)
        lived.note(max(step.at, since))
    return lived.account(until)


@dataclass(frozen=True, slots=True)
class _Step:
    """A task comes, or goes."""

    number: int
    at: float
    stay: Stay
    comes: bool


def _steps(stays: Iterable[Stay]) -> Sequence[_Step]:
    """In the order of the record."""
    steps = []
    for stay in stays:
        steps.append(_Step(stay.came, stay.began, stay, comes=True))
        if stay.went is not None and stay.ended is not None:
            steps.append(_Step(stay.went, stay.ended, stay, comes=False))
    return sorted(steps, key=attrgetter("number"))


@dataclass(slots=True, kw_only=True)
class _Lived:
    """The fleet at one moment of a history, and what has come of it so far.

    `held` are the node and the host ports of each task, `slots` the task that took each slot last, `last` the
    node that a task got last.
    """

    fleet: dict[str, NodeState]
    held: dict[str, tuple[str, frozenset[int]]] = field(default_factory=dict)
    slots: dict[Slot, str] = field(default_factory=dict)
    last: str = ""
    waiting: dict[str, Stay] = field(default_factory=dict)
    course: list[Moment] = field(default_factory=list)
    placed: int = 0
    waited: int = 0
    never: int = 0
    elsewhere: int = 0

    def arrive(self, stay: Stay, choose: Choice) -> bool:
        """Give the task a node; False: it waits."""
        asked = replace(stay, request=replace(stay.request, after=self.last))
        name = choose(asked, self._as_found_by(stay))
        ports = choose_ports(stay.request.ports, self.fleet[name].ports) if name is not None else None
        if name is None or ports is None:
            self.waiting[stay.task] = stay
            return False
        state, demand = self.fleet[name].with_task(stay.request, ports), stay.request.demand
        held = frozenset({(demand.image, demand.pinned)})
        self.fleet[name] = replace(state, images=state.images.holding(held))
        self.held[stay.task] = name, frozenset(ports.values())
        self.slots[stay.slot] = stay.task
        self.last = name
        self.placed += 1
        self.elsewhere += name != stay.node
        return True

    def leave(self, stay: Stay, choose: Choice) -> None:
        """Take the task away, and give its room to those that wait."""
        if self.waiting.pop(stay.task, None) is not None:
            self.never += 1
            return
        name, ports = self.held.pop(stay.task)
        if self.slots.get(stay.slot) == stay.task:
            del self.slots[stay.slot]
        self.fleet[name] = _without(self.fleet[name], stay.request, ports)
        for other in tuple(self.waiting.values()):
            if self.arrive(other, choose):
                del self.waiting[other.task]
                self.waited += 1

    def note(self, at: float) -> None:
        """How full the fleet is from now on."""
        states = self.fleet.values()
        room = sum((state.capacity for state in states), Resources())
        taken = sum((state.promised for state in states), Resources())
        nodes = sum(any(state.tasks.values()) for state in states)
        cpu, memory = taken.cpu / max(room.cpu, 1), taken.memory / max(room.memory, 1)
        self.course.append(Moment(at=at, nodes=nodes, cpu=cpu, memory=memory))

    def account(self, until: float) -> Account:
        """What has come of it."""
        ends = [*(moment.at for moment in self.course), until]
        spans = [max(later - earlier, 0.0) for earlier, later in pairwise(ends)]
        busy = sum(moment.nodes * span for moment, span in zip(self.course, spans, strict=True))
        return Account(
            placed=self.placed,
            waited=self.waited,
            never=self.never + len(self.waiting),
            elsewhere=self.elsewhere,
            nodes_mean=busy / sum(spans) if sum(spans) > 0 else 0.0,
            nodes_most=max((moment.nodes for moment in self.course), default=0),
            course=tuple(self.course[:: len(self.course) // POINTS + 1]),
        )

    def _as_found_by(self, stay: Stay) -> Room:
        """A task that takes another one's slot finds that one nobody's neighbour any more."""
        if stay.slot not in self.slots:
            return self.fleet
        name, _ = self.held[self.slots[stay.slot]]
        return {**self.fleet, name: _with_one_less(self.fleet[name], stay.request)}


def _without(state: NodeState, request: Request, ports: frozenset[int]) -> NodeState:
    """The node once the task has gone, which had those host ports."""
    asked = request.resources
    load = state.load and Load(cpu=state.load.cpu - asked.cpu, memory=state.load.memory - asked.memory)
    left = _with_one_less(state, request)
    return replace(left, promised=state.promised - asked, ports=state.ports - ports, load=load)


def _with_one_less(state: NodeState, request: Request) -> NodeState:
    return replace(state, tasks={**state.tasks, request.group: state.tasks[request.group] - 1})


def _arrival(event: TaskEvent, jobs: Mapping[tuple[str, int], Job]) -> Stay | None:
    """The stay that begins with this event; None: none does, or nobody remembers what the task asked."""
    job = jobs.get((event.slot.job, event.version))
    group = job.group(event.slot.group) if job is not None else None
    if not event.task or event.node is None or job is None or group is None:
        return None
    if event.target in (None, State.COMPLETED):
        return None
    node = event.node if job.type_of(group) is JobType.SYSTEM else None
    request = Request.of(job, group, index=event.slot.index, order=event.number, node=node)
    return Stay(task=event.task, request=request, node=event.node, began=event.at, came=event.number)


def _renamed(request: Request, node: str) -> Request:
    """The request of a task whose node is called that now; only some belong to their node."""
    return request if request.node is None else replace(request, node=node)
