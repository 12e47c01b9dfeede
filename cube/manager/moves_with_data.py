"""Moving a task with what it has written: a copy while it runs, the rest once it is stopped, a start there.

All of it happens under the lock. Before the task is stopped its move *home* is recorded: whoever finds the
slot empty after a crash, as the next sweep does, fills it where its data is. The move to the target is only
recorded once the data is there, and the same. Where it fails the task is started where it was.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

from cube.errors import CubeError, InputError
from cube.manager.copying import Finish, Say, Way, copying
from cube.manager.manager import Manager
from cube.manager.moves import carry_out, refuse_what_stays, settle_move, the_task
from cube.manager.report import Done, Remark, Report
from cube.manager.seams import Attended
from cube.manager.turn import Concern, Run, Settle
from cube.manager.volumes import empty, refuse_used
from cube.model.action import Verdict
from cube.model.move import Move
from cube.model.observation import Observation, Seen
from cube.model.task import State, Task
from cube.model.volume import LeftVolume, StoredVolume
from cube.reconciler.moves import without_ended_moves
from cube.view import words

AT_HOME = 120.0
"""Seconds at least for a task to end where it is, and to come up there again."""

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
    """A task that is to go from one node to another, with its volumes there; its job is in that version."""

    task: Task
    version: int
    source: str
    target: str
    workers: Mapping[str, Attended]
    volumes: tuple[StoredVolume, ...]

    def move(self, *, to: str, reason: str) -> Move:
        """The slot's way to that node."""
        return Move(slot=self.task.slot, source=self.source, target=to, reason=reason)

    def way(self, volume: StoredVolume) -> Way:
        """The volume's way."""
        return Way(
            name=volume.name,
            where=f"{volume.name}, from {self.source} to {self.target}",
            source=self.workers[self.source],
            target=self.workers[self.target],
        )


def move_with_data(manager: Manager, asked: Asked, run: Run) -> Report:
    """Want the task on that node with its data, and settle; the time to copy it does not count.

    Where it does not come up there it is started again where it was, on the data that it left there. Raises
    InputError for what `move` refuses, and for data that cannot be copied; CubeError where the copy fails.
    """
    task = movable(manager, asked)
    with manager.loop.vacancies.claimed(task.slot):
        haul = _hauled(manager, task, asked.node)
        wish = haul.move(to=haul.target, reason=f"{run.actor} wants it there, with its data")
        _refuse_hopeless(manager, haul, wish, manager.loop.look_before_a_change())
        begun = manager.loop.clock.now()
        stopped = _stop_and_copy(manager, haul, wish, run)
        run = replace(run, until=run.until + manager.loop.clock.now() - begun)
        report = settle_move(manager.loop.settle, wish, manager.loop.look_before_a_change(), run)
        if _is_done(manager, wish, report):
            for volume in haul.volumes:
                _keep_old(manager, haul, volume.name, asked.keep, run)
            return replace(report, done=(*stopped, *report.done))
        back = _settle_home(manager, haul, run, f"it did not come up on {wish.target}")
        return replace(back, moves=report.moves, done=(*stopped, *report.done, *back.done))


def movable(manager: Manager, asked: Asked) -> Task:
    """The task that is meant. Raises InputError for what can be said against it without asking a node."""
    manager.refuse_unknown(asked.node)
    task = the_task(manager, asked.task)
    refuse_what_stays(manager, task, asked.node)
    manager.refuse_unknown(str(task.node))
    manager.loop.vacancies.refuse_claimed(task.slot)
    paths = [volume.source for volume in task.spec.volumes if not volume.is_named and volume.has_data]
    if paths:
        why = f"it writes to {paths[0]}, a path of {task.node}, and only volumes with a name can be copied"
        raise InputError(f"{task.slot} cannot be moved", why=why, field="task")
    return task


def _hauled(manager: Manager, task: Task, target: str) -> Haul:
    """Raises InputError for what cannot be moved so, CubeError where a node does not answer."""
    workers, source = manager.loop.workers, str(task.node)
    names = {volume.source for volume in task.spec.volumes if volume.is_named}
    volumes = tuple(volume for volume in workers[source].volumes.all() if volume.name in names)
    for volume in volumes:
        refuse_used(volume, (), [use for use in volume.users if use.slot != task.slot])
    _clear(workers[target], names)
    version = manager.job(task.slot.job).version
    return Haul(task=task, version=version, source=source, target=target, workers=workers, volumes=volumes)


def _clear(target: Attended, names: set[str]) -> None:
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


def _stop_and_copy(manager: Manager, haul: Haul, wish: Move, run: Run) -> tuple[Done, ...]:
    """Copy its volumes, stop it, copy what has changed, and want it there.

    Raises CubeError: then it runs where it was.
    """
    say = _saying(run)
    with ExitStack() as copies:
        finishes = [copies.enter_context(copying(haul.way(volume), say)) for volume in haul.volumes]
        try:
            return _copy_emptied(manager, haul, wish, finishes, run)
        except (CubeError, KeyboardInterrupt):
            _settle_home(manager, haul, run, "its data could not be copied")
            raise


def _copy_emptied(
    manager: Manager, haul: Haul, wish: Move, finishes: list[Finish], run: Run
) -> tuple[Done, ...]:
    """Whoever turns the loop leaves the slot empty until its next place is recorded."""
    store, clock, say = manager.store, manager.loop.clock, _saying(run)
    observed = manager.loop.look_before_a_change()
    with (
        manager.loop.change() as settle,
        manager.loop.vacancies.emptied(wish.slot, f"its data moves to {wish.target}"),
    ):
        home = haul.move(to=haul.source, reason="its data is here, until that is copied")
        store.put_move(home, now=clock.now(), actor=run.actor)
        stopped = _stop(manager, settle, haul, observed, run)
        for finish in finishes:
            say(finish())
        _refuse_changed(manager, haul)
        store.put_move(wish, now=clock.now(), actor=run.actor)
    return stopped


def _stop(
    manager: Manager, settle: Settle, haul: Haul, observed: Mapping[str, Observation], run: Run
) -> tuple[Done, ...]:
    """Have the slot emptied. Raises CubeError where it is not known to be."""
    now, slot = manager.loop.clock.now(), haul.task.slot
    patient = replace(run, until=now + haul.task.spec.stop_grace + AT_HOME)
    report = settle(observed, patient, Concern(job=slot.job, until=now))
    if any(task.slot == slot and not task.state.is_terminal for task in report.tasks):
        outcomes = [done.outcome for done in report.done if done.effect.task == haul.task]
        failed = next((found for found in reversed(outcomes) if found.verdict is not Verdict.OK), None)
        why, cure = (failed.why, failed.cure) if failed else ("", "")
        raise CubeError(f"{slot} could not be stopped", where=haul.source, why=why, cure=cure)
    return report.done


def _refuse_changed(manager: Manager, haul: Haul) -> None:
    """Raises CubeError where its job is another by now: that may have other volumes."""
    slot = haul.task.slot
    if manager.job(slot.job).version != haul.version:
        cure = "Move it again once that version is in place."
        raise CubeError(f"{slot} was not moved", why=f"job {slot.job} was changed meanwhile", cure=cure)


def _is_done(manager: Manager, wish: Move, report: Report) -> bool:
    """It came up there. Its end may have been seen before anybody listened."""
    if report.moves:
        return any(end.is_done for end in report.moves)
    there = (task.slot == wish.slot and task.node == wish.target for task in _running(manager))
    return wish.slot not in manager.store.moves() and any(there)


def _running(manager: Manager) -> list[Task]:
    return [task for task in manager.store.current_tasks() if task.state is State.RUNNING]


def _keep_old(manager: Manager, haul: Haul, name: str, seconds: float, run: Run) -> None:
    """Have what it left removed after that long, and not before."""
    now, node, task = manager.loop.clock.now(), haul.source, haul.task
    left = LeftVolume(node=node, volume=name, job=task.slot.job, version=task.version, until=now + seconds)
    what = f"{name} is kept on {node}, too, until {words.utc(left.until)}"
    manager.store.left.keep(left, what, now=now, actor=run.actor)
    _saying(run)(what)


def _settle_home(manager: Manager, haul: Haul, run: Run, reason: str) -> Report:
    """Start it where it was, however little time is left."""
    home = haul.move(to=haul.source, reason=reason)
    now = manager.loop.clock.now()
    patient = replace(run, until=max(run.until, now + AT_HOME))
    return carry_out(manager, home, manager.loop.look_before_a_change(), patient)


def _saying(run: Run) -> Say:
    """Says what is done beside the loop's own steps."""
    return lambda text: run.tell(Remark(text=text))
