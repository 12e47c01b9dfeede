"""A machine that exists only here: an engine's containers, and what a look at them shows.

tests/lab/test_contract.py holds it against a real node of the lab, case by case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from cube.model.action import Effect, Fetch, Outcome, Push, Quarantine, Refresh, Start, Stop, Verdict
from cube.model.image import Image, full_name, with_digest
from cube.model.job import TaskSpec
from cube.model.labels import identity_of, labels_of
from cube.model.observation import (
    QUARANTINED,
    Container,
    ContainerState,
    CpuTimes,
    Engine,
    PostMortem,
    Seen,
    Stats,
)
from cube.model.task import Health, State

Program = Callable[[TaskSpec], int | None]
"""What a spec does once it runs: None, it stays; a number, it exits with that at once."""

Answers = Callable[[TaskSpec], bool]
"""Does a running task of the spec answer its check well, at that time?"""


Begun = Callable[["Machine", str, TaskSpec], None]
"""Is told of each container whose process begins, by its id."""


def runs_for_ever(_spec: TaskSpec) -> int | None:
    """A service that never fails."""
    return None


def is_told_nothing(_machine: "Machine", _container: str, _spec: TaskSpec) -> None:
    """Nobody listens."""


def is_always_well(_spec: TaskSpec) -> bool:
    """A service that always answers."""
    return True


@dataclass(slots=True, kw_only=True)
class Machine:
    """One node's engine. It answers at once and tells the truth; faults are put in front of it.

    `mutations` counts the calls that changed something, for the law that a settled fleet is left alone.
    `images` are here, those of `registry` can be pulled. `epoch` is the newest that a call has named. A full
    disk lets nothing new be made. One that is `on_containerd` has ids of its own for its images. `started` is
    when each container's process last began, `exits` with what each task's processes ended. `specs` are the
    containers' as people wrote them: which image a name means is settled later.
    """

    name: str
    cluster: str
    owner: str
    images: frozenset[str] = frozenset({"app:1", "app:2"})
    registry: frozenset[str] = frozenset()
    program: Program = runs_for_ever
    answers: Answers = is_always_well
    begun: Begun = is_told_nothing
    cpus: int = 4
    memory: int = 8 * 2**30
    is_full: bool = False
    on_containerd: bool = False
    containers: dict[str, Container] = field(default_factory=dict)
    volumes: set[str] = field(default_factory=set)
    specs: dict[str, TaskSpec] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    exits: dict[str, list[int]] = field(default_factory=dict)
    created: int = 0
    mutations: int = 0
    epoch: int = 0
    machine_id: str = field(init=False)

    def __post_init__(self) -> None:
        self.machine_id = f"machine-{self.name}"

    def observe(self, now: float) -> Seen:
        """Everything, in the order in which it was made."""
        return Seen(
            node=self.name,
            at=now,
            stats=self._stats(now),
            engine=Engine(version="simulated", api_version="1.41"),
            containers=tuple(self._asked(found) for found in self.containers.values()),
            images=_listed(self.images, self._own),
            volumes=tuple(sorted(self.volumes)),
        )

    def perform(self, effect: Effect, now: float, epoch: int = 1) -> Outcome:
        """Carry the effect out as an engine would."""
        self.mutations += 1
        self.epoch = max(self.epoch, epoch)
        match effect:
            case Start():
                return self._start(effect, now, epoch)
            case Stop():
                return self._stop(effect, now, epoch)
            case Quarantine():
                return self._quarantine(effect, now, epoch)
            case Push():
                self.images |= {effect.image}
                return Outcome(verdict=Verdict.OK)
            case Fetch():
                return self._pull(effect.image) or Outcome(verdict=Verdict.OK)
            case Refresh():
                return Outcome(verdict=Verdict.OK)

    def end(self, container: str, exit_code: int) -> None:
        """The process in that container is over."""
        found = self.containers[container]
        if found.state is ContainerState.RUNNING:
            if found.identity is not None:
                self.exits.setdefault(found.identity.task, []).append(exit_code)
            self.containers[container] = replace(
                found,
                state=ContainerState.EXITED,
                exit_code=exit_code,
                oom_killed=False,
                host_ports=(),
                address="",
            )

    def remove(self, container: str) -> None:
        """The container is gone, whoever took it away."""
        self.containers.pop(container, None)
        self.specs.pop(container, None)

    def add_foreign(self, name: str, host_ports: tuple[int, ...] = ()) -> None:
        """Somebody else starts a container of their own."""
        self._add(name, "elsewhere:1", {}, host_ports, now=0.0)

    def reboot(self) -> None:
        """Every process ends; no container is lost."""
        for container in list(self.containers.values()):
            self.end(container.id, 137)

    def _asked(self, found: Container) -> Container:
        """The container with the answer of its check, as a look brings it back."""
        spec = self.specs.get(found.id)
        is_asked = spec is not None and spec.health is not None and not found.is_cut_off
        if spec is None or not is_asked or found.state is not ContainerState.RUNNING:
            return found
        return replace(found, health=Health.HEALTHY if self.answers(spec) else Health.UNHEALTHY)

    def _start(self, start: Start, now: float, epoch: int) -> Outcome:
        task = start.task
        found = self._named(task.container_name)
        if found is None:
            if refusal := self._pull(task.spec.image):
                return refusal
            if self.is_full:
                return _failed("no space left on device")
            labels = labels_of(task, cluster=self.cluster, owner=self.owner, epoch=epoch)
            found = self._add(task.container_name, task.spec.image, labels, (), now=now)
            self.specs[found.id] = replace(task.spec, pinned="")
            self.volumes |= {volume.source for volume in task.spec.volumes if volume.is_named}
        elif found.identity is None or found.identity.task != task.id:
            return _failed(f"container {found.name} is not this task's")
        elif found.identity.epoch > epoch:
            return _failed("the fleet was taken over")
        if found.state is ContainerState.RUNNING:
            return Outcome(verdict=Verdict.OK, container=found.id)
        return self._run(found, task.spec, tuple(task.ports.values()), now)

    def _pull(self, image: str) -> Outcome | None:
        """The image is here now, unless its registry has none."""
        if image not in self.images | self.registry:
            return _failed(f"image {image} is not on node {self.name} and cannot be pulled")
        self.images |= {image}
        return None

    def _run(self, found: Container, spec: TaskSpec, ports: tuple[int, ...], now: float) -> Outcome:
        left = _post_mortem(found, now) if found.state is ContainerState.EXITED else None
        taken = {port for held in self.containers.values() for port in held.host_ports}
        if clash := taken & set(ports):
            return replace(_failed(f"host port {min(clash)} is taken"), post_mortem=left)
        self.containers[found.id] = replace(
            found, state=ContainerState.RUNNING, host_ports=ports, exit_code=None, address="172.17.0.2"
        )
        self.started[found.id] = now
        self.begun(self, found.id, spec)
        exit_code = self.program(spec)
        if exit_code is None:
            return Outcome(verdict=Verdict.OK, container=found.id, post_mortem=left)
        self.end(found.id, exit_code)
        if exit_code == 0:
            return Outcome(verdict=Verdict.OK, container=found.id, post_mortem=left)
        return Outcome(
            verdict=Verdict.FAILED,
            container=found.id,
            why=f"the container ended at once with exit code {exit_code}",
            detail={"exit_code": str(exit_code), "log": ""},
            post_mortem=left or _post_mortem(self.containers[found.id], now),
        )

    def _stop(self, stop: Stop, now: float, epoch: int) -> Outcome:
        found = self.containers.get(stop.container) or self._named(stop.container)
        if found is None:
            return Outcome(verdict=Verdict.OK, container=stop.container)
        if refusal := self._refuse_stranger(found, epoch):
            return refusal
        self.remove(found.id)
        left = _post_mortem(found, now) if _has_failed(stop, found) else None
        return Outcome(verdict=Verdict.OK, container=stop.container, post_mortem=left)

    def _quarantine(self, effect: Quarantine, now: float, epoch: int) -> Outcome:
        found = self.containers.get(effect.container)
        if found is None:
            return _failed("it is gone")
        if refusal := self._refuse_stranger(found, epoch):
            return refusal
        name = f"{effect.task.container_name}{QUARANTINED}"
        self.containers[found.id] = replace(found, name=name, host_ports=(), address="")
        return Outcome(verdict=Verdict.OK, container=found.id, post_mortem=_post_mortem(found, now))

    def _named(self, name: str) -> Container | None:
        return next((held for held in self.containers.values() if held.name == name), None)

    def _refuse_stranger(self, found: Container, epoch: int) -> Outcome | None:
        if found.identity is None or found.identity.cluster != self.cluster:
            return _failed(f"container {found.name} is not of cluster {self.cluster}")
        return _failed("the fleet was taken over") if found.identity.epoch > epoch else None

    def _add(
        self, name: str, image: str, labels: Mapping[str, str], host_ports: tuple[int, ...], *, now: float
    ) -> Container:
        self.created += 1
        container = Container(
            id=f"{self.machine_id}-{self.created:04}",
            name=name,
            image=image,
            image_id=_id_of(image, self._own),
            state=ContainerState.RUNNING if not labels else ContainerState.CREATED,
            created_at=now,
            identity=identity_of(labels),
            host_ports=host_ports,
        )
        self.containers[container.id] = container
        return container

    @property
    def _own(self) -> str:
        """What its ids of images begin with, whatever name it has in the inventory; empty: all agree."""
        return self.machine_id if self.on_containerd else ""

    def _stats(self, now: float) -> Stats:
        return Stats(
            at=now,
            boot_id=f"boot-{self.name}",
            machine_id=self.machine_id,
            uptime=now,
            clock=now,
            cpus=self.cpus,
            cpu=CpuTimes(total=int(now * 100), idle=int(now * 90)),
            load=(0.1, 0.1, 0.1),
            memory_total=self.memory,
            memory_available=self.memory,
            disk_total=100 * 2**30,
            disk_free=0 if self.is_full else 100 * 2**30,
            pressure={},
        )


@cache
def _listed(names: frozenset[str], own: str) -> tuple[Image, ...]:
    """The images as an engine lists them; one that has ids of its `own` as digests, too."""
    return tuple(_image(name, _id_of(name, own), is_own=bool(own)) for name in sorted(names))


def _image(name: str, identity: str, *, is_own: bool) -> Image:
    full = full_name(name)
    names = (full, with_digest(full.partition(":")[0], identity)) if is_own else (full,)
    return Image(id=identity, names=names, size=2**20, created_at=0.0)


def _id_of(name: str, own: str) -> str:
    """All machines agree on it, but for those that have ids of their own."""
    return f"sha256:{own}{name}"


def _has_failed(stop: Stop, found: Container) -> bool:
    was_failed = stop.task is not None and stop.task.state is State.FAILED
    has_ended = found.state is ContainerState.EXITED
    return stop.target is State.FAILED or (has_ended and (was_failed or found.exit_code != 0))


def _post_mortem(found: Container, now: float) -> PostMortem:
    is_over = found.state is ContainerState.EXITED
    return PostMortem(
        at=now,
        container=found.id,
        exit_code=found.exit_code if is_over else None,
        oom_killed=False,
        started_at="",
        finished_at=f"{now}" if is_over else "",
        log="",
    )


def _failed(why: str) -> Outcome:
    return Outcome(verdict=Verdict.FAILED, why=why)
