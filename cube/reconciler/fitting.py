"""Whether a node could take one task more of a job, asked of the fleet as it is. Pure; it changes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cube.model.action import Decision
from cube.model.job import Group, Job, JobType
from cube.reconciler.placement import last_of, room_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler, name_of, place, scheduler_of, terms_of
from cube.scheduler.remedy import remedies
from cube.scheduler.state import NodeState, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """What would be decided about one task more of a group.

    `picked`: the node that it would get; None: none. `here` counts the group's tasks on the node asked about.
    `decision` tells of that node in full, whatever else it tells; its remedies are for that node.
    """

    group: str
    node: str
    picked: str | None
    here: int
    decision: Decision

    @property
    def fits(self) -> bool:
        """The node could take it."""
        return not any(refusal.node == self.node for refusal in self.decision.refusals)


def fittings(world: World, job: Job, node: str, scheduler: Scheduler) -> tuple[Fitting, ...]:
    """For each group of the job what is to be said of that node, which has answered.

    Raises InputError as `scheduler_of` does.
    """
    room, chosen = room_of(world), scheduler_of(job, scheduler)
    requests = (_one_more(job, group, node, last_of(world, room)) for group in job.groups)
    return tuple(_fitting(request, node, room, chosen) for request in requests)


def _one_more(job: Job, group: Group, node: str, last: str) -> Request:
    is_system = job.type_of(group) is JobType.SYSTEM
    request = Request.of(job, group, index=group.count, order=0, node=node if is_system else None)
    return replace(request, after=last)


def _fitting(request: Request, node: str, room: Mapping[str, NodeState], scheduler: Scheduler) -> Fitting:
    nodes = tuple(room.values())
    found, decision = place(scheduler, request, nodes)
    asked, state = request.among(nodes), room[node]
    mine = terms_of(scheduler, asked, [state]) if node in decision.scores else {}
    return Fitting(
        group=request.slot.group,
        node=node,
        picked=found.node.name if found else None,
        here=state.tasks.get(request.group, 0),
        decision=replace(
            decision,
            terms={**decision.terms, **mine},
            remedies=remedies(asked, [state]),
            scheduler=name_of(scheduler),
        ),
    )
