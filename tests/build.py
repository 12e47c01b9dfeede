"""Sane defaults, so that a test names only what matters to it."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from cube.model.image import Image
from cube.model.job import Group, Job, TaskSpec
from cube.model.labels import identity_of, labels_of
from cube.model.move import Move
from cube.model.node import Access, Cordon, Node, Silence
from cube.model.observation import (
    Cause,
    Container,
    ContainerState,
    CpuTimes,
    Engine,
    Observation,
    Seen,
    Stats,
    Unknown,
)
from cube.model.policy import UpdatePolicy
from cube.model.resources import Resources
from cube.model.rollout import Rollout
from cube.model.task import Slot, State, Task
from cube.reconciler.world import World

NOW = 1_800_000_000.0
CLUSTER = "test"
OWNER = "owner-1"
GIB = 2**30
UPDATE = tuple(found.name for found in fields(UpdatePolicy))


def node(name: str, **changes: Any) -> Node:
    return Node(name=name, access=Access(address=name), **changes)


def spec(image: str = "app:1", **changes: Any) -> TaskSpec:
    return TaskSpec(image=image, resources=Resources(cpu=100, memory=GIB // 8), **changes)


def job(name: str = "web", count: int = 1, *, task: TaskSpec | None = None, **changes: Any) -> Job:
    of_group = {found.name for found in fields(Group)} - {"name", "spec", "count", "type"}
    group_changes = {key: changes.pop(key) for key in of_group if key in changes}
    if of_update := {key: changes.pop(key) for key in UPDATE if key in changes}:
        group_changes["update"] = UpdatePolicy(**of_update)
    group = Group(name="main", spec=task or spec(), count=count, **group_changes)
    return Job(name=name, groups=(group,), version=changes.pop("version", 1), **changes)


def task(index: int = 0, *, job: str = "web", node: str | None = "node1", **changes: Any) -> Task:
    slot = Slot(job=job, group="main", index=index)
    values: dict[str, Any] = {
        "id": f"{job}-{index}-0000-0000",
        "version": 1,
        "spec": spec(),
        "state": State.RUNNING,
        "order": index + 1,
        "created_at": NOW - 100,
        "changed_at": NOW - 100,
    }
    return Task(slot=slot, node=node, **(values | changes))


def container(of: Task, state: ContainerState = ContainerState.RUNNING, **changes: Any) -> Container:
    owner = changes.pop("owner", OWNER)
    labels = labels_of(of, cluster=changes.pop("cluster", CLUSTER), owner=owner, epoch=1)
    return Container(
        id=f"container-of-{of.id}",
        name=of.container_name,
        image=of.spec.image,
        image_id="sha256:1",
        state=state,
        created_at=of.created_at,
        identity=identity_of(labels),
        **changes,
    )


def foreign(name: str = "postgres", host_ports: tuple[int, ...] = ()) -> Container:
    return Container(
        id=f"foreign-{name}",
        name=name,
        image="postgres:16",
        image_id="sha256:2",
        state=ContainerState.RUNNING,
        created_at=NOW - 1000,
        identity=None,
        host_ports=host_ports,
    )


def stats(*, cpus: int = 4, memory: int = 8 * GIB, disk: int = 100 * GIB) -> Stats:
    return Stats(
        at=NOW,
        boot_id="boot",
        machine_id="machine",
        uptime=1000.0,
        clock=NOW,
        cpus=cpus,
        cpu=CpuTimes(total=100, idle=90),
        load=(0.0, 0.0, 0.0),
        memory_total=memory,
        memory_available=memory,
        disk_total=disk,
        disk_free=disk,
        pressure={},
    )


IMAGES = tuple(
    Image(id=f"sha256:{name}", names=(name,), size=1000, created_at=1.0)
    for name in ("app:1", "app:2", "app:3")
)
"""What every node has."""


def seen(name: str, *containers: Container, **capacity: int) -> Seen:
    engine = Engine(version="20.10", api_version="1.41")
    return Seen(
        node=name, at=NOW, stats=stats(**capacity), engine=engine, containers=containers, images=IMAGES
    )


def unknown(name: str) -> Unknown:
    return Unknown(node=name, at=NOW, cause=Cause.TIMEOUT, why="port 22", cure="")


def world(
    *,
    jobs: Iterable[Job] = (),
    tasks: Iterable[Task] = (),
    observed: Iterable[Observation] | None = None,
    nodes: Iterable[Node] = (),
    now: float = NOW,
    rollouts: Iterable[Rollout] = (),
    cordons: Iterable[Cordon] = (),
    silences: Iterable[Silence] = (),
    moves: Iterable[Move] = (),
    former: Iterable[Task] = (),
    preemption: bool = False,
) -> World:
    """Where nothing is observed for a task's node, the node is seen with that task's container running."""
    recorded = tuple(tasks)
    looks = {found.node: found for found in observed} if observed is not None else _as_recorded(recorded)
    declared = {found.name: found for found in nodes} or {name: node(name) for name in looks}
    return World(
        cluster=CLUSTER,
        owner=OWNER,
        now=now,
        nodes=declared,
        jobs=tuple(jobs),
        tasks=recorded,
        former=tuple(former),
        observed=looks,
        rollouts={found.job: found for found in rollouts},
        cordons={found.node: found for found in cordons},
        silences={found.node: found for found in silences},
        moves={found.slot: found for found in moves},
        preemption=preemption,
    )


def _as_recorded(tasks: tuple[Task, ...]) -> Mapping[str, Observation]:
    names = sorted({found.node for found in tasks if found.node}) or ["node1", "node2"]
    return {name: seen(name, *(container(found) for found in tasks if found.node == name)) for name in names}


def moved(found: Task, **changes: Any) -> Task:
    return replace(found, **changes)
