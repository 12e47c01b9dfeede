"""Drift: what somebody has changed by hand of what Cube set on a container. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cube.model.job import TaskSpec
from cube.model.observation import Container, ContainerState
from cube.worker.container import limits_of, name_of
from cube.worker.inspection import Inspected

FROZEN = "paused"
"""The drift of a container whose processes somebody froze: nobody can ask it for more."""

_NAMES = {
    "Memory": "memory limit",
    "CpuShares": "CPU shares",
    "PidsLimit": "pids limit",
    "NanoCpus": "CPU limit",
}


def with_drift(
    containers: Iterable[Container], specs: Mapping[str, TaskSpec], told: Mapping[str, Inspected]
) -> tuple[Container, ...]:
    """Those of Cube's that are frozen, or run, were inspected and have a readable spec, with their drift."""
    readable = specs.keys() & told.keys()
    return tuple(
        replace(container, drift=FROZEN)
        if container.state is ContainerState.PAUSED and container.identity is not None
        else replace(container, drift=drift_of(container, specs[container.id], told[container.id]))
        if container.state is ContainerState.RUNNING and container.id in readable
        else container
        for container in containers
    )


def drift_of(container: Container, spec: TaskSpec, inspected: Inspected) -> str:
    """For a person, in one line; empty where nothing is changed, and for what is in quarantine."""
    if container.is_cut_off:
        return ""
    return "; ".join(_changes(container, spec, inspected))


def _changes(container: Container, spec: TaskSpec, inspected: Inspected) -> Iterator[str]:
    for key, wanted in limits_of(spec).items():
        now = inspected.limits.get(key)
        if now not in (wanted, None):
            yield f"{_NAMES[key]} {now} in place of {wanted}"
    if inspected.restart not in ("", "no"):
        yield f"restart policy {inspected.restart}"
    if container.identity is not None and container.name != name_of(container.identity):
        yield f"renamed to {container.name}"
    if not inspected.networks:
        yield "cut off from every network"
