"""Why a task is where it is, or waits, from the record alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cube.cli import options, render, why_told
from cube.cli.reach import Place, recorded
from cube.errors import InputError
from cube.inventory.grammar import nearest
from cube.model.action import Decision
from cube.model.codec import to_data
from cube.model.task import Slot, State, TaskEvent
from cube.reconciler.fitting import fittings
from cube.scheduler.algorithms import ALGORITHMS
from cube.store.changes import decision_of
from cube.store.replay import PastTask, current, tasks_at

SHORTEST = 4
"""Characters of an id that are enough to name its task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A task as it was, and what was decided about it when; None: nothing of that is recorded.

    `moves` tell what has become of the wish to have it elsewhere, or here, since it was first wanted.
    """

    task: PastTask
    event: TaskEvent | None
    decision: Decision | None
    moves: tuple[TaskEvent, ...] = ()

    @property
    def picked(self) -> str | None:
        """The node that the decision took."""
        return self.event.node if self.event else None


def tell(place: Place, name: str, node: str | None, at: float, output: options.Output) -> None:
    """Print the account of the task of that name as it was then. Raises InputError for an unknown name."""
    with recorded(place) as store:
        events = [event for event in store.events() if event.at <= at]
    account = account_of(events, name, f"{place.cluster.name} as recorded at {render.moment(at)}")
    if node is not None:
        _refuse_unknown(node, place, account.decision)
    if output is options.Output.JSON:
        render.as_json(_data(account, node))
        return
    _print_head(account)
    if account.decision is None:
        render.line("no decision is recorded for it: it waits for no node, or it was adopted or recovered")
    elif node is None:
        why_told.print_decision(account.decision, account.picked)
    elif _tells_of(account.decision, node):
        _print_node(account.decision, account.picked, node)
    else:
        render.line(f"of {node} nothing was kept: it was not among the best or the first to refuse")
        _print_as_of_now(place, account.task.slot, node)


def account_of(events: Sequence[TaskEvent], name: str, where: str) -> Account:
    """What these events tell of the one task that the name means. Raises InputError for none or several."""
    task = _find(tasks_at(events), name, where)
    mine = [event for event in events if event.task == task.id]
    # A task that waits may have been refused by nodes earlier, and wait for something else since.
    of_interest = mine[-1:] if task.state is State.PENDING else mine
    for event in reversed(of_interest):
        if (decision := decision_of(event)) is not None:
            return Account(task=task, event=event, decision=decision, moves=_moves(events, task))
    return Account(task=task, event=None, decision=None, moves=_moves(events, task))


def _moves(events: Sequence[TaskEvent], task: PastTask) -> tuple[TaskEvent, ...]:
    about = (event for event in events if event.slot == task.slot and not event.task)
    return tuple(event for event in about if event.at >= task.created_at)


def _find(tasks: Sequence[PastTask], name: str, where: str) -> PastTask:
    by_id = [task for task in tasks if len(name) >= SHORTEST and task.id.startswith(name)]
    by_name = [task for task in tasks if name in (str(task.slot), _group(task), task.slot.job)]
    newest = {task.slot: task for task in sorted(current(by_name), key=lambda task: task.order)}
    found = by_id or list(newest.values())
    if len(found) == 1:
        return found[0]
    if found:
        told = ", ".join(task.id[:8] if by_id else str(task.slot) for task in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise InputError(f"{name!r} names {len(found)} tasks", where=where, cure=f"One of: {told}{more}.")
    known = sorted({str(task.slot) for task in tasks})
    cure = nearest(name, known) or f"Known: {', '.join(known[:10]) or 'none'}."
    raise InputError(f"no task is called {name!r}", where=where, cure=cure)


def _group(task: PastTask) -> str:
    return f"{task.slot.job}/{task.slot.group}"


def _refuse_unknown(node: str, place: Place, decision: Decision | None) -> None:
    told = [] if decision is None else [*decision.scores, *(each.node for each in decision.refusals)]
    known = list(dict.fromkeys([*(found.name for found in place.cluster.nodes), *told]))
    if node not in known:
        cure = nearest(node, known) or f"Known nodes: {', '.join(known[:10])}."
        raise InputError(f"there is no node {node!r}", where=place.cluster.name, cure=cure)


def _print_head(account: Account) -> None:
    task, event = account.task, account.event
    where = f" on {task.node}" if task.node else ""
    render.line(f"{task.slot}, task {task.id[:8]}, version {task.version}: {task.state}{where}", "cyan")
    if event is None:
        render.line(task.reason)
    else:
        what = "placed" if event.node else "waits since"
        render.line(f"{what} {render.moment(event.at)} by {event.actor}: {event.reason}")
    for move in account.moves:
        render.line(f"{render.moment(move.at)} by {move.actor}: {move.reason}")


def _print_node(decision: Decision, picked: str | None, node: str) -> None:
    if node in decision.scores and picked not in (None, node):
        assert picked is not None
        why_told.print_comparison(decision, node, picked, why_told.PICKED)
    elif node in decision.scores:
        render.line(f"{node} was picked")
        why_told.print_terms(decision.terms.get(node, ()))
    elif any(refusal.node == node for refusal in decision.refusals):
        render.line(f"{node} could not take it:")
        why_told.print_refusals(decision, node)
    else:
        render.line(f"{node} would have been taken only if no other could: {decision.last[node]}")


def _tells_of(decision: Decision, node: str) -> bool:
    is_refused = any(refusal.node == node for refusal in decision.refusals)
    return is_refused or node in decision.scores or node in decision.last


def _print_as_of_now(place: Place, slot: Slot, node: str) -> None:
    """Whether the node could take one task more, from the last look at it. Raises InputError."""
    from cube.cli import why_now
    from cube.cli.supposed import recorded_world

    world = recorded_world(place)
    job = next((job for job in world.jobs if job.name == slot.job), None)
    if job is None or world.seen(node) is None:
        render.line("what it could take now is not known: the job is gone, or the node did not answer")
        return
    render.line("as the fleet was seen last, not as it was then:")
    for fitting in fittings(world, job, node, ALGORITHMS[place.scheduler]):
        if fitting.group == slot.group:
            why_now.print_fitting(fitting, job.name)


def _data(account: Account, node: str | None) -> dict[str, Any]:
    event, decision = account.event, account.decision
    other = why_told.runner_up(decision, account.picked) if decision and account.picked else None
    whole = None if decision is None else to_data(decision if node is None else of_node(decision, node))
    return {
        "task": account.task.id,
        "slot": str(account.task.slot),
        "version": account.task.version,
        "state": account.task.state,
        "node": account.task.node,
        "time": event and event.at,
        "by": event and event.actor,
        "reason": event.reason if event else account.task.reason,
        "moves": [{"time": move.at, "by": move.actor, "reason": move.reason} for move in account.moves],
        "picked": account.picked,
        "runner_up": other,
        "margin": why_told.margin(decision, account.picked, other)
        if decision and account.picked and other
        else {},
        "decision": whole,
    }


def of_node(decision: Decision, node: str) -> Decision:
    """What the decision tells of that node alone."""
    return Decision(
        scores={name: score for name, score in decision.scores.items() if name == node},
        refusals=tuple(refusal for refusal in decision.refusals if refusal.node == node),
        terms={name: terms for name, terms in decision.terms.items() if name == node},
        last={name: why for name, why in decision.last.items() if name == node},
        remedies=tuple(remedy for remedy in decision.remedies if remedy.node == node),
        scheduler=decision.scheduler,
    )
