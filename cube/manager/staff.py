"""Those who work for a service: what they are given to do, and what came of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from threading import Thread
from typing import NamedTuple

from cube.manager.holding import Holding
from cube.manager.office import Office
from cube.manager.picture import Picture
from cube.manager.report import Done
from cube.manager.seams import Attended, Fleet
from cube.manager.turn import PAUSE, misses
from cube.model.action import (
    Action,
    Change,
    Effect,
    Fetch,
    Note,
    Place,
    Push,
    Quarantine,
    Refresh,
    Start,
    Stop,
    Verdict,
)
from cube.model.transit import Transit

AT_ONCE = 8
"""Effects that one node is given at a time: no more than these have to end before a service can."""

NODES_AT_ONCE = 128
"""Nodes on which something is done at the same time."""


class Team(NamedTuple):
    """The workers of a cluster, who look, and the fleet of them, which acts."""

    workers: Mapping[str, Attended]
    fleet: Fleet


Gather = Callable[[Office, int], AbstractContextManager[Team]]
"""Those who work for that office under that epoch."""


class Answered(NamedTuple):
    """What came of an effect on that node; None: it has nothing more to do."""

    node: str
    step: Done | Exception | None


class Staff:
    """The team of an office, the lock that it works under, and the nodes where it is at work.

    All of it belongs to the service's own thread.
    """

    def __init__(
        self, office: Office, gather: Gather, holding: Holding, tell: Callable[[Answered | Transit], None]
    ) -> None:
        self.office = office
        self.done: list[Done] = []
        self.resting: dict[str, float] = {}
        self._gather = gather
        self._holding = holding
        self._tell = tell
        self._epoch = 0
        self._holds = False
        self._team: Team
        self._opened = ExitStack()
        self._pool = ThreadPoolExecutor(max_workers=NODES_AT_ONCE, thread_name_prefix="cube-effect")

    def meet(self, office: Office, epoch: int) -> Mapping[str, Attended]:
        """From now on these work; those before end their connections beside us."""
        before, self._opened = self._opened, ExitStack()
        self._team = self._opened.enter_context(self._gather(office, epoch))
        self.office, self._epoch = office, epoch
        Thread(target=before.close, name="cube-leaving", daemon=True).start()
        return self._team.workers

    @property
    def workers(self) -> Mapping[str, Attended]:
        """The team's workers, by node."""
        return self._team.workers

    def digest(self, image: str, node: str) -> str:
        """What the image's registry has by its name now, as in Fleet."""
        return self._team.fleet.digest(image, node)

    def stock(self) -> Mapping[str, str]:
        """What the operator's engine has, as in Fleet."""
        return self._team.fleet.stock()

    def take_up(self) -> int | None:
        """Hold the lock; the epoch, where it is another one than the team works under.

        Raises LockedError where another Cube is at work.
        """
        if not self._holds:
            epoch = self._holding.take(wait=0.0)
            self._holds = True
            return epoch if epoch != self._epoch else None
        return None

    def put_down(self) -> None:
        """Give the lock back."""
        if self._holds:
            self._holds = False
            self._holding.give_back()

    def choose(self, actions: Iterable[Action], picture: Picture) -> tuple[Action, ...]:
        """What can be done now: nothing on a node of which too little is known, and not too much on one."""
        given: Counter[str] = Counter()
        chosen = []
        for action in actions:
            node = node_of(action)
            if not picture.is_ready(node):
                continue
            if is_effect(action):
                given[str(node)] += 1
                if given[str(node)] > AT_ONCE:
                    continue
            chosen.append(action)
        return tuple(chosen)

    def begin(self, effects: Iterable[Effect], picture: Picture, until: float) -> None:
        """Have the effects carried out, each node by itself; `until` as in Fleet."""
        by_node: dict[str, list[Effect]] = {}
        for effect in effects:
            by_node.setdefault(effect.node, []).append(effect)
        for node, few in by_node.items():
            picture.begin(node)
            self._pool.submit(self._carry_out, node, few, until)

    def hear(self, answer: Answered, picture: Picture, now: float) -> None:
        """Remember what came of an effect; a node that has nothing more to do rests, or is looked at."""
        if isinstance(answer.step, Done):
            self.done.append(answer.step)
        if answer.step is not None:
            return  # a node's last word is None, also after what went wrong
        if pause := self._pause(answer.node):
            self.resting[answer.node] = now + pause
        else:
            picture.end(answer.node)

    def wake(self, picture: Picture, now: float) -> None:
        """Look again at the nodes whose rest is over."""
        for node in [node for node, until in self.resting.items() if until <= now]:
            del self.resting[node]
            picture.end(node)

    def leave(self) -> None:
        """Give the lock back, and end the connections."""
        self.put_down()
        self._pool.shutdown(wait=False)
        self._opened.close()

    def _carry_out(self, node: str, effects: Sequence[Effect], until: float) -> None:
        try:
            for effect, outcome in self._team.fleet.perform(effects, until):
                if isinstance(outcome, Transit):
                    self._tell(outcome)
                else:
                    self._tell(Answered(node, Done(effect=effect, outcome=outcome)))
        except Exception as bug:  # noqa: BLE001 - it is told where the service hears of it
            self._tell(Answered(node, bug))
        finally:
            self._tell(Answered(node, None))

    def _pause(self, node: str) -> float:
        """Seconds before anything more is tried on the node: the longer, the more often it was in vain."""
        mine = [done for done in self.done if done.effect.node == node]
        if not mine or mine[-1].outcome.verdict is Verdict.OK:
            return 0.0
        return PAUSE * float(2 ** (max(misses(mine).values(), default=1) - 1))


def is_effect(action: Action) -> bool:
    """It touches a node."""
    return isinstance(action, Change)


def node_of(action: Action) -> str | None:
    """The node that the action is about; None for one that is about none."""
    match action:
        case Place() | Start() | Stop() | Quarantine() | Push() | Fetch() | Refresh():
            return action.node
        case Note():
            return action.task.node
        case _:
            return None
