"""A machine that exists only here: an engine's containers, and what a look at them shows.

tests/contract holds it against a real node of the lab, case by case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cube.model.action import Effect, Outcome, Quarantine, Start, Stop, Verdict
from cube.model.job import TaskSpec
from cube.model.labels import identity_of, labels_of
from cube.model.observation import Container, ContainerState, CpuTimes, Engine, Seen, Stats
from cube.model.task import Health

Program = Callable[[TaskSpec], int | None]
"""What a spec does once it runs: None, it stays; a number, it exits with that at once."""


def runs_for_ever(_spec: TaskSpec) -> int | None:
    """A service that never fails."""
    return None


@dataclass(slots=True, kw_only=True)
class Machine:
    """One node's engine. It answers at once and tells the truth; faults are put in front of it.

    `mutations` counts the calls that changed something, for the law that a settled fleet is left alone.
    """

    name: str
    cluster: str
    owner: str
    images: frozenset[str] = frozenset({"app:1", "app:2"})
    program: Program = runs_for_ever
    cpus: int = 4
    memory: int = 8 * 2**30
    containers: dict[str, Container] = field(default_factory=dict)
    created: int = 0
    mutations: int = 0

    def observe(self, now: float) -> Seen:
        """Everything, in the order in which it was made."""
        return Seen(
            node=self.name,
            at=now,
            stats=self._stats(now),
            engine=Engine(version="simulated", api_version="1.41"),
            containers=tuple(self.containers.values()),
        )

    def perform(self, effect: Effect, now: float) -> Outcome:
        """Carry the effect out as an engine would."""
        self.mutations += 1
        match effect:
            case Start():
                return self._start(effect, now)
            case Stop():
                return self._stop(effect)
            case Quarantine():
                return self._quarantine(effect)

    def end(self, container: str, exit_code: int) -> None:
        """The process in that container is over."""
        found = self.containers[container]
        self.containers[container] = replace(
            found, state=ContainerState.EXITED, exit_code=exit_code, oom_killed=False, host_ports=()
        )

    def add_foreign(self, name: str, host_ports: tuple[int, ...] = ()) -> None:
        """Somebody else starts a container of their own."""
        self._add(name, "elsewhere:1", {}, host_ports, now=0.0)

    def reboot(self) -> None:
        """Every process ends; no container is lost."""
        for container in self.containers.values():
            if container.state is ContainerState.RUNNING:
                self.end(container.id, 137)

    def _start(self, start: Start, now: float) -> Outcome:
        task = start.task
        found = next((held for held in self.containers.values() if held.name == task.container_name), None)
        if found is None:
            if task.spec.image not in self.images:
                return _failed(f"image {task.spec.image} is not on node {self.name} and cannot be pulled")
            labels = labels_of(task, cluster=self.cluster, owner=self.owner, epoch=1)
            found = self._add(task.container_name, task.spec.image, labels, (), now=now)
        elif found.identity is None or found.identity.task != task.id:
            return _failed(f"container {found.name} is not this task's")
        if found.state is ContainerState.RUNNING:
            return Outcome(verdict=Verdict.OK, container=found.id)
        return self._run(found, task.spec, tuple(task.ports.values()))

    def _run(self, found: Container, spec: TaskSpec, ports: tuple[int, ...]) -> Outcome:
        taken = {port for held in self.containers.values() for port in held.host_ports}
        if clash := taken & set(ports):
            return _failed(f"host port {min(clash)} is taken")
        health = Health.HEALTHY if spec.health else Health.UNCHECKED
        self.containers[found.id] = replace(
            found, state=ContainerState.RUNNING, host_ports=ports, exit_code=None, health=health
        )
        exit_code = self.program(spec)
        if exit_code is not None:
            self.end(found.id, exit_code)
        return Outcome(verdict=Verdict.OK, container=found.id)

    def _stop(self, stop: Stop) -> Outcome:
        found = self.containers.get(stop.container)
        if found is None:
            return Outcome(verdict=Verdict.OK)
        if found.identity is None or found.identity.cluster != self.cluster:
            return _failed(f"container {found.name} is not of cluster {self.cluster}")
        del self.containers[stop.container]
        return Outcome(verdict=Verdict.OK)

    def _quarantine(self, effect: Quarantine) -> Outcome:
        found = self.containers.get(effect.container)
        if found is None:
            return _failed("it is gone")
        name = f"{effect.container_name.removesuffix('-quarantined')}-quarantined"
        self.containers[found.id] = replace(found, name=name, host_ports=())
        return Outcome(verdict=Verdict.OK, container=found.id)

    def _add(
        self, name: str, image: str, labels: Mapping[str, str], host_ports: tuple[int, ...], *, now: float
    ) -> Container:
        self.created += 1
        container = Container(
            id=f"{self.name}-{self.created:04}",
            name=name,
            image=image,
            image_id=f"sha256:{image}",
            state=ContainerState.RUNNING if not labels else ContainerState.CREATED,
            created_at=now,
            identity=identity_of(labels),
            host_ports=host_ports,
        )
        self.containers[container.id] = container
        return container

    def _stats(self, now: float) -> Stats:
        return Stats(
            at=now,
            boot_id=f"boot-{self.name}",
            machine_id=f"machine-{self.name}",
            uptime=now,
            clock=now,
            cpus=self.cpus,
            cpu=CpuTimes(total=int(now * 100), idle=int(now * 90)),
            load=(0.1, 0.1, 0.1),
            memory_total=self.memory,
            memory_available=self.memory,
            disk_total=100 * 2**30,
            disk_free=100 * 2**30,
            pressure={},
        )


def _failed(why: str) -> Outcome:
    return Outcome(verdict=Verdict.FAILED, why=why)
