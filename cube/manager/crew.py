"""The fleet in production: a pool of threads over the workers."""

import signal
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from queue import SimpleQueue

from cube.manager.seams import Clock, Worker
from cube.model.action import Effect, Outcome, Verdict
from cube.model.observation import Observation
from cube.model.transit import Transit

THREADS = 32
"""Nodes that are talked to at once."""

LANES = 2
"""Effects at once on one node: more only queue up in its engine (docs/benchmarks.md)."""

STALE = Outcome(verdict=Verdict.STALE, why="the plan is too old; what is there now is looked at first")

Queue = deque[Effect]
Answer = tuple[Effect, Outcome | Transit]
"""What came of an effect, or how far the image is that it waits for."""

Answers = SimpleQueue[Answer | KeyboardInterrupt | None]
"""What the lanes answer, an interrupt in between; None: a lane has nothing more to do."""


class Crew:
    """Workers by node name: at most 32 nodes at once, and a few effects at once on each.

    `stock` asks the operator's own engine for its images; `may_act` says whether nobody else is at work yet.
    """

    def __init__(
        self,
        workers: Mapping[str, Worker],
        clock: Clock,
        stock: Callable[[], Mapping[str, str]] = dict,
        may_act: Callable[[], bool] = lambda: True,
    ) -> None:
        self._workers = workers
        self._clock = clock
        self.stock = stock
        self._may_act = may_act

    def observe(self, names: Iterable[str], now: float) -> Mapping[str, Observation]:
        """Look at each of those nodes; every name gets an answer, in the order asked."""
        asked = tuple(names)
        with ThreadPoolExecutor(max_workers=THREADS) as pool:
            seen = pool.map(lambda name: self._workers[name].observe(now), asked)
            return dict(zip(asked, seen, strict=True))

    def perform(self, effects: Iterable[Effect], until: float) -> Iterator[Answer]:
        """Carry the effects out, each with its outcome as it comes; none on a node after one that is unknown.

        One that has not begun at `until` (seconds since the epoch), or when `may_act` says no, is STALE: this
        process may have been stopped for hours, and its plan is of another world.

        An interrupt lets those under way finish and drops the rest; it is raised once all have answered.
        A second one, or a caller that asks for no more outcomes, leaves also those under way.
        """
        queues = _by_node(effects)
        lanes = [queue for queue in queues.values() for _ in range(min(LANES, len(queue)))]
        answers: Answers = SimpleQueue()
        pool = ThreadPoolExecutor(max_workers=min(THREADS, max(len(lanes), 1)))
        try:
            working = [pool.submit(self._work_off, lane, answers, until) for lane in lanes]
            with _interrupt_put_into(answers):
                yield from _answered(answers, len(working), queues.values())
            for lane in working:
                lane.result()  # what a worker should never raise is not lost in its thread
        finally:
            _drop(queues.values())
            pool.shutdown(wait=False)

    def digest(self, image: str, node: str) -> str:
        """What the image's registry has by its name now, asked by that node; empty where it does not tell."""
        return self._workers[node].digest(image)

    def _work_off(self, queue: Queue, answers: Answers, until: float) -> None:
        try:
            while effect := _next(queue):
                is_stale = self._clock.now() > until or not self._may_act()
                outcome = STALE if is_stale else self._perform(effect, answers)
                answers.put((effect, outcome))
                if outcome.verdict is Verdict.UNKNOWN:
                    queue.clear()  # each would wait as long in vain; the next turn looks at the node first
        finally:
            answers.put(None)

    def _perform(self, effect: Effect, answers: Answers) -> Outcome:
        began = self._clock.now()
        outcome = self._workers[effect.node].perform(effect, lambda transit: answers.put((effect, transit)))
        return replace(outcome, seconds=max(self._clock.now() - began, 0.0))


def _answered(answers: Answers, working: int, queues: Collection[Queue]) -> Iterator[Answer]:
    """The answers of so many lanes, until each has said that it is done."""
    interrupt: KeyboardInterrupt | None = None
    while working:
        match answers.get():
            case None:
                working -= 1
            case KeyboardInterrupt() as interrupt:
                _drop(queues)
            case answer:
                yield answer
    if interrupt is not None:
        raise interrupt


@contextmanager
def _interrupt_put_into(answers: Answers) -> Iterator[None]:
    """The first Ctrl-C stands in line with the answers: raised, it could fall between one and its record."""
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def put(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        answers.put(KeyboardInterrupt())

    signal.signal(signal.SIGINT, put)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # It may have come while the last answer was being recorded, behind the word that all have answered.
    while not answers.empty():
        if isinstance(late := answers.get(), KeyboardInterrupt):
            raise late


def _next(queue: Queue) -> Effect | None:
    try:
        return queue.popleft()  # two lanes share it: it may have become empty since it was looked at
    except IndexError:
        return None


def _drop(queues: Iterable[Queue]) -> None:
    for queue in queues:
        queue.clear()


def _by_node(effects: Iterable[Effect]) -> dict[str, Queue]:
    queues: dict[str, Queue] = {}
    for effect in effects:
        queues.setdefault(effect.node, deque()).append(effect)
    return queues
