"""Openings in the order in which they are placed, and which of them stand or fall together."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from cube.model.resources import Resources
from cube.model.task import Slot, Task
from cube.reconciler.wants import Want
from cube.reconciler.world import World
from cube.scheduler.hardest import hardness, room_in
from cube.scheduler.state import NodeState, Request

NEVER = float("inf")
"""The age of a slot that never had a task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A slot to be filled now. `waiting`: the task that waits for that. `former`: the last one that failed.

    `why`: what happened to the one that had it, empty for a slot that is new. `beside`: the old task that
    serves on in the slot; then it is not said to wait where it fits nowhere. `resumes`: the last one was
    stopped for this one to take its room. `is_move`: the last one is on a lost node. `is_later`: it is not
    its turn yet, and those of its job that are placed with it must leave room for it.
    """

    want: Want
    waiting: Task | None = None
    former: Task | None = None
    why: str = ""
    beside: Task | None = None
    resumes: bool = False
    is_move: bool = False
    is_later: bool = False

    @property
    def reschedules(self) -> int:
        """How many tasks of the slot have failed for good, one after the other."""
        if self.waiting is not None:
            return self.waiting.reschedules
        return self.former.reschedules + 1 if self.former is not None else 0

    @property
    def failed_on(self) -> tuple[str, ...]:
        """The nodes on which they did."""
        if self.waiting is not None:
            return self.waiting.failed_on
        if self.former is None or self.former.node is None:
            return ()
        return tuple(dict.fromkeys((*self.former.failed_on, self.former.node)))

    @property
    def together(self) -> str:
        """The job of whose openings all are placed or none; empty: it stands alone.

        What had its place already is put right one by one.
        """
        stands_alone = self.resumes or self.is_move or self.beside is not None
        return self.want.job.name if self.want.job.all_or_nothing and not stands_alone else ""


Asked = tuple[Opening, Request]
"""An opening, and what it asks."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Openings that one scheduler places one after the other, rank by rank.

    New slots of one priority are of one rank, the hardest first, and their order is free; any other opening
    has a rank of its own. `together`: the job that all openings are of; all of them are placed, or none.
    """

    ranks: Sequence[Sequence[Asked]]
    together: str

    @property
    def asked(self) -> Sequence[Asked]:
        """All openings in line."""
        return tuple(one for rank in self.ranks for one in rank)


def batches(world: World, openings: Sequence[Opening], room: Mapping[str, NodeState]) -> Iterator[Batch]:
    """The openings in line."""
    earlier = {task.slot: task.order for task in world.tasks}
    newest = max((task.order for task in world.tasks), default=0)
    line = in_line(openings, earlier, room_in(room.values()))
    asked = [(opening, _request(opening, newest + 1 + position)) for position, opening in enumerate(line)]

    def rank(one: Asked) -> tuple[int, Slot | None]:
        slot = one[0].want.slot
        return one[0].want.job.priority, slot if slot in earlier else None

    for (_, together), found in groupby(asked, key=lambda one: (one[0].want.job.scheduler, one[0].together)):
        yield Batch(tuple(tuple(equals) for _, equals in groupby(found, key=rank)), together)


def in_line(openings: Sequence[Opening], earlier: Mapping[Slot, int], room: Resources) -> list[Opening]:
    """Those that resume, then by priority, then by the age of the slot's last task; of new slots the hardest.

    Those that are placed together stand where their oldest one stands. Stable: among equals the order of
    jobs, groups and indices holds.
    """
    ages = {opening.want.slot: float(earlier.get(opening.want.slot, NEVER)) for opening in openings}
    oldest: dict[str, float] = {}
    for opening in openings:
        age = ages[opening.want.slot]
        oldest[opening.together] = min(age, oldest.get(opening.together, NEVER))

    def turn(opening: Opening) -> tuple[bool, int, float, str, float]:
        age = oldest[opening.together] if opening.together else ages[opening.want.slot]
        hard = hardness(opening.want.request(), room) if age == NEVER else 0.0
        return not opening.resumes, -opening.want.job.priority, age, opening.together, -hard

    return sorted(openings, key=turn)


def _request(opening: Opening, order: int) -> Request:
    earlier = opening.waiting or opening.beside
    request = opening.want.request(earlier.order if earlier else order)
    return replace(request, avoid=frozenset(opening.failed_on))
