"""Images over the fleet: pushed from the operator's engine to many nodes at once."""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

from cube.errors import CubeError
from cube.image.own import OwnEngine
from cube.image.shelf import Cargo, Shelf
from cube.manager.crew import THREADS
from cube.manager.office import Office
from cube.manager.session import at_hand
from cube.model.image import full_name
from cube.worker.delivery import Delivered
from cube.worker.worker import Worker

Tell = Callable[[str, int, int], None]
"""Hears of a node how many bytes it was sent, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What came of one node's push: what was delivered, or why it was not."""

    node: str
    delivered: Delivered | None
    error: CubeError | None = None


def push(
    workers: Mapping[str, Worker], nodes: Sequence[str], cargo: Cargo, tell: Tell
) -> Generator[Pushed, None, None]:
    """Bring the image to all of those nodes at once; what came of each, as it ends.

    Who asks for no more, as after an interrupt, ends those that are under way: a node has the whole image
    then, or nothing of it.
    """
    pool = ThreadPoolExecutor(max_workers=THREADS)
    pushing = [pool.submit(_push, workers[node], cargo, partial(tell, node)) for node in nodes]
    try:
        for done in as_completed(pushing):
            yield done.result()
    finally:
        for future in pushing:
            future.cancel()
        for node in nodes:
            workers[node].close()  # ends what is under way; the engine drops an archive that is cut short
        pool.shutdown()


def exit_code(pushed: Sequence[Pushed]) -> int:
    """3 where a node could not be reached, 1 where its engine refused, else 0."""
    return max((found.error.exit_code for found in pushed if found.error is not None), default=0)


def _push(worker: Worker, cargo: Cargo, tell: Callable[[int, int], None]) -> Pushed:
    try:
        return Pushed(node=worker.node.name, delivered=worker.push(cargo, tell))
    except CubeError as error:
        return Pushed(node=worker.node.name, delivered=None, error=error)


@contextmanager
def pushed_from(office: Office, image: str, nodes: Sequence[str], tell: Tell) -> Iterator[Iterator[Pushed]]:
    """The image of the operator's engine to those nodes; what came of each, as it ends.

    Raises InputError where the engine has no such image, NoEngineError.
    """
    with (
        Shelf(OwnEngine(office.engine)) as shelf,
        at_hand(office) as (_, workers),
        closing(push(workers, nodes, shelf.cargo(full_name(image)), tell)) as results,
    ):
        yield results
