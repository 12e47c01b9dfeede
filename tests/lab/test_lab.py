"""The lab: nodes that are real enough to trust what is tried on them."""

import json
import os
import stat
import subprocess
import sys
import time  # noqa: TID251 - real nodes take real time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from docker import DockerClient

from cube.errors import InputError
from cube.lab import faults
from cube.lab.fleet import Lab, LabNode, LabSpec
from cube.lab.lab import down, look, up
from cube.lab.ready import is_ready
from tests.lab.desk import wait_until

pytestmark = pytest.mark.lab


def ssh(lab: Lab, node: LabNode, command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a stranger with OpenSSH would: with the lab's key, and the pinned host key alone."""
    known = lab.inventory.parent / "known_hosts"
    known.write_text(
        "".join(
            f"[{each.address}]:{each.port} {each.host_key}\n{each.address} {each.host_key}\n"
            for each in lab.nodes
        )
    )
    options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={known}",
        "ConnectTimeout=5",
    ]
    return subprocess.run(
        ["ssh", "-F", "none", "-i", str(lab.key), "-p", str(node.port)]
        + [word for option in options for word in ("-o", option)]
        + [f"root@{node.address}", command],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def cube(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cube.cli.main", "lab", *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def fetch(node: LabNode, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{node.address}:8080{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_every_node_lets_the_key_in_and_shows_its_pinned_host_key(
    lab: Lab, fleet: tuple[LabNode, ...]
) -> None:
    for node in fleet:
        answer = ssh(lab, node, "hostname")
        assert answer.stdout.strip() == node.name, answer.stderr
    assert len({node.host_key for node in fleet}) == len(fleet)


def test_the_key_is_readable_by_its_owner_alone(lab: Lab) -> None:
    assert stat.S_IMODE(lab.key.stat().st_mode) == 0o600


def test_nodes_are_spread_over_two_datacenters(lab: Lab) -> None:
    assert [node.datacenter for node in lab.nodes] == ["dc1", "dc2", "dc1"]


def test_each_node_has_an_engine_of_its_own_with_the_demo_images(
    lab: Lab, fleet: tuple[LabNode, ...]
) -> None:
    engines = set()
    for node in fleet:
        answer = ssh(
            lab, node, "docker images --format '{{.Repository}}:{{.Tag}}' | sort; docker info -f '{{.ID}}'"
        )
        *images, engine_id = answer.stdout.split()
        assert images == ["cube-busybox:1", "cube-demo:1", "cube-demo:2"], answer.stderr
        engines.add(engine_id)
    assert len(engines) == len(fleet)


@pytest.fixture
def demo(lab: Lab, node: LabNode) -> LabNode:
    """A node that runs the demo of version 2 on its port 8080."""
    started = ssh(lab, node, "docker run -d --name demo -p 8080:8080 cube-demo:2")
    assert started.returncode == 0, started.stderr
    wait_until(lambda: _listens(node))
    return node


def _listens(node: LabNode) -> bool:
    try:
        return fetch(node, "/")[0] == 200
    except OSError:
        return False  # Its process has begun, and has not opened the port yet.


def test_the_demo_tells_its_version_through_a_published_port(demo: LabNode) -> None:
    status, page = fetch(demo, "/")
    assert status == 200
    assert "demo version 2 on " in page


def test_the_demo_becomes_unhealthy_and_healthy_on_demand(demo: LabNode) -> None:
    assert fetch(demo, "/health")[0] == 200
    fetch(demo, "/unhealthy")
    assert fetch(demo, "/health")[0] == 503
    fetch(demo, "/healthy")
    assert fetch(demo, "/health")[0] == 200


def test_the_demo_becomes_slow_on_demand(demo: LabNode) -> None:
    fetch(demo, "/slow?seconds=1")
    before = time.monotonic()
    fetch(demo, "/health")
    assert time.monotonic() - before >= 1.0
    assert fetch(demo, "/slow?seconds=soon")[0] == 400


def test_the_demo_crashes_on_demand(lab: Lab, demo: LabNode) -> None:
    assert fetch(demo, "/crash")[1] == "crashing\n"
    assert ssh(lab, demo, "docker wait demo").stdout.strip() == "1"


def test_the_demo_ends_at_once_when_asked_to(lab: Lab, demo: LabNode) -> None:
    before = time.monotonic()
    assert ssh(lab, demo, "docker stop --time 10 demo; docker wait demo").stdout.split() == ["demo", "0"]
    assert time.monotonic() - before < 8.0, "it was killed after its grace"


def test_a_shell_and_the_usual_tools_are_in_the_demo(lab: Lab, demo: LabNode) -> None:
    answer = ssh(lab, demo, "docker exec demo sh -c 'wget -qO- http://127.0.0.1:8080/health'")
    assert answer.stdout == "ok\n", answer.stderr


def test_limits_of_a_container_hold_inside_the_node(lab: Lab, node: LabNode) -> None:
    answer = ssh(
        lab,
        node,
        "docker run --rm --memory 8m cube-busybox:1 sh -c 'dd if=/dev/zero of=/dev/null bs=64M count=1'",
    )
    assert answer.returncode == 137, answer.stderr


def test_a_killed_node_comes_back_at_its_address_with_its_disk(
    engine: DockerClient, lab: Lab, node: LabNode
) -> None:
    ssh(lab, node, "echo kept > /root/kept; docker run -d --name job cube-demo:1")
    faults.kill(engine, node)
    assert not is_ready(node)
    faults.start(engine, node)
    answer = ssh(lab, node, "cat /root/kept; docker inspect -f '{{.State.Running}}' job")
    assert answer.stdout.split() == ["kept", "false"], answer.stderr


def test_a_paused_node_says_nothing_until_it_goes_on(engine: DockerClient, node: LabNode) -> None:
    faults.pause(engine, node)
    assert not is_ready(node)
    faults.unpause(engine, node)
    assert is_ready(node)


def test_a_partitioned_node_is_cut_off_but_works_on(engine: DockerClient, lab: Lab, demo: LabNode) -> None:
    faults.partition(engine, demo)
    assert not is_ready(demo)
    with pytest.raises(OSError, match="timed out"):
        fetch(demo, "/")
    faults.heal(engine, demo)
    assert ssh(lab, demo, "docker inspect -f '{{.State.Running}}' demo").stdout == "true\n"
    assert fetch(demo, "/")[0] == 200


def test_a_stopped_engine_stays_down_until_it_is_started(
    engine: DockerClient, lab: Lab, node: LabNode
) -> None:
    faults.stop_engine(engine, node)
    assert "Cannot connect to the Docker daemon" in ssh(lab, node, "sleep 1.5; docker ps").stderr
    faults.start_engine(engine, node)
    assert ssh(lab, node, "docker ps").returncode == 0


def test_a_crashed_engine_comes_back_by_itself(lab: Lab, node: LabNode) -> None:
    ssh(lab, node, "pkill -KILL -x dockerd")
    assert ssh(lab, node, "sleep 1; timeout 20 sh -c 'until docker ps; do sleep 0.2; done'").returncode == 0


def test_healing_a_well_node_changes_nothing(engine: DockerClient, demo: LabNode) -> None:
    faults.heal(engine, demo)
    assert fetch(demo, "/")[0] == 200


def test_up_again_keeps_the_nodes_and_revives_the_dead(engine: DockerClient, lab: Lab, node: LabNode) -> None:
    before = engine.containers.get(node.container).id
    faults.kill(engine, node)
    again = up(engine, LabSpec(name=lab.name, nodes=3, inventory=lab.inventory), cache=Path(), say=print)
    assert engine.containers.get(node.container).id == before
    assert again == lab
    assert is_ready(node)


def test_up_again_elsewhere_is_refused(engine: DockerClient, lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is up already"):
        up(engine, LabSpec(name=lab.name, nodes=3, inventory=tmp_path / "x.yml"), cache=Path(), say=print)


@pytest.mark.parametrize(
    ("name", "nodes"), [("", 1), ("Lab", 1), ("a/b", 1), ("-a", 1), ("a" * 32, 1), ("a", 0), ("a", 1001)]
)
def test_a_lab_that_cannot_be_is_refused_before_anything_is_made(
    engine: DockerClient, tmp_path: Path, name: str, nodes: int
) -> None:
    with pytest.raises(InputError):
        up(engine, LabSpec(name=name, nodes=nodes, inventory=tmp_path / "x.yml"), cache=tmp_path, say=print)
    assert not any(tmp_path.iterdir())


def test_down_leaves_nothing(engine: DockerClient, tmp_path: Path) -> None:
    name = f"gone-{os.getpid()}"
    try:
        up(engine, LabSpec(name=name, nodes=1, inventory=tmp_path / "gone.yml"), cache=tmp_path, say=print)
        ours = engine.containers.get(f"cube-{name}-node1").attrs["Mounts"]
    finally:
        assert down(engine, name)
    assert look(engine, name) is None
    assert not any(tmp_path.iterdir())
    volumes = {mount["Name"] for mount in ours if mount["Type"] == "volume"}
    assert len(volumes) == 1
    assert not volumes & {volume.id for volume in engine.volumes.list()}
    assert not down(engine, name)


def test_the_command_starts_shows_breaks_and_removes_a_lab(tmp_path: Path) -> None:
    name, inventory = f"cli-{os.getpid()}", tmp_path / "cli.yml"
    try:
        up_ = cube(
            "up",
            "--nodes",
            "1",
            "--name",
            name,
            "--inventory",
            str(inventory),
            "--reach",
            "loopback",
            "--memory",
            "1GiB",
            "--cpu",
            "1",
        )
        assert (up_.returncode, up_.stdout) == (
            0,
            f"the lab '{name}' is up (nodes: 1), inventory: {inventory}\n",
        ), up_.stderr
        (row,) = json.loads(cube("status", "--name", name, "-o", "json").stdout)["nodes"]
        assert (row["address"], row["state"], row["ready"]) == ("127.0.0.1", "running", True)
        assert cube("kill", "node1", "--name", name).stdout == "node1: kill\n"
        assert "exited    does not answer" in cube("status", "--name", name).stdout
        assert cube("heal", "node1", "--name", name).returncode == 0
        (again,) = json.loads(cube("status", "--name", name, "-o", "json").stdout)["nodes"]
        assert again == row
        wrong = cube("kill", "node7", "--name", name)
        assert (wrong.returncode, wrong.stderr) == (
            2,
            f"cube: the lab '{name}' has no node 'node7'\n  its nodes are: node1\n",
        )
    finally:
        assert cube("down", "--name", name).stdout == f"the lab '{name}' is gone\n"
    assert "is down" in cube("status", "--name", name).stdout


def test_without_an_engine_one_message_says_what_to_do() -> None:
    answer = cube("status", "--engine", "unix:///nonexistent/docker.sock")
    assert answer.returncode == 1
    assert "no Docker engine answers" in answer.stderr
    assert "scripts/setup" in answer.stderr
    assert "Traceback" not in answer.stderr
