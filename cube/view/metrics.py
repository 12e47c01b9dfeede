"""The service's figures in Prometheus' text format. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cube.model.task import State, Task
from cube.view.fleet import JobView, NodeView

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """What one lookout has done since it began: looks, their seconds in all, and streams that it opened.

    `connections`: how often its worker connected to the node.
    """

    node: str
    looks: int
    seconds: float
    streams: int
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turning:
    """What a service has done since it began: turns, their seconds in all, and effects by their outcome.

    `planning`: how much of the seconds the reconciler and the scheduler took.
    """

    turns: int
    seconds: float
    planning: float
    effects: Mapping[str, int]
    events: int
    lookouts: tuple[Watching, ...]


def metrics(
    nodes: Sequence[NodeView], jobs: Sequence[JobView], tasks: Iterable[Task], turning: Turning
) -> str:
    """Every figure, each with what it means."""
    lines = (*_of_nodes(nodes), *_of_tasks(jobs, tasks), *_of_service(turning))
    return "\n".join(lines) + "\n"


def _of_nodes(nodes: Sequence[NodeView]) -> Iterator[str]:
    states = Counter(node.state for node in nodes)
    yield from _metric(
        "nodes", "Nodes of the inventory by state.", [({"state": s}, n) for s, n in sorted(states.items())]
    )
    yield from _metric(
        "node_up", "Whether the node answered the last look.",
        [({"node": node.name}, int(node.state != "unknown")) for node in nodes],
    )  # fmt: skip
    for name, about in (
        ("capacity", "What the node has."),
        ("promised", "What Cube's tasks there may use."),
        ("used", "What is in use there, by whomever."),
        ("used_by_tasks", "What of it Cube's tasks use."),
    ):
        found = [({"node": node.name}, each) for node in nodes if (each := getattr(node, name)) is not None]
        yield from _metric(
            f"node_cpu_{name}_cores", about, [(label, each.cpu / 1000) for label, each in found]
        )
        yield from _metric(
            f"node_memory_{name}_bytes", about, [(label, each.memory) for label, each in found]
        )
        if name != "used_by_tasks":  # which does not know of disks
            yield from _metric(
                f"node_disk_{name}_bytes", about, [(label, each.disk) for label, each in found]
            )


def _of_tasks(jobs: Sequence[JobView], tasks: Iterable[Task]) -> Iterator[str]:
    states = Counter(task.state for task in tasks)
    yield from _metric("tasks", "Tasks by state.", [({"state": s.lower()}, states[s]) for s in State])
    for name, about in (
        ("wanted", "Tasks that the job wants."),
        ("running", "Tasks of the job that run."),
        ("healthy", "Tasks of the job that run and are healthy."),
        ("failed", "Tasks of the job that failed."),
    ):
        yield from _metric(
            f"job_{name}_tasks", about, [({"job": job.name}, getattr(job, name)) for job in jobs]
        )


def _of_service(turning: Turning) -> Iterator[str]:
    yield from _metric("turns_total", "Turns of the loop.", [({}, turning.turns)])
    yield from _metric(
        "turn_seconds_total", "Time that planning and recording took.", [({}, turning.seconds)]
    )
    yield from _metric(
        "planning_seconds_total", "Time of that in which it was planned what to do, and where.",
        [({}, turning.planning)],
    )  # fmt: skip
    yield from _metric(
        "effects_total", "Effects on nodes by outcome.",
        [({"outcome": outcome}, count) for outcome, count in sorted(turning.effects.items())],
    )  # fmt: skip
    yield from _metric("events_total", "Events that are recorded.", [({}, turning.events)])
    for name, about in (
        ("looks", "Looks at the node."),
        ("seconds", "Time that the looks at the node took."),
        ("streams", "Event streams that were opened to the node's engine."),
        ("connections", "SSH connections that were opened to the node: all but the first are reconnects."),
    ):
        values = [({"node": found.node}, getattr(found, name)) for found in turning.lookouts]
        yield from _metric(f"node_{'look_' * (name == 'seconds')}{name}_total", about, values)


def _metric(name: str, about: str, values: Iterable[tuple[Labels, float]]) -> Iterator[str]:
    kind = "counter" if name.endswith("_total") else "gauge"
    yield f"# HELP cube_{name} {about}"
    yield f"# TYPE cube_{name} {kind}"
    for labels, value in values:
        told = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        yield f"cube_{name}{{{told}}} {value!r}" if told else f"cube_{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
