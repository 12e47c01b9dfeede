"""Moving a task with what it has written: stopped, copied, compared, and started elsewhere, or where it was.

All of it happens under the lock. Before the task is stopped its move *home* is recorded: whoever finds the
slot empty after a crash, as the next sweep does, fills it where its data is. The move to the target is only
recorded once the data is there, and the same.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from cube.errors import CubeError, InputError
from cube.manager.manager import Manager
from cube.manager.moves import carry_out, refuse_what_stays, the_task
from cube.manager.report import Done, Report
from cube.manager.turn import Loop, Run
from cube.manager.volumes import empty, named, refuse_another, refuse_used, tree_of
from cube.model.action import Plan, Verdict
from cube.model.move import Move
from cube.model.observation import Observation, Seen
from cube.model.task import Task
from cube.model.volume import StoredVolume, Tree
from cube.reconciler.moves import without_ended_moves
from cube.reconciler.tasks import stop
from cube.worker.worker import Worker

AT_HOME = 120.0
"""Seconds at least for a task to come up again where it was."""

Say = Callable[[str], None]
"""Hears what was done beside the loop's own steps."""

SPARE = 64 * 1024 * 1024
"""Bytes that a disk must have beyond what is copied to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Haul:
    """A task that is to go from one node to another, with its volumes there."""

    task: Task
    source: Worker
    target: Worker
    volumes: tuple[StoredVolume, ...]

    def move(self, *, to: Worker, reason: str) -> Move:
        """The slot's way to that node."""
        return Move(slot=self.task.slot, source=self.source.node.name, target=to.node.name, reason=reason)


def move_with_data(
    manager: Manager, workers: Mapping[str, Worker], asked: tuple[str, str], run: Run, say: Say
) -> Report:
    """Want the task on that node with its data, and settle; `asked` are the names of both.

    Where it does not come up there it is started again where it was, on the data that it left there. Raises
    InputError for what `move` refuses, and for data that cannot be copied; CubeError where the copy fails.
    """
    haul = _hauled(manager, workers, *asked)
    observed = manager.loop.look_before_a_change()
    wish = haul.move(to=haul.target, reason=f"{run.actor} wants it there, with its data")
    _refuse_hopeless(manager, haul, wish, observed)
    _put(manager, haul.move(to=haul.source, reason="its data is here, until that is copied"), run)
    try:
        stopped = _stop(manager, haul, observed, run)
        for volume in haul.volumes:
            say(_copy(haul, volume))
    except (CubeError, KeyboardInterrupt):
        _settle_home(manager, haul, run, "its data could not be copied")
        raise
    report = carry_out(manager, wish, manager.loop.look_before_a_change(), run)
    if any(end.is_done for end in report.moves):
        names = ", ".join(volume.name for volume in haul.volumes)
        say(f"what it had is kept on {wish.source}, too: cube volume rm {names} --node {wish.source}")
        return replace(report, done=(*stopped, *report.done))
    back = _settle_home(manager, haul, run, f"it did not come up on {wish.target}")
    return replace(back, moves=report.moves, done=(*stopped, *report.done, *back.done))


def _hauled(manager: Manager, workers: Mapping[str, Worker], name: str, node: str) -> Haul:
    """Raises InputError for what cannot be moved so, CubeError where a node does not answer."""
    manager.refuse_unknown(node)
    task = the_task(manager, name)
    refuse_what_stays(manager, task, node)
    paths = [volume.source for volume in task.spec.volumes if not volume.is_named and volume.has_data]
    if paths:
        why = f"it writes to {paths[0]}, a path of {task.node}, and only volumes with a name can be copied"
        raise InputError(f"{task.slot} cannot be moved", why=why)
    source, target = workers[str(task.node)], workers[node]
    names = {volume.source for volume in task.spec.volumes if volume.is_named}
    volumes = tuple(volume for volume in source.volumes.all() if volume.name in names)
    for volume in volumes:
        refuse_used(volume, (), [use for use in volume.users if use.slot != task.slot])
    _clear(target, names)
    return Haul(task=task, source=source, target=target, volumes=volumes)


def _clear(target: Worker, names: set[str]) -> None:
    """Raises InputError where the target has something in a volume of that name that was not copied so."""
    for volume in target.volumes.all():
        if volume.name in names:
            refuse_used(volume, (), volume.uses)
            empty(target, volume)


def _refuse_hopeless(manager: Manager, haul: Haul, wish: Move, observed: Mapping[str, Observation]) -> None:
    """Raises InputError where the target would not take the task, or has no room for its data."""
    _, ends = without_ended_moves(replace(manager.loop.world(observed), moves={wish.slot: wish}))
    if ends:
        raise InputError(f"{wish.slot} cannot be moved to {wish.target}", why=ends[0].reason)
    seen, size = observed.get(wish.target), sum(volume.size or 0 for volume in haul.volumes)
    if isinstance(seen, Seen) and seen.stats.disk_free < size + SPARE:
        why = f"its data has {size} bytes, and {seen.stats.disk_free} are free there"
        raise InputError(f"{wish.slot} cannot be moved to {wish.target}", why=why)


def _put(manager: Manager, move: Move, run: Run) -> None:
    manager.store.put_move(move, now=manager.loop.clock.now(), actor=run.actor)


def _stop(manager: Manager, haul: Haul, observed: Mapping[str, Observation], run: Run) -> list[Done]:
    """End the task as the loop would. Raises CubeError where it is not known to have ended."""
    loop = manager.loop
    assert isinstance(loop, Loop), "what moves data turns the loop itself: no service does"
    ending = stop(haul.task, loop.world(observed), f"its data moves to {haul.target.node.name}")
    done = loop.act(Plan(actions=(ending,)), run)
    failed = next((step.outcome for step in done if step.outcome.verdict is not Verdict.OK), None)
    if failed is not None:
        raise CubeError(
            f"{haul.task.slot} could not be stopped",
            where=haul.source.node.name,
            why=failed.why,
            cure=failed.cure,
        )
    return done


def _copy(haul: Haul, volume: StoredVolume) -> str:
    """Fill the target's volume with what is in the source's, compare both; what was done, in words."""
    name = volume.name
    with (
        named(f"{name}, from {haul.source.node.name} to {haul.target.node.name}"),
        haul.source.volumes.read(name) as pieces,
        haul.target.volumes.filled(name, pieces, None),
    ):
        there, here = _both_trees((haul.target, haul.source), name)
        refuse_another(there, here)
    return f"copied and compared {name}: {here.files} files, {here.size} bytes"


def _both_trees(workers: Sequence[Worker], name: str) -> list[Tree]:
    with ThreadPoolExecutor(max_workers=len(workers)) as pool:
        return list(pool.map(lambda worker: tree_of(worker, name), workers))


def _settle_home(manager: Manager, haul: Haul, run: Run, reason: str) -> Report:
    """Start it where it was, however little time is left."""
    home = haul.move(to=haul.source, reason=reason)
    now = manager.loop.clock.now()
    patient = replace(run, until=max(run.until, now + AT_HOME))
    return carry_out(manager, home, manager.loop.look_before_a_change(), patient)
