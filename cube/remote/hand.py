"""A hand on each node, through the manager that has them."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from urllib.parse import quote, urlencode

from cube.errors import InputError
from cube.manager.seams import Hand, Process
from cube.manager.volumes import Content
from cube.model.codec import from_data
from cube.model.volume import StoredVolume
from cube.remote.following import followed
from cube.remote.link import PATIENCE, Link, raised
from cube.remote.office import RemoteOffice
from cube.remote.store import RemoteStore


def hands(office: RemoteOffice, *, lock_wait: float) -> Mapping[str, Hand]:
    """A hand on each node; what changes it waits so many seconds for another Cube."""
    link, store = office.link, RemoteStore(office.link)
    return {
        node.name: RemoteHand(link, store, node.name, lock_wait=lock_wait) for node in office.cluster.nodes
    }


class RemoteVolumes:
    """The volumes of one node: what a manager lets one do with them. `path` is that of the node."""

    def __init__(self, link: Link, path: str, *, lock_wait: float) -> None:
        self._link = link
        self._path = f"{path}/volumes"
        self._lock_wait = lock_wait

    def all(self) -> tuple[StoredVolume, ...]:
        """Every volume, by name."""
        return tuple(from_data(StoredVolume, each) for each in self._link.get(self._path))

    def remove(self, name: str) -> None:
        """Remove it with all that is in it."""
        self._link.delete(f"{self._path}/{quote(name, safe='')}?lock_wait={self._lock_wait}")

    @contextmanager
    def read(self, name: str) -> Iterator[Iterator[bytes]]:
        """Its content as a tar, a piece at a time. Raises UnreachableError where that was cut short."""
        with closing(self._link.pieces(f"{self._path}/{quote(name, safe='')}/content")) as pieces:
            yield pieces

    def fill(self, name: str, content: Content, *, may_replace: bool) -> None:
        """As `cube.manager.volumes.fill`."""
        tree = content.tree
        asked = {
            "digest": tree.digest, "files": tree.files, "size": tree.size,
            "replace": may_replace, "lock_wait": self._lock_wait,
        }  # fmt: skip
        path = f"{self._path}/{quote(name, safe='')}/content?{urlencode(asked)}"
        begun = self._link.put(path, content.pieces, content.size)
        followed(self._link, begun, lambda _step: None)


class RemoteHand:
    """A hand on what one node has: what a manager lets one do with it."""

    def __init__(self, link: Link, store: RemoteStore, node: str, *, lock_wait: float) -> None:
        self._link = link
        self._store = store
        self._path = f"/nodes/{quote(node, safe='')}"
        self._lock_wait = min(lock_wait, PATIENCE / 2)  # an answer is not waited for any longer

    @property
    def volumes(self) -> RemoteVolumes:
        """The node's volumes."""
        return RemoteVolumes(self._link, self._path, lock_wait=self._lock_wait)

    def remove_image(self, name: str) -> None:
        """As Hand.remove_image."""
        asked = urlencode({"reference": name, "lock_wait": self._lock_wait})
        self._link.delete(f"{self._path}/images?{asked}")

    def close(self) -> None:
        """Each question ends with its answer."""

    def logs(
        self, container: str, *, follow: bool = False, tail: int | None = None, since: float | None = None
    ) -> "RemoteLines":
        """The container's lines with their stream. Raises CubeError."""
        asked = {"follow": follow, "tail": 1_000_000 if tail is None else tail, "since": since}
        return RemoteLines(self._link, f"/tasks/{self._task_of(container)}/logs", asked)

    def execute(
        self, container: str, argv: Sequence[str], *, tty: bool = False, has_input: bool = False
    ) -> Process:
        """Run a command in the container, with `tty` at a terminal. Raises CubeError where it cannot."""
        from cube.remote.process import RemoteProcess

        asked = {"command": list(argv), "terminal": tty, "input": has_input}
        return RemoteProcess(self._link, f"/tasks/{self._task_of(container)}/exec", asked)

    def _task_of(self, container: str) -> str:
        found = [task.id for task in self._store.current_tasks() if task.container == container]
        if not found:
            raise InputError(f"no task has the container {container[:12]} any more", where=self._path)
        return found[0]


class RemoteLines:
    """What a container writes, as the manager tells it."""

    def __init__(self, link: Link, path: str, asked: Mapping[str, object]) -> None:
        self._link = link
        self._path = path
        self._asked = asked
        self._is_left = threading.Event()

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """As Lines."""
        for line in self._link.lines(self._path, **self._asked):
            if self._is_left.is_set():
                raise self._link.lost("it was left")
            if line.strip():
                yield _log_line(line)

    def close(self) -> None:
        """As Lines; the manager hears of it with the next line, of which it sends an empty one in time."""
        self._is_left.set()


def _log_line(line: bytes) -> tuple[str, bytes]:
    """A line of the log. Raises CubeError where it tells of one."""
    data = json.loads(line)
    if "error" in data:
        raise raised(data["error"], 3, data)
    return str(data["stream"]), f"{data['at']} {data['text']}".encode()
