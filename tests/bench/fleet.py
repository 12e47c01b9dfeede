"""The nodes that are measured on: a lab of their own, emptied between two runs."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient

from cube.lab.engine import LOCAL
from cube.lab.engine import engine as engine_at
from cube.lab.fleet import Lab, LabNode, LabSpec
from cube.lab.lab import down, up

EMPTY = "docker ps -aq | xargs -r docker rm -fv >/dev/null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """A lab, the engine that runs its nodes, and a folder for what contestants read and leave."""

    engine: DockerClient
    lab: Lab
    folder: Path

    def ssh(self, address: str, *argv: str) -> tuple[str, ...]:
        """The words of the OpenSSH client that run a command on that node as root."""
        options = ("-o", f"UserKnownHostsFile={self.known_hosts}", "-o", "StrictHostKeyChecking=yes")
        return ("ssh", "-i", str(self.lab.key), *options, f"root@{address}", *argv)

    @property
    def known_hosts(self) -> Path:
        """The nodes' host keys: every contestant checks them, as Cube does."""
        return self.folder / "known_hosts"

    def everywhere(self, script: str, nodes: Sequence[LabNode] = ()) -> Sequence[str]:
        """What the script printed on each node, all by default, run there by its engine; unmeasured."""
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(lambda node: self.on(node.container, script), nodes or self.lab.nodes))

    def on(self, container: str, script: str) -> str:
        """What the script printed on one node. Raises SystemExit where it failed."""
        status, output = self.engine.containers.get(container).exec_run(["sh", "-ec", script])
        text = output.decode(errors="replace") if isinstance(output, bytes) else ""
        if status:
            raise SystemExit(f"bench: on {container}: {text}")
        return text

    def running(self) -> int:
        """How many containers run on all nodes together."""
        return sum(len(ids.split()) for ids in self.everywhere("docker ps -q"))


@contextmanager
def fleet(name: str, nodes: int, folder: Path) -> Iterator[Fleet]:
    """A lab of so many nodes, taken down at the end."""
    place = folder / name
    place.mkdir()
    with engine_at(LOCAL) as engine:
        try:
            spec = LabSpec(name=name, nodes=nodes, inventory=place / "inventory.yml")
            lab = up(engine, spec, cache=Path.home() / ".cache" / "cube", say=print)
            found = Fleet(engine=engine, lab=lab, folder=place)
            keys = [f"{node.address} {node.host_key}\n" for node in lab.nodes]
            found.known_hosts.write_text("".join(keys))
            yield found
        finally:
            down(engine, name)
