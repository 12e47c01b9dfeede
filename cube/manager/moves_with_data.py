"""Moving a task with what it has written: a copy while it runs, the rest once it is stopped, a start there.

All of it happens under the lock. Before the task is stopped its move *home* is recorded: whoever finds the
slot empty after a crash, as the next sweep does, fills it where its data is. The move to the target is only
recorded once the data is there, and the same. Where it fails the task is started where it was.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from cube.errors import CubeError, InputError
from cube.manager.copying import Say, Way, copying
from cube.manager.manager import Manager
from cube.manager.moves import carry_out, refuse_what_stays, the_task
from cube.manager.report import Done, Report
from cube.manager.turn import Loop, Run
from cube.manager.volumes import empty, refuse_used
from cube.model.action import Plan, Verdict
from cube.model.move import Move
from cube.model.observation import Observation, Seen
from cube.model.task import Task
from cube.model.volume import LeftVolume, StoredVolume
from cube.reconciler.moves import without_ended_moves
from cube.reconciler.tasks import stop
from cube.view import words
from cube.worker.worker import Worker

AT_HOME = 120.0
"""Seconds at least for a task to come up again where it was."""

SPARE = 64 * 1024 * 1024
"""Bytes that a disk must have beyond what is copied to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Somebody wants the task of that name on that node, and what it leaves kept for so many seconds."""

    task: str
    node: str
    keep: float


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
    manager: Manager, workers: Mapping[str, Worker], asked: Asked, run: Run, say: Say
) -> Report:
    """Want the task on that node with its data, and settle; the time to copy it does not count.

    Where it does not come up there it is started again where it was, on the data that it left there. Raises
    InputError for what `move` refuses, and for data that cannot be copied; CubeError where the copy fails.
    """
    haul = _hauled(manager, workers, asked.task, asked.node)
    wish = haul.move(to=haul.target, reason=f"{run.actor} wants it there, with its data")
    _refuse_hopeless(manager, haul, wish, manager.loop.look_before_a_change())
    begun = manager.loop.clock.now()
    stopped = _stop_and_copy(manager, haul, run, say)
    run = replace(run, until=run.until + manager.loop.clock.now() - begun)
    report = carry_out(manager, wish, manager.loop.look_before_a_change(), run)
    if any(end.is_done for end in report.moves):
        for volume in haul.volumes:
            say(_keep_old(manager, haul, volume.name, asked.keep, run))
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


def _stop_and_copy(manager: Manager, haul: Haul, run: Run, say: Say) -> list[Done]:
    """Copy its volumes, stop it, copy what has changed. Raises CubeError: then it runs where it was."""
    with ExitStack() as copies:
        ways = (Way(name=volume.name, source=haul.source, target=haul.target) for volume in haul.volumes)
        finishes = [copies.enter_context(copying(way, say)) for way in ways]
        observed = manager.loop.look_before_a_change()
        home = haul.move(to=haul.source, reason="its data is here, until that is copied")
        manager.store.put_move(home, now=manager.loop.clock.now(), actor=run.actor)
        try:
            stopped = _stop(manager, haul, observed, run)
            for finish in finishes:
                say(finish())
        except (CubeError, KeyboardInterrupt):
            _settle_home(manager, haul, run, "its data could not be copied")
            raise
    return stopped


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


def _keep_old(manager: Manager, haul: Haul, name: str, seconds: float, run: Run) -> str:
    """Have what it left removed after that long, and not before; what was done, in words."""
    now, node, task = manager.loop.clock.now(), haul.source.node.name, haul.task
    left = LeftVolume(node=node, volume=name, job=task.slot.job, version=task.version, until=now + seconds)
    what = f"{name} is kept on {node}, too, until {words.utc(left.until)}"
    manager.store.left.keep(left, what, now=now, actor=run.actor)
    return what


def _settle_home(manager: Manager, haul: Haul, run: Run, reason: str) -> Report:
    """Start it where it was, however little time is left."""
    home = haul.move(to=haul.source, reason=reason)
    now = manager.loop.clock.now()
    patient = replace(run, until=max(run.until, now + AT_HOME))
    return carry_out(manager, home, manager.loop.look_before_a_change(), patient)
