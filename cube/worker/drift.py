"""Drift: what somebody has changed by hand of what Cube set on a container. Pure."""

from collections.abc import Iterator

from cube.model.job import TaskSpec
from cube.model.observation import Container
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
