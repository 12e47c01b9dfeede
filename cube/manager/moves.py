"""Moving tasks from node to node: one that somebody names, or, one after another, those that gain most."""

from collections.abc import Mapping
from dataclasses import replace

from cube.errors import InputError
from cube.manager.manager import Manager
from cube.manager.report import Report, Step
from cube.manager.tasks import find_tasks
from cube.manager.turn import Concern, Run, Settle
from cube.model.action import EndMove, Plan
from cube.model.job import JobType
from cube.model.move import Move
from cube.model.observation import Observation
from cube.model.task import Slot, State, Task
from cube.whatif.rebalance import Exchange
from cube.whatif.rebalance import rebalance as best_moves


def preview(manager: Manager, *, max_moves: int, min_gain: float) -> tuple[Exchange, ...]:
    """The moves that a rebalance would begin now, in their order. Changes nothing."""
    return _best(manager, manager.look(), max_moves=max_moves, min_gain=min_gain)


def rebalance(manager: Manager, run: Run, *, max_moves: int, min_gain: float) -> Report:
    """Settle, move the task that would gain most by it, settle, look, and so on.

    At most `max_moves`, none twice, none for less than `min_gain`, and none after one that was dropped or is
    not over. The run may end between two, or in the midst of one: the next sweep goes on with that.
    """
    loop = manager.loop
    reports, settled = [loop.settle(loop.look_before_a_change(), run, manager.patience())], frozenset[Slot]()
    while len(settled) < max_moves and not reports[-1].is_late:
        observed = loop.look_before_a_change()
        best = _best(manager, observed, max_moves=1, min_gain=min_gain, settled=settled)
        if not best:
            break
        settled |= {best[0].task.slot}
        reports.append(carry_out(manager, best[0].wish, observed, run))
        if reports[-1].exit_code == 1:
            break
    return replace(
        reports[-1],
        job=None,
        done=tuple(done for report in reports for done in report.done),
        moves=tuple(end for report in reports for end in report.moves),
    )


def move(manager: Manager, name: str, node: str, run: Run) -> Report:
    """Want the task of that name on that node, and settle.

    Raises InputError as `wish`.
    """
    wanted = wish(manager, name, node, run.actor)
    return carry_out(manager, wanted, manager.loop.look_before_a_change(), run)


def wish(manager: Manager, name: str, node: str, actor: str) -> Move:
    """What somebody wants who names a task and a node.

    Raises InputError for a name that means no task or several, for a node that is not known or has it
    already, and for a task that belongs to its node or would leave its data there.
    """
    manager.refuse_unknown(node)
    task = the_task(manager, name)
    refuse_what_stays(manager, task, node)
    if any(volume.has_data for volume in task.spec.volumes):
        raise InputError(
            f"{task.slot} cannot be moved",
            why=f"it writes to a volume, which stays on {task.node}",
            cure="To take along what it has written, and be stopped for the last of it: --with-data",
            field="task",
        )
    assert task.node is not None, "what was found by its container is on a node"
    return Move(slot=task.slot, source=task.node, target=node, reason=f"{actor} wants it there")


def _best(
    manager: Manager,
    observed: Mapping[str, Observation],
    *,
    max_moves: int,
    min_gain: float,
    settled: frozenset[Slot] = frozenset(),
) -> tuple[Exchange, ...]:
    world, scheduler = manager.loop.world(observed), manager.loop.scheduler
    return best_moves(world, scheduler, max_moves=max_moves, min_gain=min_gain, settled=settled)


def carry_out(manager: Manager, wish: Move, observed: Mapping[str, Observation], run: Run) -> Report:
    """Want that move, and settle; the report tells of its end where it was seen."""
    with manager.loop.change() as settle:
        manager.store.put_move(wish, now=manager.loop.clock.now(), actor=run.actor)
        return settle_move(settle, wish, observed, run)


def settle_move(settle: Settle, wish: Move, observed: Mapping[str, Observation], run: Run) -> Report:
    """As `carry_out`, of a move that is recorded."""
    ends: list[EndMove] = []

    def tell(step: Step) -> None:
        actions = step.actions if isinstance(step, Plan) else ()
        ends.extend(end for end in actions if isinstance(end, EndMove) and end.move.slot == wish.slot)
        run.tell(step)

    report = settle(observed, replace(run, tell=tell), Concern(job=wish.slot.job))
    return replace(report, moves=tuple(ends))


def the_task(manager: Manager, name: str) -> Task:
    """The one task that runs and is called so. Raises InputError where there is none, or several."""
    running = [task for task in manager.store.current_tasks() if task.state is State.RUNNING]
    found = find_tasks(running, name)
    if len(found) > 1:
        known = ", ".join(str(task.slot) for task in found[:5])
        raise InputError(f"{name!r} names {len(found)} tasks", cure=f"One of: {known}.", field="task")
    return found[0]


def refuse_what_stays(manager: Manager, task: Task, node: str) -> None:
    """Raises InputError where the task is there already, or is no service's."""
    job = manager.job(task.slot.job)
    group = job.group(task.slot.group)
    if task.node == node:
        raise InputError(f"{task.slot} is on {node} already", field="node")
    if group is not None and job.type_of(group) is not JobType.SERVICE:
        kind = job.type_of(group)
        why = f"it is a {kind} task, and its work is not"
        raise InputError(f"{task.slot} cannot be moved", why=why, field="task")
