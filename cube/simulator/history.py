"""History: a fleet under one seed, and what was asked of it so far."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from random import Random

from cube.model.job import Job, JobType, TaskSpec
from cube.model.node import Access, Cluster, Node
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Slot
from cube.simulator.clock import WatchedClock
from cube.simulator.engine import START, Engine
from cube.simulator.faults import Site, Weather
from cube.simulator.laws import FOREIGN
from cube.simulator.machine import Begun, Machine
from cube.simulator.record import Reading, mortal, read
from cube.store.store import Store, open_store

CLUSTER = "sim"
WORK = "work:1"
IMAGES = frozenset({"app:1", "app:2", WORK})
"""What every machine has, until somebody removes it."""

PUBLISHED = frozenset({"app:3"})
"""What no machine has, and a registry does."""

ON_CONTAINERD = 0.2
"""How many of the machines have ids of their own for their images."""

STATEMENTS = 20
"""Statements of the store's that are together as deadly as one effect."""

PREEMPTING = 0.3
"""In how many of the histories tasks may have to give way."""

MOST_NODES, MOST_CROWDED = 6, 3
"""Of how many nodes a fleet is at most, and one where tasks may have to give way: each has a crowd."""

SMALL, LARGE = 2000, 3000
"""Millicores of a task of which a machine holds two, and of one that takes the room of two of them."""

PRIORITIES = {"crowd": 5, "web": 30, "api": 60, "once": 10, "nightly": 45, "mail": 20, "last": 40}
"""What jobs matter in histories in which tasks may have to give way."""

LATE = (1.0, 20.0, 400.0)
"""Seconds after which an effect happens that its manager has given up."""


@dataclass(slots=True, kw_only=True)
class Profile:
    """Which faults there are in this history, and how often the manager dies or is stopped."""

    weather: Weather
    kill: float
    stop: float
    happenings: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class History:
    """A fleet under one seed. `wanted` is the reference: what a person would say they asked for.

    `doubtful` are the jobs of which only the record knows what is wanted now: the manager worked it out, and
    may have been killed over it. `disturbed` counts what happened to the machines by itself, `drained` are
    the nodes that are to be empty, `given_up` those whose data may be left behind for that, `moving` the
    slots that somebody wanted elsewhere. `departed` are the machines that have left the inventory, by the
    names that they had there, `forgotten` the tasks of those that nobody waits for, by id. `told` are the
    jobs whose last deploy or stop was answered. `answered`: when each node last
    answered anybody. `has_jumped`: a clock was set, and no duration is to be trusted.
    """

    seed: int
    random: Random
    engine: Engine
    site: Site
    path: Path
    profile: Profile
    nodes: list[str]
    clock: WatchedClock
    reading: Reading
    wanted: dict[str, Job] = field(default_factory=dict)
    doubtful: set[str] = field(default_factory=set)
    drained: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    cordoned: set[str] = field(default_factory=set)
    moving: set[Slot] = field(default_factory=set)
    departed: dict[str, Machine] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    answered: dict[str, float] = field(default_factory=dict)
    has_jumped: bool = False
    disturbed: int = 0
    commands: int = 0
    made: int = 0
    ids: int = 0
    trace: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    idle: list[Store] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        """The inventory as it is now."""
        nodes = tuple(Node(name=name, access=Access(address=name)) for name in self.nodes)
        return Cluster(name=CLUSTER, nodes=nodes, preemption=self.preempts, stats_keep=0.0)

    @property
    def preempts(self) -> bool:
        """Tasks may have to give way: so it is in some histories, whatever else the seed draws."""
        return _preempts(self.seed)

    def ranked(self, job: Job) -> Job:
        """The job, with the type that it keeps, and large where some may have to give way."""
        known = self.wanted.get(job.name)
        job = replace(job, type=known.type) if known is not None else job
        if not self.preempts:
            return job
        groups = tuple(
            replace(group, spec=replace(group.spec, resources=replace(group.spec.resources, cpu=LARGE)))
            for group in job.groups
        )
        return replace(job, groups=groups, priority=PRIORITIES[job.name])

    def homes(self) -> Mapping[Slot, str]:
        """Of each wanted slot the node where its last task has left what the next one is to find."""
        slots = [
            (Slot(job=job.name, group=group.name, index=index), group.spec)
            for job in self.wanted.values()
            for group in job.groups
            for index in range(group.count)
            if job.type_of(group) is JobType.SERVICE
        ]
        found = {slot: self.home(slot, spec) for slot, spec in slots}
        return {slot: node for slot, node in found.items() if node is not None}

    def home(self, slot: Slot, spec: TaskSpec, *, before: str = "") -> str | None:
        """Where the slot's last task, or that before the one of this id, wrote to a volume of the spec's."""
        last = self.reading.last_on_a_node(slot, but_not=before)
        if last is None or last.id in self.forgotten:
            return None
        machine = self.site.machines.get(last.node or "") or self.departed.get(last.node or "")
        if machine is None:
            return None
        return last.node if spec.data & last.spec.data & machine.volumes else None

    def is_recorded(self, job: Job) -> bool:
        """The record says that it is wanted so; of one that is not wanted any more, at least that."""
        known = self.reading.job(job.name)
        if known is None or job.stopped:
            return job.stopped and (known is None or known.stopped)
        return as_asked(known) == as_asked(job)

    def new_id(self) -> str:
        """As random as the seed."""
        self.ids += 1
        return f"{self.random.getrandbits(32):08x}-{self.ids:04}"

    def open(self) -> Store:
        """The state, as a process opens it; one that was put back serves again: opening takes long."""
        if self.idle:
            return self.idle.pop()
        return open_store(self.path, new_id=self.new_id, factory=mortal(self.may_die_writing))

    def put_back(self, store: Store) -> None:
        """A process has ended, and not by being killed."""
        self.idle.append(store)

    def may_die(self, chance: float) -> None:
        """The process that runs now is killed here, if the seed says so."""
        if self.random.random() < chance:
            self.tell("the manager is killed")
            self.engine.kill_current()

    def may_die_writing(self) -> None:
        """As `may_die`, before any statement of the store's."""
        if self.profile.kill and self.engine.is_in_a_process:
            self.may_die(self.profile.kill / STATEMENTS)

    def last_answer(self, node: str) -> float:
        """When the node last answered anybody, as far as that is known."""
        return self.answered.get(node, START - 3600)

    def tell(self, text: str) -> None:
        """One line of the trace."""
        self.trace.append(f"{self.engine.time:.2f} {text}")


@contextmanager
def begun(seed: int, draw: Callable[[Random], Profile]) -> Iterator[History]:
    """The fleet as the seed draws it, in a folder of its own for as long as the block lasts.

    `draw` chooses the faults.
    """
    random = Random(seed)
    engine = Engine(random)
    most = MOST_CROWDED if _preempts(seed) else MOST_NODES
    names = [f"node{number}" for number in range(1, random.randint(1, most) + 1)]
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder) / "sim.db"
        state, owner = _empty_state()
        path.touch(0o600)
        path.write_bytes(state)
        machines = {name: make_machine(name, owner, engine, seed) for name in names}
        site = Site(machines=machines)
        clock = WatchedClock(engine)
        history = History(
            seed=seed,
            random=random,
            engine=engine,
            site=site,
            path=path,
            profile=draw(random),
            nodes=names,
            clock=clock,
            reading=read(path),
            made=len(names),
        )
        site.weather = history.profile.weather

        def deliver_late(act: Callable[[], None]) -> None:
            engine.at(random.choice(LATE), lambda: happen(history, "something late", act))

        site.deliver_late = deliver_late
        yield history
        history.reading.close()
        for store in history.idle:
            store.close()


def _preempts(seed: int) -> bool:
    return Random(f"preemption {seed}").random() < PREEMPTING


def happen(history: History, name: str, act: Callable[[], None]) -> None:
    """Something that nobody asked for."""
    history.disturbed += 1
    history.tell(f"happens: {name}")
    act()


def end_doubts(history: History) -> None:
    """Believe the record about what only the manager knew; of a job that may yet be taken back, ask again."""
    if not history.doubtful:
        return
    store = history.open()
    jobs = {name: store.job(name) for name in sorted(history.doubtful)}
    rollouts = store.rollouts()
    history.put_back(store)
    history.wanted.update({name: as_asked(job) for name, job in jobs.items() if job})
    history.doubtful = {name for name, job in jobs.items() if job and _may_go_back(job, rollouts.get(name))}


def as_asked(job: Job) -> Job:
    """The job as a person wrote it: its number, and which images its names mean, are settled later."""
    groups = (replace(group, spec=replace(group.spec, pinned="")) for group in job.groups)
    return replace(job, version=0, groups=tuple(groups))


def _may_go_back(job: Job, rollout: Rollout | None) -> bool:
    is_open = rollout is not None and rollout.state in (RolloutState.RUNNING, RolloutState.FAILED)
    return is_open and any(group.update.auto_revert for group in job.groups)


def make_machine(name: str, owner: str, engine: Engine, seed: int) -> Machine:
    """A machine with something on it that is not Cube's."""
    machine = Machine(
        name=name,
        cluster=CLUSTER,
        owner=owner,
        images=IMAGES,
        registry=PUBLISHED,
        begun=work_ends(engine, takes=(2.0, 50.0, 700.0), exit_codes=(0, 0, 0, 1)),
        on_containerd=Random(f"containerd {seed} {name}").random() < ON_CONTAINERD,
    )
    machine.add_foreign(FOREIGN, host_ports=(5432,))
    return machine


def work_ends(engine: Engine, *, takes: Sequence[float], exit_codes: Sequence[int]) -> Begun:
    """What is no service ends by itself, after so many seconds and with an exit code that the seed draws."""

    def begun(machine: Machine, container: str, spec: TaskSpec) -> None:
        if spec.image == WORK:
            after, exit_code = engine.random.choice(takes), engine.random.choice(exit_codes)
            engine.at(after, lambda: _end(machine, container, exit_code))

    return begun


def _end(machine: Machine, container: str, exit_code: int) -> None:
    if container in machine.containers:
        machine.end(container, exit_code)


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - files that only time remembers


@cache
def _empty_state() -> tuple[bytes, str]:
    """A fresh state, and its owner; made once, for making the tables takes longer than many a history."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder) / "empty.db"
        store = open_store(path)
        owner = store.owner
        store.close()
        return path.read_bytes(), owner
