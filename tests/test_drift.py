"""Drift: what somebody changed by hand is named; what Cube set, or an engine cannot keep, is not."""

from dataclasses import replace
from typing import Any

import pytest

from cube.model.job import TaskSpec
from cube.model.observation import Container, ContainerState
from cube.model.resources import Resources
from cube.worker.container import limits_of, name_of
from cube.worker.drift import drift_of
from cube.worker.inspection import Inspected, inspected_of
from tests import build

SPEC = TaskSpec(image="web:1", resources=Resources(cpu=250, memory=64 * 2**20))
TASK = build.task(spec=SPEC)
CONTAINER = build.container(TASK)


def inspected(**host: Any) -> Inspected:
    networks = host.pop("networks", {"bridge": {}})
    return inspected_of(
        {
            "State": {"Status": "running", "ExitCode": 0, "OOMKilled": False},
            "HostConfig": {**limits_of(SPEC), "RestartPolicy": {"Name": "no"}, **host},
            "NetworkSettings": {"Networks": networks},
        }
    )


def drift(container: Container = CONTAINER, spec: TaskSpec = SPEC, **host: Any) -> str:
    return drift_of(container, spec, inspected(**host))


def test_a_container_as_cube_made_it_has_not_drifted() -> None:
    assert CONTAINER.state is ContainerState.RUNNING
    assert drift() == ""


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ({"Memory": 2**20}, "memory limit 1048576 in place of 67108864"),
        ({"CpuShares": 512}, "CPU shares 512 in place of 256"),
        ({"PidsLimit": 0}, "pids limit 0 in place of 512"),
        ({"RestartPolicy": {"Name": "always"}}, "restart policy always"),
        ({"networks": {}}, "cut off from every network"),
        ({"networks": {"other": {}}}, ""),
        ({"Memory": 1, "networks": {}}, "memory limit 1 in place of 67108864; cut off from every network"),
    ],
)
def test_what_was_changed_by_hand_is_named(host: dict[str, Any], told: str) -> None:
    """Fault F36."""
    assert drift(**host) == told


@pytest.mark.parametrize(
    "host", [{"Memory": 0}, {"CpuShares": 0}, {"PidsLimit": None}, {"RestartPolicy": {}}]
)
def test_what_the_engine_cannot_keep_is_no_drift_p7(host: dict[str, Any]) -> None:
    """Else it would be put right for ever, in vain."""
    assert drift(**host) == ""


def test_a_limit_where_none_was_wanted_is_named() -> None:
    free = replace(SPEC, resources=Resources(cpu=250))
    assert drift(spec=free, Memory=0) == ""
    assert drift(spec=free, Memory=4096) == "memory limit 4096 in place of 0"


def test_a_new_name_is_named() -> None:
    assert drift(replace(CONTAINER, name="mine")) == "renamed to mine"


def test_a_container_in_quarantine_has_not_drifted() -> None:
    away = replace(CONTAINER, name=f"{CONTAINER.name}-quarantined")
    assert drift(away, networks={}) == ""


def test_a_containers_name_follows_from_its_labels() -> None:
    assert CONTAINER.identity is not None
    assert name_of(CONTAINER.identity) == TASK.container_name
