"""Endings in which a job gets a new version, or a new job its room: what serves meanwhile, and what goes."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from cube.manager.manager import Manager
from cube.model.job import Group, Job, TaskSpec
from cube.model.policy import Order
from cube.model.resources import Resources
from cube.model.task import Task
from cube.simulator.calm import drain, open_every_gate, settle
from cube.simulator.commands import asking, deploying, finish
from cube.simulator.history import LARGE, History
from cube.simulator.laws import gives_way, has_room, must, slot_of
from cube.simulator.standing import (
    a_service,
    all_that_runs,
    containers_of,
    is_in_place,
    tasks_of,
    while_serving,
)

GAPS = 0.5
"""How often those that give way leave a part of each node free."""


def an_update_serves(history: History) -> None:
    """P19, 16: an update never serves with less than the job allows."""
    if (job := a_service(history)) is None:
        return
    _update(history, job)


def _update(history: History, job: Job) -> None:
    main = job.groups[0]
    _want(history, job, next_version(main))
    finish(history, "update", while_serving(job, _floor(main), deploying(history.wanted[job.name])))


def _running(history: History, job: Job) -> set[int]:
    """The first group's slots that are filled."""
    slots = (slot_of(found) for _, found in all_that_runs(history))
    return {slot.index for slot in slots if slot.group_key == (job.name, job.groups[0].name)}


def _floor(group: Group) -> int:
    """How many of the group serve at least while it gets a new version."""
    comes_first = group.update.order is Order.START_FIRST
    return group.count if comes_first else group.count - group.update.max_parallel


def a_tight_update_serves(history: History) -> None:
    """P19: neither when others wait for every room that it frees, and go before it."""
    many = _group("main", cpu=1500, count=2 * len(history.nodes) + 1)
    history.wanted["many"] = Job(name="many", groups=(many,), priority=100)
    finish(history, "deploy", deploying(history.wanted["many"]))
    if (job := a_service(history)) is None:
        return
    before = _running(history, job)
    _update(history, job)
    settle(history)
    lost = sorted(before - _running(history, job))
    must(not lost, f"P19 {job.name} has lost the room that its update freed: {lost}")


def a_canary_waits(history: History) -> None:
    """P19: only the first slots get the new version before somebody promotes it, and all old tasks serve."""
    if (job := a_service(history)) is None or not is_in_place(history, job):
        return
    main = job.groups[0]
    canary = replace(next_version(main), update=replace(main.update, canary=1))
    _want(history, job, canary)
    finish(history, "update", deploying(history.wanted[job.name]))
    _only_canaries_are_new(history, job, canary)
    homes = {machine.name for machine, found in all_that_runs(history) if slot_of(found).job == job.name}
    if homes:
        drain(history, history.random.choice(sorted(homes)))
        _only_canaries_are_new(history, job, canary)
        open_every_gate(history)
    finish(history, "promote", asking(Manager.promote, job.name))


def _only_canaries_are_new(history: History, job: Job, canary: Group) -> None:
    old = {slot_of(found).index for found in containers_of(history, job, but_not=canary.spec)}
    must(old >= set(range(1, canary.count)), f"P19 canaries first: of {job.name} only {sorted(old)} are old")


def a_sick_version_is_given_up(history: History) -> None:
    """P19: a version that does not come up leaves the old tasks where they are."""
    if (job := a_service(history)) is None:
        return
    main = job.groups[0]
    sick = replace(next_version(main), restart=replace(main.restart, attempts=0))
    for machine in history.site.machines.values():
        machine.program = lambda spec: 1 if spec == sick.spec else None
    _want(history, job, sick)
    finish(history, "update", while_serving(job, _floor(main), deploying(history.wanted[job.name])))
    _want(history, job, replace(main, update=replace(main.update, canary=0)))  # Nobody promotes it.
    finish(history, "deploy", deploying(history.wanted[job.name]))


def what_matters_more_goes_first(history: History) -> None:
    """More of a job than the fleet has room for takes the room of all that matters less by far.

    Of tasks of two sizes the small ones do not take what others have given up for the large ones.
    """
    before = [task for task in tasks_of(history) if not task.state.is_terminal]
    count = 2 * len(history.nodes) + 1
    groups: tuple[Group, ...] = (_group("main", cpu=1500, count=count),)
    crowd = history.wanted.get("crowd")
    if crowd is not None and not crowd.stopped and Random(f"gaps {history.seed}").random() < GAPS:
        _want(history, crowd, replace(crowd.groups[0], count=len(history.nodes)))
        finish(history, "deploy", deploying(history.wanted["crowd"]))
        groups = (_group("main", cpu=LARGE, count=count), _group("small", cpu=1500, count=count))
    history.wanted["vip"] = Job(name="vip", groups=groups, priority=100)
    finish(history, "deploy", deploying(history.wanted["vip"]))
    if len(groups) > 1:
        _small_ones_leave_room(history, groups[0], before)


def _small_ones_leave_room(history: History, large: Group, before: Sequence[Task]) -> None:
    """Where a small one is, a large one would not have fitted either, whoever had given way to it."""
    there = {task.id: task for task in (*before, *tasks_of(history))}
    staying = [task for task in there.values() if not _is_in_the_way(history, task)]
    for machine, found in all_that_runs(history):
        if slot_of(found).group_key == ("vip", "small"):
            fits = has_room(machine, large.spec, staying)
            must(not fits, f"preemption: {found.name} is on {machine.name}, whose room was made for others")


def _is_in_the_way(history: History, task: Task) -> bool:
    """It gives way to the large ones, or came after them."""
    return task.slot.group_key == ("vip", "small") or gives_way(task, 100, history.wanted)


def _group(name: str, *, cpu: int, count: int) -> Group:
    return Group(name=name, spec=TaskSpec(image="app:1", resources=Resources(cpu=cpu)), count=count)


def next_version(group: Group) -> Group:
    """Of an image that no machine has yet."""
    update = replace(group.update, canary=0)
    return replace(group, spec=replace(group.spec, image="app:3"), update=update)


def _want(history: History, job: Job, main: Group) -> None:
    history.wanted[job.name] = replace(job, groups=(main, *job.groups[1:]))
