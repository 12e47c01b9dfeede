"""Images over the fleet: pushed from the operator's engine to many nodes at once."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from cube.errors import CubeError
from cube.image.own import OwnEngine
from cube.image.shelf import Cargo, Shelf
from cube.manager.crew import THREADS
from cube.manager.manager import Manager
from cube.manager.office import Office
from cube.manager.seams import Hand
from cube.manager.session import at_hand
from cube.model.image import full_name
from cube.model.observation import Seen
from cube.reconciler.prune import Leftover, leftovers
from cube.worker.delivery import Delivered

Tell = Callable[[str, int, int], None]
"""Hears of a node how many bytes it was sent, and of how many."""


class Taker(Protocol):
    """A worker, to which images are brought."""

    def push(self, cargo: Cargo, told: Callable[[int, int], None]) -> Delivered:
        """Bring an image to the node: only what it lacks. Raises CubeError.

        `told` hears how many bytes have been sent, and of how many.
        """
        ...

    def close(self) -> None:
        """End what is under way."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What came of one node's push: what was delivered, or why it was not."""

    node: str
    delivered: Delivered | None
    error: CubeError | None = None


def _end(worker: Taker) -> None:
    worker.close()


def push(
    workers: Mapping[str, Taker], cargo: Cargo, tell: Tell, leave: Callable[[Taker], None] = _end
) -> Generator[Pushed, None, None]:
    """Bring the image to all of those nodes at once; what came of each, as it ends.

    Who asks for no more, as after an interrupt, has `leave` end those that are under way: a node has the
    whole image then, or nothing of it.
    """
    pool = ThreadPoolExecutor(max_workers=THREADS)
    pushing = [
        pool.submit(_push, node, worker, cargo, partial(tell, node)) for node, worker in workers.items()
    ]
    try:
        for done in as_completed(pushing):
            yield done.result()
    finally:
        for future in pushing:
            future.cancel()
        for worker in workers.values():
            leave(worker)  # the engine drops an archive that is cut short
        pool.shutdown()


def exit_code(pushed: Sequence["Pushed | Removed"]) -> int:
    """3 where a node could not be reached, 1 where its engine refused, else 0."""
    return max((found.error.exit_code for found in pushed if found.error is not None), default=0)


def _push(node: str, worker: Taker, cargo: Cargo, tell: Callable[[int, int], None]) -> Pushed:
    try:
        return Pushed(node=node, delivered=worker.push(cargo, tell))
    except CubeError as error:
        return Pushed(node=node, delivered=None, error=error)


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What came of one node's removal: the names and ids that are gone, and why the rest is not."""

    node: str
    references: tuple[str, ...]
    error: CubeError | None = None


def remove(workers: Mapping[str, Hand], wanted: Mapping[str, Sequence[str]]) -> Iterator[Removed]:
    """Have each of those nodes remove its names and ids, all nodes at once; what came of each, as it ends."""
    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        removing = [pool.submit(_remove, node, workers[node], names) for node, names in wanted.items()]
        for done in as_completed(removing):
            yield done.result()


def prunable(
    manager: Manager, nodes: Sequence[str], *, keep: int, budget: int
) -> Mapping[str, Sequence[Leftover]]:
    """By node, the images that only older versions than the last `keep` of each job ran from.

    The last version that succeeded is kept, too. `budget` bytes of them may stay on each node. A node that
    does not answer is left out.
    """
    store = manager.store
    versions = {job.name: [found.job for found in store.versions(job.name)] for job in store.jobs()}
    past = [job for found in versions.values() for job in found]
    kept = [
        job
        for name, found in versions.items()
        for job in found
        if job in found[-keep:] or job.version == store.stable_version(name)
    ]
    looks = manager.look(nodes)
    return {
        node: leftovers(look, past, kept, budget=budget)
        for node, look in looks.items()
        if isinstance(look, Seen)
    }


def _remove(node: str, worker: Hand, references: Sequence[str]) -> Removed:
    gone: list[str] = []
    try:
        for reference in references:
            worker.remove_image(reference)
            gone.append(reference)
    except CubeError as error:
        return Removed(node=node, references=tuple(gone), error=error)
    return Removed(node=node, references=tuple(gone))


@contextmanager
def pushed_from(office: Office, image: str, nodes: Sequence[str], tell: Tell) -> Iterator[Iterator[Pushed]]:
    """The image of the operator's engine to those nodes; what came of each, as it ends.

    Raises InputError where the engine has no such image, NoEngineError.
    """
    with (
        Shelf(OwnEngine(office.engine)) as shelf,
        at_hand(office) as (_, workers),
        closing(
            push({node: workers[node] for node in nodes}, shelf.cargo(full_name(image)), tell)
        ) as results,
    ):
        yield results
