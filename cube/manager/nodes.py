"""Looking after single nodes: trust, check, set up, and a command run on many of them."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from cube.connection import Answer, after
from cube.connection.dialer import Dialer
from cube.connection.known_hosts import HostKey, load, parse_key, pin, pins
from cube.connection.route import Target, load_config, route
from cube.errors import AuthenticityError, CubeError
from cube.manager.crew import THREADS
from cube.manager.fleet import CONNECT, KNOWN_HOSTS, opener, trust_in
from cube.model.node import Node
from cube.worker.container import Claim
from cube.worker.doctor import Finding, Grade, examine
from cube.worker.setup import install_docker
from cube.worker.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """The key that a node shows on first contact, and where. `is_trusted`: it is pinned already."""

    node: Node
    target: Target
    key: HostKey
    is_trusted: bool

    @property
    def fingerprint(self) -> str:
        """`SHA256:...`, to be compared with what the machine itself says of its key."""
        return self.key.fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one node answered to a command: an answer, or why there is none."""

    node: str
    answer: Answer | None
    error: CubeError | None = None


def meet(node: Node, *, state_dir: Path) -> Introduction:
    """Ask the node for its host key, sending no credential.

    Raises ConnectionFailed; AuthenticityError where the inventory pins another key.
    """
    trust = trust_in(state_dir)
    with Dialer(trust) as dialer:
        key = dialer.fetch_host_key(node.name, node.access, deadline=after(CONNECT))
    if node.access.host_key is not None and parse_key(node.access.host_key) != key:
        raise AuthenticityError(
            "the inventory pins another host key",
            where=node.name,
            why=f"the node shows {key.fingerprint}",
            cure="If the node was reinstalled on purpose, change the key in the inventory. If not, stop.",
        )
    target = route(node.access, load_config(trust.ssh_config, trust.home))[-1]
    known = pins(load(trust.known_hosts), target.host, target.port)
    return Introduction(
        node=node,
        target=target,
        key=key,
        is_trusted=node.access.host_key is not None or known.admits(key),
    )


def accept(introduction: Introduction, *, state_dir: Path) -> None:
    """Pin the key: from now on a host with another one is refused."""
    target = introduction.target
    pin(state_dir / KNOWN_HOSTS, target.host, target.port, introduction.key)


def check(node: Node, *, state_dir: Path) -> Iterator[Finding]:
    """The doctor's findings as they come. The node is not changed."""
    with Dialer(trust_in(state_dir)) as dialer:
        worker = _worker(dialer, node)
        try:
            yield from examine(worker)
        finally:
            worker.close()


def is_fit(findings: Sequence[Finding]) -> bool:
    """Can Cube work there?"""
    return all(finding.grade is not Grade.BAD for finding in findings)


def needs_docker(findings: Sequence[Finding]) -> bool:
    """Is Docker, or the way to it, all that is wrong?"""
    bad = {finding.about for finding in findings if finding.grade is Grade.BAD}
    return bool(bad) and bad <= {"engine", "socket permission"}


def set_up(node: Node, *, state_dir: Path) -> None:
    """Install and start Docker where it is missing. Raises CubeError with what went wrong."""
    with Dialer(trust_in(state_dir)) as dialer, opener(dialer, node)() as connection:
        install_docker(connection)


def run_on(nodes: Sequence[Node], argv: Sequence[str], *, state_dir: Path, seconds: float) -> Iterator[Reply]:
    """Run one program on all of the nodes at once; their replies as they come."""
    with Dialer(trust_in(state_dir)) as dialer, ThreadPoolExecutor(max_workers=THREADS) as pool:
        running = [pool.submit(_run, dialer, node, argv, seconds) for node in nodes]
        for done in as_completed(running):
            yield done.result()


def exit_status(replies: Sequence[Reply]) -> int:
    """3 if a node could not be reached, else the highest of the nodes' own."""
    if any(reply.answer is None for reply in replies):
        return 3
    return max((reply.answer.exit_status for reply in replies if reply.answer is not None), default=0)


def _run(dialer: Dialer, node: Node, argv: Sequence[str], seconds: float) -> Reply:
    try:
        with opener(dialer, node)() as connection:
            answer = connection.run_argv(argv, deadline=after(seconds))
    except CubeError as error:
        return Reply(node=node.name, answer=None, error=error)
    return Reply(node=node.name, answer=answer)


def _worker(dialer: Dialer, node: Node) -> Worker:
    """A worker that only looks: it acts in nobody's name."""
    return Worker(node, opener(dialer, node), Claim(cluster="", owner="", epoch=0))
