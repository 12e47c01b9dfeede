"""One batch of openings, placed one after the other by one scheduler."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cube.model.action import Decision, Place, Refusal, Wait
from cube.model.task import Slot
from cube.reconciler.homes import why_it_waits
from cube.reconciler.line import Asked, Batch, Opening
from cube.reconciler.preemption import NOBODY, Crowd, Eviction, after, held, room_for
from cube.scheduler.algorithms import Scheduler, name_of
from cube.scheduler.fleet import fleet_of, order_of
from cube.scheduler.placement import Placement
from cube.scheduler.state import Demand, NodeState, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Leeway:
    """How many of the openings that move may go on now, and who may have to give way."""

    moves: int = 0
    crowd: Crowd = NOBODY


NO_LEEWAY = Leeway()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What was done about some openings, and what is left for the others.

    `last`: the node that the last new task got; empty: nobody knows. `evictions`: who is to give way, so that
    there is room.
    """

    room: Mapping[str, NodeState]
    leeway: Leeway
    last: str = ""
    actions: tuple[Place | Wait, ...] = ()
    evictions: tuple[Eviction, ...] = ()

    @property
    def placed(self) -> tuple[Slot, ...]:
        """The slots that get a task."""
        return tuple(action.slot for action in self.actions if isinstance(action, Place))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one opening; of one that fits nowhere, who could give way to it."""

    opening: Opening
    found: Placement
    eviction: Eviction | None = None

    @property
    def is_stuck(self) -> bool:
        """It gets no place now."""
        return self.found.node is None


def fill(batch: Batch, scheduler: Scheduler, before: Filled, absent: Sequence[Refusal]) -> Filled:
    """The batch's openings; if all are to be placed or none, and some cannot be: none.

    `absent` says of the nodes that did not answer why they take nothing.
    """
    filling = Filling(batch, scheduler, before, absent)
    for rank in batch.ranks:
        filling.place_rank(rank)
    return filling.as_a_whole(before) if batch.together else filling.one_by_one()


def without_scheduler(batch: Batch, before: Filled, why: str) -> Filled:
    """Somebody deployed them where the algorithm is installed, and here it is not, or cannot be loaded."""
    waits = (
        _wait(opening, Decision(scores={}), why)
        for opening, _ in batch.asked
        if opening.beside is None and not opening.is_later
    )
    return replace(before, actions=(*before.actions, *waits))


class Filling:
    """A batch while it is placed."""

    def __init__(self, batch: Batch, scheduler: Scheduler, before: Filled, absent: Sequence[Refusal]) -> None:
        self._batch, self._scheduler, self._before, self._absent = batch, scheduler, before, absent
        self._fleet = fleet_of(scheduler, before.room, len(batch.asked), before.last)
        self._name, self._moves, self._crowd = name_of(scheduler), before.leeway.moves, before.leeway.crowd
        self._answers: list[Answer] = []
        self._hopeless: set[tuple[Demand, str | None, int]] = set()

    def place_rank(self, rank: Sequence[Asked]) -> None:
        """Promise each its place, in the order that packs them best."""
        if len(rank) == 1:
            self.place(*rank[0])
            return
        for at in order_of(self._scheduler, self._fleet.room(), [request for _, request in rank]):
            self.place(*rank[at])

    def place(self, opening: Opening, request: Request) -> None:
        """Promise the opening a place, or room that others give up for it, if there is either."""
        if opening.is_move and self._moves <= 0:
            return
        placed = self._fleet.place(request, leaving=opening.beside)
        refusals = (*placed.decision.refusals, *self._absent)
        found = replace(placed, decision=replace(placed.decision, refusals=refusals, scheduler=self._name))
        eviction = None
        if found.node is None and opening.beside is None:
            eviction = self._make_room(request, opening.want.job.priority)
        self._moves -= opening.is_move and (found.node is not None or eviction is not None)
        self._answers.append(Answer(opening, found, eviction))

    def one_by_one(self) -> Filled:
        """Each as it is."""
        return self._done([self._action(found) for found in self._answers])

    def as_a_whole(self, before: Filled) -> Filled:
        """All, or none: then what could be placed waits for the others.

        Where others give way until all fit, the room that is there is kept meanwhile.
        """
        stuck = [found for found in self._answers if found.is_stuck]
        if not stuck:
            return self.one_by_one()
        is_hopeless = any(found.eviction is None for found in stuck)
        why = (
            f"all of {self._batch.together} is placed or nothing: "
            f"{len(stuck)} of {len(self._answers)} tasks fit nowhere{'' if is_hopeless else ' yet'}"
        )
        answers = [replace(found, eviction=None) if is_hopeless else found for found in self._answers]
        actions = [
            self._action(found) if found.is_stuck else _wait(found.opening, Decision(scores={}), why)
            for found in answers
        ]
        if is_hopeless:
            told = _told(actions, self._answers)
            return replace(before, actions=(*before.actions, *told))
        return self._done(actions)

    def _done(self, actions: Sequence[Place | Wait | None]) -> Filled:
        evictions = [found.eviction for found in self._answers if found.eviction is not None]
        return Filled(
            room=self._fleet.room(),
            leeway=Leeway(moves=self._moves, crowd=self._crowd),
            last=self._fleet.last,
            actions=(*self._before.actions, *_told(actions, self._answers)),
            evictions=(*self._before.evictions, *evictions),
        )

    def _make_room(self, request: Request, priority: int) -> Eviction | None:
        key = request.demand, request.only, priority
        room = self._fleet.room() if self._crowd.tenants and key not in self._hopeless else {}
        eviction = room_for(request, priority, room, self._crowd) if room else None
        if eviction is None:
            self._hopeless.add(key)  # Room and tenants only become fewer.
            return None
        self._crowd = after(self._crowd, eviction)
        state = held(room[eviction.node], request, eviction)
        nodes = {**room, eviction.node: state}
        self._fleet = fleet_of(self._scheduler, nodes, len(self._batch.asked), self._fleet.last)
        return eviction

    def _action(self, found: Answer) -> Place | Wait | None:
        """One that serves on beside the new task is not said to wait."""
        if not found.is_stuck:
            return _place(found.opening, found.found)
        if found.opening.beside is not None:
            return None
        nodes = len(self._before.room) + len(self._absent)
        asked = found.opening.want.request()
        reason = (
            f"fits on none of {_nodes(nodes)}"
            if asked.home is None
            else why_it_waits(asked, self._fleet.room(), self._absent)
        )
        return _wait(
            found.opening,
            found.found.decision,
            f"{reason}; {found.eviction}" if found.eviction else reason,
        )


def _told(actions: Sequence[Place | Wait | None], answers: Sequence[Answer]) -> Iterator[Place | Wait]:
    """Nothing is done yet about those whose turn comes later."""
    for action, found in zip(actions, answers, strict=True):
        if action is not None and not found.opening.is_later:
            yield action


def _wait(opening: Opening, decision: Decision, reason: str) -> Wait:
    why = f"{opening.why}: " if opening.is_move and opening.why else ""
    return Wait(
        slot=opening.want.slot,
        version=opening.want.job.version,
        spec=opening.want.group.spec,
        decision=decision,
        reason=f"{why}{reason}",
        pending=opening.waiting,
        reschedules=opening.reschedules,
        failed_on=opening.failed_on,
    )


def _place(opening: Opening, found: Placement) -> Place:
    assert found.node is not None, "it has got a place"
    why = f"{opening.why}: " if opening.why else ""
    decision = found.decision
    candidates = _nodes(len(decision.scores) + decision.others)
    return Place(
        slot=opening.want.slot,
        version=opening.want.job.version,
        spec=opening.want.group.spec,
        node=found.node,
        ports=found.ports,
        decision=decision,
        reason=f"{why}best of {candidates}, score {decision.scores[found.node]:.3f}",
        pending=opening.waiting,
        reschedules=opening.reschedules,
        failed_on=opening.failed_on,
    )


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"
