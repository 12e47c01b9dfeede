"""Who is measured, each used as its own documentation tells: what it reads, and its command lines."""

import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.bench.fleet import Fleet
from tests.bench.measure import Command

IMAGE = "cube-busybox:1"
PER_NODE = 10

JOINING = 600.0
"""Seconds in which all nodes must have joined a swarm."""

CUBE_JOB = """\
job: bench
groups:
  task:
    count: {count}
    image: {image}
    command: [sleep, "3600"]
"""

# What Cube tells the engine for every task of that job, in the words of the engine's own command line.
LIMITS = (
    "--init --cpus 0.1 --memory 128m --memory-swap 128m --pids-limit 512 "
    "--security-opt no-new-privileges:true "
    "--cap-drop AUDIT_WRITE --cap-drop MKNOD --cap-drop NET_RAW --cap-drop SETFCAP "
    "--log-driver json-file --log-opt max-size=10m --log-opt max-file=3"
)

PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - community.docker.docker_container:
        name: "bench-{{{{ item }}}}"
        image: {image}
        command: [sleep, "3600"]
        pull: never
      loop: "{{{{ range({per_node}) | list }}}}"
"""

PYINFRA_DEPLOY = """\
from pyinfra.operations import docker

for number in range({per_node}):
    docker.container(container=f"bench-{{number}}", image="{image}", command="sleep 3600")
"""

READING = "cat /proc/loadavg /proc/meminfo; grep cpu /proc/stat; docker ps -a"


def nothing() -> None:
    """Needs no preparation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """How one deploys, and deploys again. What comes before and after a run is not measured.

    `running` tells when (seconds since the epoch) the last container ran, where the command returns later.
    """

    name: str
    deploy: Command
    again: Command | None = None
    before: Callable[[], object] = nothing
    after: Callable[[], object] = nothing
    running: Callable[[], float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """Where Cube's and its peers' commands are, and the fleet that they work on."""

    cube: Path
    peers: Path
    fleet: Fleet

    @property
    def tasks(self) -> int:
        """How many containers a deploy starts, on all nodes together."""
        return PER_NODE * len(self.fleet.lab.nodes)

    def command(self, *argv: object, **env: str) -> Command:
        """A process in the fleet's folder."""
        return Command(argv=[str(word) for word in argv], env=env, cwd=self.fleet.folder)

    def write(self, name: str, text: str) -> Path:
        """A file in the fleet's folder."""
        path = self.fleet.folder / name
        path.write_text(text)
        return path

    def forget(self) -> None:
        """Remove what Cube remembers of the fleet."""
        shutil.rmtree(self.fleet.folder / ".cube", ignore_errors=True)


def cube(kit: Kit, *, lanes: int | None = None) -> Contestant:
    """Cube as it is, or with another number of effects at once on each node."""
    job = kit.write("bench.yml", CUBE_JOB.format(count=kit.tasks, image=IMAGE))
    python = kit.cube.with_name("python")
    program = (kit.cube,) if lanes is None else (python, Path(__file__).with_name("with_lanes.py"), lanes)
    deploy = kit.command(*program, "deploy", job, "-i", kit.fleet.lab.inventory)
    name = "cube" if lanes is None else f"cube, {lanes} at once on a node"
    return Contestant(name=name, deploy=deploy, again=deploy if lanes is None else None, before=kit.forget)


def own_cli(kit: Kit, *, limits: str = "") -> Contestant:
    """The floor: on every node at once, its own `docker run`, one after another."""
    script = f"seq {PER_NODE} | xargs -P 1 -I{{}} docker run -d {limits} {IMAGE} sleep 3600"
    lines = [shlex.join(kit.fleet.ssh(node.address, script)) + " &" for node in kit.fleet.lab.nodes]
    name = "own.sh" if not limits else "own-limits.sh"
    program = kit.write(name, "\n".join(["set -eu", *lines, "wait", ""]))
    return Contestant(
        name="docker run by each node" + (", with Cube's limits" if limits else ""),
        deploy=kit.command("sh", program),
    )


def pyinfra(kit: Kit) -> Contestant:
    """pyinfra, its `docker.container` operations in a loop."""
    words = (kit.peers / "pyinfra", "-y", _pyinfra_hosts(kit))
    program = kit.write("deploy.py", PYINFRA_DEPLOY.format(per_node=PER_NODE, image=IMAGE))
    command = kit.command(*words, program)
    return Contestant(name="pyinfra", deploy=command, again=command)


def ansible(kit: Kit) -> Contestant:
    """Ansible, its `community.docker` modules in a loop; the second run finds its connections kept."""
    playbook = kit.write("playbook.yml", PLAYBOOK.format(per_node=PER_NODE, image=IMAGE))
    command = _ansible(kit, "ansible-playbook", "-i", kit.fleet.lab.inventory, playbook)
    return Contestant(
        name="Ansible", deploy=command, again=command, before=lambda: hang_up(kit), after=lambda: hang_up(kit)
    )


def swarm(kit: Kit) -> Contestant:
    """Docker Swarm over the nodes: it returns when it has watched its tasks run for a while."""
    first = kit.fleet.lab.nodes[0]
    words = "docker service create --detach=false --no-resolve-image --quiet --name bench"
    script = f"{words} --replicas {kit.tasks} {IMAGE} sleep 3600"
    return Contestant(
        name="Docker Swarm, until it returns",
        deploy=kit.command(*kit.fleet.ssh(first.address, script)),
        again=kit.command(*kit.fleet.ssh(first.address, f"docker service scale bench={kit.tasks}")),
        before=lambda: join_swarm(kit.fleet),
        after=lambda: kit.fleet.everywhere("docker swarm leave --force"),
        running=lambda: _last_start(kit.fleet),
    )


def pyinfra_read(kit: Kit) -> Command:
    """pyinfra's ad-hoc command."""
    return kit.command(kit.peers / "pyinfra", "-y", _pyinfra_hosts(kit), "exec", "--", READING)


def ansible_read(kit: Kit) -> Command:
    """Ansible's ad-hoc command; `raw`, because its modules would first need Python on the nodes."""
    words = ("all", "-i", kit.fleet.lab.inventory, "-f", "50", "-m", "raw", "-a", READING)
    return _ansible(kit, "ansible", *words)


def hang_up(kit: Kit) -> None:
    """End the connections that Ansible's OpenSSH keeps."""
    for socket in _control_sockets(kit).glob("*"):
        words = ("ssh", "-o", f"ControlPath={socket}", "-O", "exit", "nobody")
        subprocess.run(words, check=False, capture_output=True, timeout=30)  # it may have ended by itself


def _control_sockets(kit: Kit) -> Path:
    return kit.fleet.folder / "cp"


def _ansible(kit: Kit, program: str, *words: object) -> Command:
    return kit.command(
        kit.peers / program,
        *words,
        ANSIBLE_SSH_COMMON_ARGS=f"-o UserKnownHostsFile={kit.fleet.known_hosts}",
        ANSIBLE_SSH_CONTROL_PATH_DIR=str(_control_sockets(kit)),
        ANSIBLE_HOME=str(kit.fleet.folder / "ansible"),
    )


def _pyinfra_hosts(kit: Kit) -> Path:
    shared = {
        "ssh_user": "root",
        "ssh_key": str(kit.fleet.lab.key),
        "ssh_known_hosts_file": str(kit.fleet.known_hosts),
        "ssh_strict_host_key_checking": "yes",
    }
    hosts = [(node.name, {"ssh_hostname": node.address, **shared}) for node in kit.fleet.lab.nodes]
    return kit.write("hosts.py", f"hosts = {hosts!r}\n")


def join_swarm(fleet: Fleet) -> None:
    """Make a swarm of the nodes, the first of which is its manager. Raises SystemExit if some stay out."""
    first, *others = fleet.lab.nodes
    fleet.on(first.container, f"docker swarm init --advertise-addr {first.address}")
    token = fleet.on(first.container, "docker swarm join-token -q worker").strip()
    # It waits for 20 seconds, too short for many nodes on two cores; its engine goes on for a while.
    fleet.everywhere(f"docker swarm join --token {token} {first.address} || true", others)
    over = time.monotonic() + JOINING
    while (count := _joined(fleet)) < len(fleet.lab.nodes):
        if time.monotonic() > over:
            raise SystemExit(f"bench: {count} of {len(fleet.lab.nodes)} nodes have joined the swarm")
        time.sleep(5.0)


def _joined(fleet: Fleet) -> int:
    listed = fleet.on(fleet.lab.nodes[0].container, "docker node ls --format '{{.Status}}'")
    return listed.split().count("Ready")


def _last_start(fleet: Fleet) -> float:
    """When the last of Swarm's tasks began to run; the nodes of a lab have one clock with us."""
    script = "docker inspect $(docker service ps -q bench) --format '{{json .Status}}'"
    states = map(json.loads, fleet.on(fleet.lab.nodes[0].container, script).splitlines())
    times = [state["Timestamp"] for state in states if state["State"] == "running"]
    return max(seconds(text) for text in times)


def seconds(timestamp: str) -> float:
    """Seconds since the epoch. Docker writes nine digits after the point, or fewer; Python reads six."""
    whole, _, fraction = timestamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
