"""The faults stop, and the fleet must settle."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from math import ceil
from random import Random

from cube.manager.manager import Manager
from cube.model.job import Job, JobType
from cube.model.policy import OnDisconnect, UpdatePolicy
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import State, Task
from cube.simulator import laws
from cube.simulator.commands import asking, check_always, deploying, finish, sweep
from cube.simulator.faults import Weather
from cube.simulator.history import IMAGES, History, as_asked, end_doubts, work_ends
from cube.simulator.laws import must
from cube.simulator.machine import Machine
from cube.simulator.requests import forgetting

CALM = 4000.0
"""Seconds after which every delay and every late effect is over."""

SWEEPS_TO_SETTLE = 3

A_MINUTE = 60.0
"""Seconds between two sweeps."""

SOON_OVER = 20.0
"""Seconds that a sweep takes at most which changes nothing: it may wait for a proof, and for nobody else."""

SWEEPS_ALONE = 0.5
"""In how many of the histories nobody asks again before sweeps have had their time."""

UNTIL_GIVEN_UP = (20.0, 20.0, 20.0, 120.0, 120.0, 120.0)
"""Seconds between the looks after which a silent node's tasks are given up; the number alone must not do."""


def calm_down(history: History) -> None:
    """The faults stop; all nodes come back, or all but a few that stay dead; and somebody makes order."""
    history.profile = replace(history.profile, kill=0.0, stop=0.0)
    history.site.weather = Weather()
    history.engine.run(CALM)
    history.site.down.clear()
    history.site.hung.clear()
    machines_do_well(history)
    finish(history, "sweep", sweep)
    check_always(history)
    cordons_are_of_nodes(history)
    end_doubts(history)
    open_every_gate(history)
    let_sweeps_alone(history)
    ask_again(history)
    lose_a_few(history)
    settle(history)


def machines_do_well(history: History) -> None:
    """Each has room on its disk and all images, and work on it ends soon, and well."""
    for machine in history.site.machines.values():
        machine.is_full = False
        machine.images |= IMAGES
        machine.begun = work_ends(history.engine, takes=(2.0,), exit_codes=(0,))


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
    """Cron, until the patience with a silent node is over, also that of the job which has the most."""
    groups = (group for job in history.wanted.values() for group in job.groups)
    patience = max((group.disconnect.lost_after for group in groups), default=0.0)
    more = max(0, ceil((patience - sum(UNTIL_GIVEN_UP[1:])) / UNTIL_GIVEN_UP[-1]))
    for pause in (*UNTIL_GIVEN_UP, *(UNTIL_GIVEN_UP[-1:] * more)):
        mutations_of_a_sweep(history, after=pause)


def settle(history: History) -> None:
    """Cron, once a minute, until nothing is left to do: 14 says after how many sweeps at most.

    A crowd moves in as work ends, which may fail and begin again meanwhile.
    """
    for _ in range(SWEEPS_TO_SETTLE * (4 if history.preempts else 1)):
        began = history.engine.time
        if not mutations_of_a_sweep(history):
            took = history.engine.time - began - A_MINUTE
            must(took <= SOON_OVER, f"P2 isolated: a sweep that changes nothing takes {took:.0f}s")
            return
    changed = mutations_of_a_sweep(history)
    must(changed == 0, f"P10, 12 idempotent: {changed} calls changed a settled fleet")


def mutations_of_a_sweep(history: History, *, after: float = A_MINUTE) -> int:
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
        finish(history, "forget", forgetting(history, node))


def drain(history: History, name: str) -> None:
    """Somebody wants the node empty, whatever its tasks have written there."""
    history.drained.add(name)
    history.given_up.add(name)
    finish(history, "drain", lambda manager, run: manager.drain(name, run, leave_data=True))


def let_sweeps_alone(history: History) -> None:
    """In half of the histories nobody asks again before cron has made everything as it is recorded.

    A periodic job is removed: it would never be still.
    """
    if Random(f"sweeps alone {history.seed}").random() >= SWEEPS_ALONE:
        return
    for name, job in sorted(history.wanted.items()):
        if job.type is JobType.PERIODIC:
            _remove(history, name)
    lost = [name for name in sorted(history.told - history.doubtful) if not _is_known(history, name)]
    must(not lost, f"P12 {lost} were recorded as they were wanted, and are not any more")
    settle(history)
    check_settled(history, *_recorded(history))


def _is_known(history: History, name: str) -> bool:
    return name not in history.wanted or history.is_recorded(history.wanted[name])


def _recorded(history: History) -> tuple[Mapping[str, Job], Collection[str]]:
    """What the record says is wanted, and the jobs of which a person has to say how they go on."""
    store = history.open()
    jobs, rollouts = {job.name: job for job in store.jobs()}, store.rollouts()
    history.put_back(store)
    held = [name for name, job in jobs.items() if _waits_for_a_person(job, rollouts.get(name))]
    return {name: as_asked(job) for name, job in jobs.items()}, held


def _waits_for_a_person(job: Job, rollout: Rollout | None) -> bool:
    """Its version does not come up, or is to be promoted first."""
    is_over = rollout is not None and rollout.state is RolloutState.SUCCEEDED
    has_failed = rollout is not None and rollout.state.is_held
    return has_failed or (not is_over and any(group.update.canary for group in job.groups))


def ask_again(history: History) -> None:
    """Whatever was lost on the way: what is to be stopped is removed, and what is not there deployed again.

    A periodic job is removed, too: it would never be still.
    """
    for name, job in sorted(history.wanted.items()):
        if job.stopped or job.type is JobType.PERIODIC:
            _remove(history, name)
        elif not _is_there(history, job) or history.random.random() < 0.3:
            groups = tuple(replace(group, update=_settled(group.update)) for group in job.groups)
            history.wanted[name] = replace(job, groups=groups)
            finish(history, "deploy", deploying(history.wanted[name]))
    history.doubtful.clear()


def _remove(history: History, name: str) -> None:
    del history.wanted[name]
    finish(history, "remove", asking(Manager.remove, name))


def _settled(update: UpdatePolicy) -> UpdatePolicy:
    """Nobody promotes in the calm; and what waits for room could go back when something is sick."""
    return replace(update, canary=0, auto_revert=False)


def check_settled(
    history: History, wanted: Mapping[str, Job] | None = None, held: Collection[str] = ()
) -> None:
    """What holds once the faults have stopped, of what people want or of what is recorded to be wanted."""
    fleet = settled_fleet(history, wanted, held)
    laws.no_move_is_left(fleet.machines, fleet.tasks, history.reading.moves())
    laws.nothing_is_promised_twice(fleet.machines, fleet.tasks)
    laws.what_waits_fits_nowhere(fleet)
    if history.preempts:
        laws.what_waits_has_nothing_lesser_in_its_way(fleet)
    laws.is_as_wanted(fleet)
    laws.work_is_done(history.site.machines, fleet.tasks)


def settled_fleet(
    history: History, wanted: Mapping[str, Job] | None = None, held: Collection[str] = ()
) -> laws.Settled:
    """What the laws of a settled fleet ask."""
    wanted = history.wanted if wanted is None else wanted
    store = history.open()
    tasks = store.current_tasks()
    history.put_back(store)
    return laws.Settled(
        machines=living(history),
        wanted=wanted,
        tasks=tasks,
        homes=history.homes(),
        kept=[place for task in tasks if (place := _kept(history, task, wanted)) is not None],
        held=held,
    )


def _kept(history: History, task: Task, wanted: Mapping[str, Job]) -> laws.Place | None:
    """The place of a task that is on a silent node, and is to have no second one."""
    job = wanted.get(task.slot.job)
    group = job.group(task.slot.group) if job is not None else None
    is_away = task.node in history.site.down and task.state is not State.COMPLETED
    if group is None or not is_away or group.disconnect.then is not OnDisconnect.KEEP:
        return None
    return task.slot.job, task.slot.group, task.slot.index


def _is_there(history: History, job: Job) -> bool:
    """It was recorded as it is wanted, and its rollout has succeeded: sweeps alone must keep it alive."""
    store = history.open()
    known, rollout = store.job(job.name), store.rollouts().get(job.name)
    history.put_back(store)
    is_same = known is not None and replace(known, version=0) == replace(job, version=0)
    return is_same and rollout is not None and rollout.state is RolloutState.SUCCEEDED
