"""The faults stop, and the fleet must settle."""

from collections.abc import Mapping
from dataclasses import replace

from cube.manager.manager import Manager
from cube.model.job import Job, JobType
from cube.model.policy import UpdatePolicy
from cube.model.rollout import RolloutState
from cube.model.task import State
from cube.simulator import laws
from cube.simulator.commands import asking, check_always, deploying, finish, sweep
from cube.simulator.faults import Weather
from cube.simulator.history import IMAGES, History, end_doubts, work_ends
from cube.simulator.laws import must
from cube.simulator.machine import Machine

CALM = 4000.0
"""Seconds after which every delay and every late effect is over."""

SWEEPS_TO_SETTLE = 3

UNTIL_GIVEN_UP = (20.0, 20.0, 20.0, 120.0, 120.0, 120.0)
"""Seconds between the looks after which a silent node's tasks are given up; the number alone must not do."""


def calm_down(history: History) -> None:
    """The faults stop; all nodes come back, or all but a few that stay dead; and somebody makes order."""
    history.profile = replace(history.profile, kill=0.0, stop=0.0)
    history.site.weather = Weather()
    history.engine.run(CALM)
    history.site.down.clear()
    history.site.hung.clear()
    for machine in history.site.machines.values():
        machine.is_full = False
        machine.images |= IMAGES
        machine.begun = work_ends(history.engine, takes=(2.0,), exit_codes=(0,))
    finish(history, "sweep", sweep)
    check_always(history)
    cordons_are_of_nodes(history)
    end_doubts(history)
    open_every_gate(history)
    ask_again(history)
    lose_a_few(history)
    settle(history)


def cordons_are_of_nodes(history: History) -> None:
    """A cordon stays under a name that has gone only where its machine has, or was never seen by it."""
    store = history.open()
    known = {look.node: look.stats.machine_id for look in store.looks() if look.stats}
    gone = {name: known[name] for name in store.cordons() if name in known and name not in history.nodes}
    history.put_back(store)
    there = {machine.machine_id: machine.name for machine in history.site.machines.values()}
    for name, machine in gone.items():
        must(machine not in there, f"cordons: {name} is {there.get(machine)} now, which may get new tasks")


def lose_a_few(history: History) -> None:
    """In some histories a core of the nodes goes on alone, and the dead ones are given up."""
    names = sorted(history.nodes)
    if len(names) > 2 and history.random.random() < 0.2:
        history.site.down.update(history.random.sample(names, 1 if len(names) < 5 else 2))
        history.tell(f"dead for good: {sorted(history.site.down)}")
        pass_time(history)


def pass_time(history: History) -> None:
    """Cron, until a silent node's patience is over."""
    for pause in UNTIL_GIVEN_UP:
        mutations_of_a_sweep(history, after=pause)


def settle(history: History) -> None:
    """Cron, once a minute, until nothing is left to do: 14 says after how many sweeps at most.

    A crowd moves in as work ends, which may fail and begin again meanwhile.
    """
    for _ in range(SWEEPS_TO_SETTLE * (4 if history.preempts else 1)):
        if not mutations_of_a_sweep(history):
            return
    changed = mutations_of_a_sweep(history)
    must(changed == 0, f"P10, 12 idempotent: {changed} calls changed a settled fleet")


def mutations_of_a_sweep(history: History, *, after: float = 60.0) -> int:
    """Cron, after so many seconds; how many calls that took which changed something."""
    history.engine.run(after)
    before = sum(machine.mutations for machine in history.site.machines.values())
    finish(history, "sweep", sweep)
    return sum(machine.mutations for machine in history.site.machines.values()) - before


def living(history: History) -> Mapping[str, Machine]:
    """The machines that answer."""
    machines = history.site.machines
    return {name: machine for name, machine in machines.items() if name not in history.site.down}


def open_every_gate(history: History) -> None:
    """No node stays closed, no rollout paused, and nodes that are gone for good are forgotten."""
    store = history.open()
    closed, rollouts = sorted(store.cordons()), store.rollouts()
    tasks = (*store.current_tasks(), *store.former_tasks())
    history.put_back(store)
    history.drained.clear()
    history.given_up.clear()
    history.cordoned.clear()
    for node in closed:
        finish(history, "uncordon", asking(Manager.uncordon, node))
    for name, rollout in sorted(rollouts.items()):
        if rollout.state is RolloutState.PAUSED:
            finish(history, "resume", asking(Manager.resume, name))
    held = {
        task.node for task in tasks if task.node and (task.state is not State.COMPLETED or task.spec.data)
    }
    for node in sorted(held - set(history.nodes)):
        finish(history, "forget", asking(Manager.forget_node, node))


def ask_again(history: History) -> None:
    """Whatever was lost on the way: what is to be stopped is removed, and what is not there deployed again.

    A periodic job is removed, too: it would never be still.
    """
    for name, job in sorted(history.wanted.items()):
        if job.stopped or job.type is JobType.PERIODIC:
            finish(history, "remove", asking(Manager.remove, name))
            del history.wanted[name]
        elif not _is_there(history, job) or history.random.random() < 0.3:
            groups = tuple(replace(group, update=_settled(group.update)) for group in job.groups)
            history.wanted[name] = replace(job, groups=groups)
            finish(history, "deploy", deploying(history.wanted[name]))
    history.doubtful.clear()


def _settled(update: UpdatePolicy) -> UpdatePolicy:
    """Nobody promotes in the calm; and what waits for room could go back when something is sick."""
    return replace(update, canary=0, auto_revert=False)


def check_settled(history: History) -> None:
    """What holds once the faults have stopped."""
    store = history.open()
    tasks, moves = store.current_tasks(), store.moves()
    history.put_back(store)
    machines, homes = living(history), history.homes()
    laws.no_move_is_left(machines, tasks, moves)
    laws.nothing_is_promised_twice(machines, tasks)
    laws.what_waits_fits_nowhere(machines, tasks, history.wanted, homes)
    if history.preempts:
        laws.what_waits_has_nothing_lesser_in_its_way(machines, tasks, history.wanted, homes)
    laws.is_as_wanted(machines, history.wanted, tasks, homes)
    laws.work_is_done(history.site.machines, tasks)


def _is_there(history: History, job: Job) -> bool:
    """It was recorded as it is wanted, and its rollout has succeeded: sweeps alone must keep it alive."""
    store = history.open()
    known, rollout = store.job(job.name), store.rollouts().get(job.name)
    history.put_back(store)
    is_same = known is not None and replace(known, version=0) == replace(job, version=0)
    return is_same and rollout is not None and rollout.state is RolloutState.SUCCEEDED
