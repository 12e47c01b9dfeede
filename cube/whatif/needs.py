"""How many nodes the services of a fleet need, were all of their tasks placed anew."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cube.model.action import Place, Wait
from cube.model.job import JobType
from cube.model.observation import Observation, Seen
from cube.model.task import Task
from cube.reconciler.line import Opening
from cube.reconciler.placement import Room, place_all, room_of
from cube.reconciler.wants import Want, wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler, name_of
from cube.scheduler.state import Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """`nodes` get the services' tasks from that scheduler; `stuck` tasks fit nowhere then."""

    scheduler: str
    nodes: int
    stuck: int


def needs(world: World, scheduler: Scheduler, tightest: Scheduler) -> tuple[Need, ...]:
    """What the services need as they are placed, and what they would if the tightest placed all of them.

    Empty where that one does.
    """
    if scheduler is tightest and not any(job.scheduler for job in world.jobs):
        return ()
    alike = replace(world, jobs=tuple(replace(job, scheduler="") for job in world.jobs))
    return need(world, scheduler), need(alike, tightest)


def need(world: World, scheduler: Scheduler) -> Need:
    """All tasks of services placed on nodes that hold what must stay there, and nothing else."""
    wants = wants_of(world)
    stays = tuple(
        task for task in world.tasks if not _is_placed_anew(wants.get(task.slot)) and _is_there(task)
    )
    bare = replace(world, tasks=stays, observed=_without_ours(world), moves={})
    openings = [Opening(want=want) for want in wants.values() if _is_placed_anew(want)]
    placed = place_all(bare, openings, scheduler, _idle(room_of(bare))).actions
    nodes = {action.node for action in placed if isinstance(action, Place)}
    stuck = sum(isinstance(action, Wait) for action in placed)
    return Need(scheduler=name_of(scheduler), nodes=len(nodes), stuck=stuck)


def _is_placed_anew(want: Want | None) -> bool:
    return want is not None and want.job.type_of(want.group) is JobType.SERVICE


def _is_there(task: Task) -> bool:
    return not task.state.is_terminal


def _without_ours(world: World) -> Mapping[str, Observation]:
    """The looks with what is not Cube's alone: the record tells of the rest."""
    return {
        name: replace(seen, containers=tuple(found for found in seen.containers if not world.is_ours(found)))
        if isinstance(seen, Seen)
        else seen
        for name, seen in world.observed.items()
    }


def _idle(room: Room) -> Room:
    """What `/proc` shows is mostly the work of the tasks that are not there any more."""
    return {
        name: replace(state, load=Load(cpu=state.promised.cpu, memory=state.promised.memory))
        for name, state in room.items()
    }
