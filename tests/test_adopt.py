"""`cube adopt`: the job file for a container that others started says what it was started with."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from cube.errors import InputError
from cube.manager.adopt import Candidate, candidate, draft, job_name
from cube.model.job import Job
from cube.model.policy import RestartMode
from cube.spec.parse import parse
from cube.worker import engine
from tests.wire import Engine

names = st.text(alphabet="abcABC_.-019", min_size=1, max_size=40)
values = st.text(
    alphabet=st.characters(codec="utf-8", exclude_categories=["C"]), max_size=40
) | st.sampled_from(["{{ x }}", "{% if %}", "{# no #}", "a: b", "no", "22:22", '"', "\\\\n", "${HOME}"])
IMAGE = {"Config": {"Env": ["PATH=/bin"], "Cmd": ["serve"], "Entrypoint": None, "User": ""}}


def container(**changes: Any) -> dict[str, Any]:
    """An inspected container, started from IMAGE with nothing of its own but `changes`."""
    host = {"RestartPolicy": {"Name": "no"}, "Memory": 64 << 20, **changes.pop("HostConfig", {})}
    config = {**IMAGE["Config"], "Image": "app:1", **changes.pop("Config", {})}
    return {"Id": "c1", "Name": "/db", "Config": config, "HostConfig": host, "Mounts": [], **changes}


def read(found: dict[str, Any]) -> Job:
    return parse(draft(found, IMAGE, "node1").text, "adopted.yml", {})


@given(env=st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,8}", fullmatch=True), values, max_size=4))
def test_every_variable_is_read_back_as_it_was_whatever_it_holds(env: dict[str, str]) -> None:
    given_ = [f"{name}={value}" for name, value in env.items()]
    job = read(container(Config={"Env": ["PATH=/bin", *given_]}))
    assert job.groups[0].spec.env == {
        name: value for name, value in env.items() if (name, value) != ("PATH", "/bin")
    }


@given(command=st.lists(values, min_size=1, max_size=5))
def test_every_argument_is_read_back_as_it_was(command: list[str]) -> None:
    job = read(container(Config={"Cmd": command}))
    assert job.groups[0].spec.command == (None if command == ["serve"] else tuple(command))


@given(name=names)
def test_every_container_s_name_makes_a_job_s_name(name: str) -> None:
    assert read(container(Name=f"/{name}")).name == job_name(name)


def test_what_the_image_says_is_not_written_again() -> None:
    assert "PATH" not in draft(container(), IMAGE, "node1").text
    assert read(container()).groups[0].spec.command is None


def test_ports_volumes_memory_and_place_are_kept() -> None:
    group = read(
        container(
            HostConfig={
                "PortBindings": {
                    "80/tcp": [
                        {"HostIp": "0.0.0.0", "HostPort": "8080"},
                        {"HostIp": "::", "HostPort": "8080"},
                    ],
                    "53/udp": [{"HostIp": "127.0.0.1", "HostPort": ""}],
                },
            },
            Mounts=[
                {"Type": "volume", "Name": "data", "Source": "/x", "Destination": "/data", "RW": True},
                {"Type": "bind", "Source": "/srv/a", "Destination": "/a", "RW": False},
            ],
        )
    ).groups[0]
    ports = {(port.container, port.host, port.protocol, port.public) for port in group.spec.ports}
    assert ports == {(80, 8080, "tcp", True), (53, None, "udp", False)}
    assert [(found.source, found.read_only) for found in group.spec.volumes] == [
        ("data", False),
        ("/srv/a", True),
    ]
    assert group.spec.resources.memory == 64 << 20
    assert [(found.attribute, found.values) for found in group.constraints] == [("node.name", ("node1",))]


@pytest.mark.parametrize(
    ("policy", "attempts", "mode"),
    [
        ({"Name": "no"}, 0, RestartMode.FAIL),
        ({"Name": "on-failure", "MaximumRetryCount": 3}, 3, RestartMode.FAIL),
        ({"Name": "always"}, 2, RestartMode.DELAY),
    ],
)
def test_the_engine_s_restart_policy_becomes_cube_s(policy: Any, attempts: int, mode: RestartMode) -> None:
    restart = read(container(HostConfig={"RestartPolicy": policy})).groups[0].restart
    assert (restart.attempts, restart.mode) == (attempts, mode)


def test_what_a_job_file_cannot_say_is_said_beside_it() -> None:
    found = container(HostConfig={"Privileged": True, "NetworkMode": "host", "Memory": 0})
    notes = " ".join(draft(found, IMAGE, "node1").notes)
    assert all(word in notes for word in ("Privileged", "network host", "no memory limit"))


class Node:
    """A worker on an engine that answers from a table."""

    def __init__(self, served: Engine) -> None:
        self.served = served
        self.open_channel = served.open_channel

    def inspect(self, name: str) -> Any:
        return engine.get_json(self.served.open_channel(), f"/containers/{name}/json")


def found_as(name: str, asked_for: str) -> Candidate:
    kept = container(Name=f"/{name}", Image="sha256:1")
    routes = {
        f"/containers/{name}/json": (200, json.dumps(kept).encode()),
        "/images/sha256%3A1/json": (200, json.dumps(IMAGE).encode()),
    }
    served = Engine(routes)
    try:
        return candidate({"node1": Node(served)}, "node1", asked_for)  # type: ignore[dict-item] # all it asks
    finally:
        served.close()


def test_what_a_killed_adoption_put_aside_is_found_by_its_own_name_p9() -> None:
    for name in ("db", "db-before-cube"):
        found = found_as(name, "db")
        assert (found.name, found.draft.text.splitlines()[0]) == ("db", "job: db")


def test_a_container_that_is_not_there_is_refused_with_the_way_on_p17() -> None:
    with pytest.raises(InputError, match=r"no container 'none'\n  See what runs there: cube ps node1"):
        found_as("db", "none")
    with pytest.raises(InputError, match="there is no node 'node9'"):
        candidate({}, "node9", "db")
