"""Where the services of a fleet would be, and on how many nodes, were all of their tasks placed anew."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cube.model.action import Place, Wait
from cube.model.job import JobType
from cube.model.observation import Observation, Seen
from cube.model.task import Slot, Task
from cube.reconciler.filling import Filled
from cube.reconciler.line import Opening
from cube.reconciler.placement import Room, place_all, room_of
from cube.reconciler.wants import Want, wants_of
from cube.reconciler.world import World
from cube.scheduler.algorithms import Scheduler, name_of
from cube.scheduler.state import Load
from cube.whatif.play import Move, Play, homes_of, known_room, packings, stuck_of


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
    placed = _placed_anew(world, scheduler).actions
    nodes = {action.node for action in placed if isinstance(action, Place)}
    stuck = sum(isinstance(action, Wait) for action in placed)
    return Need(scheduler=name_of(scheduler), nodes=len(nodes), stuck=stuck)


def play_anew(world: World, scheduler: Scheduler) -> Play:
    """What would come of it if that scheduler placed all tasks of services anew."""
    placed, homes = _placed_anew(world, scheduler), homes_of(world)
    places = [action for action in placed.actions if isinstance(action, Place)]
    return Play(
        moves=tuple(_move(found, homes) for found in places if homes.get(found.slot) != found.node),
        stuck=tuple(stuck_of(found, homes) for found in placed.actions if isinstance(found, Wait)),
        ended=(),
        packing=packings(known_room(world), placed.room),
    )


def _placed_anew(world: World, scheduler: Scheduler) -> Filled:
    wants = wants_of(world)
    stays = tuple(
        task for task in world.tasks if not _is_placed_anew(wants.get(task.slot)) and _is_there(task)
    )
    bare = replace(world, tasks=stays, observed=_without_ours(world), moves={})
    openings = [Opening(want=want) for want in wants.values() if _is_placed_anew(want)]
    return place_all(bare, openings, scheduler, _idle(room_of(bare), known_room(world)))


def _move(place: Place, homes: Mapping[Slot, str]) -> Move:
    why = f"best of {len(place.decision.scores) + place.decision.others} nodes"
    score = place.decision.scores[place.node]
    return Move(slot=place.slot, source=homes.get(place.slot), target=place.node, score=score, why=why)


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


def _idle(room: Room, known: Room) -> Room:
    """The nodes with the images and volumes that are known to be there, and no load but what is promised.

    What `/proc` shows is mostly the work of the tasks that are not there any more.
    """
    return {
        name: replace(
            state,
            load=Load(cpu=state.promised.cpu, memory=state.promised.memory),
            images=known[name].images,
            volumes=known[name].volumes,
        )
        for name, state in room.items()
    }
