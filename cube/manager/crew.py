"""The fleet in production: a pool of threads over the workers."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from cube.manager.seams import Worker
from cube.model.action import Effect, Outcome
from cube.model.observation import Observation

THREADS = 32
LANES = 2
"""Effects at once on one node: more only queue up in its engine (docs/benchmarks.md)."""


class Crew:
    """Workers by node name: at most 32 nodes at once, and a few effects at once on each."""

    def __init__(self, workers: Mapping[str, Worker]) -> None:
        self._workers = workers

    def observe(self, names: Iterable[str], now: float) -> Mapping[str, Observation]:
        """Look at each of those nodes; every name gets an answer, in the order asked."""
        asked = tuple(names)
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            seen = pool.map(lambda name: self._workers[name].observe(now), asked)
            return dict(zip(asked, seen, strict=True))

    def perform(self, effects: Iterable[Effect]) -> Iterator[tuple[Effect, Outcome]]:
        """Carry the effects out, each with its outcome as it comes.

        An interrupt lets those under way finish and drops the rest; it is raised once all have answered.
        """
        queues = _by_node(effects)
        lanes = [queue for queue in queues.values() for _ in range(min(LANES, len(queue)))]
        answers: SimpleQueue[tuple[Effect, Outcome] | None] = SimpleQueue()
        interrupt: KeyboardInterrupt | None = None
        with ThreadPoolExecutor(max_workers=min(THREADS, max(len(lanes), 1))) as pool:
            working = len([pool.submit(self._work_off, lane, answers) for lane in lanes])
            while working:
                try:
                    answer = answers.get()
                except KeyboardInterrupt as stop:
                    interrupt = stop
                    for queue in queues.values():
                        queue.clear()
                    continue
                if answer is None:
                    working -= 1
                else:
                    yield answer
        if interrupt is not None:
            raise interrupt

    def _work_off(
        self, queue: "deque[Effect]", answers: "SimpleQueue[tuple[Effect, Outcome] | None]"
    ) -> None:
        try:
            while True:
                effect = queue.popleft()
                answers.put((effect, self._workers[effect.node].perform(effect)))
        except IndexError:
            return
        finally:
            answers.put(None)


def _by_node(effects: Iterable[Effect]) -> "dict[str, deque[Effect]]":
    queues: dict[str, deque[Effect]] = {}
    for effect in effects:
        queues.setdefault(effect.node, deque()).append(effect)
    return queues
