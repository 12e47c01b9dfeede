"""A whole history: some hours with faults, then the faults stop and the fleet must settle; then the checks.

What is checked comes from the machines themselves and from a reference of what was asked for, never from the
manager's own records.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from cube.manager.manager import Manager
from cube.manager.report import Report
from cube.manager.turn import Run
from cube.model.action import Effect, Outcome
from cube.model.job import Job, JobType
from cube.model.observation import Observation
from cube.model.rollout import RolloutState
from cube.model.task import State, Task
from cube.simulator import laws
from cube.simulator.commands import (
    Ask,
    asking,
    check_always,
    command,
    deploying,
    finish,
    sweep,
    wait_for,
)
from cube.simulator.faults import Fault, SimulatedFleet, Weather
from cube.simulator.happenings import HAPPENINGS
from cube.simulator.history import History, Profile, begun, end_doubts, happen
from cube.simulator.laws import BrokenLawError, must, ours, runs
from cube.simulator.requests import REQUESTS

STEPS = 6
SWEEPS_TO_SETTLE = 3
CALM = 4000.0
"""Seconds after which every delay and every late effect is over."""


def play(seed: int) -> str:
    """Live through the seed's history; its trace as a hash. Raises BrokenLawError where a law is broken."""
    with begun(seed, draw_profile) as history:
        try:
            for _ in range(STEPS):
                step(history)
            calm_down(history)
            check_settled(history)
            check_update_serves(history)
            stop_everything(history)
        except BrokenLawError as error:
            raise BrokenLawError(f"{error}\n{last_of(history)}") from None
        return hashlib.sha256("\n".join(history.trace).encode()).hexdigest()


def last_of(history: History) -> str:
    """The end of the trace."""
    return "\n".join(f"    {line}" for line in history.trace[-12:])


def draw_profile(random: Random) -> Profile:
    """A different mixture each time: a fault that is always there hides what another one would show."""
    kinds = tuple(fault for fault in Fault if fault is not Fault.NONE and random.random() < 0.7)
    weather = Weather(
        effects=random.choice((0.0, 0.0, 0.1, 0.3)),
        looks=random.choice((0.0, 0.0, 0.1)),
        kinds=kinds,
        slow=random.choice((0.1, 0.1, 20.0)),
    )
    return Profile(
        weather=weather,
        kill=random.choice((0.0, 0.01, 0.05)),
        stop=random.choice((0.0, 0.0, 0.02)),
        happenings=tuple(name for name in HAPPENINGS if random.random() < 0.6),
    )


def step(history: History) -> None:
    """Something happens, somebody asks for something, and maybe cron or a second person is there as well."""
    random = history.random
    if history.profile.happenings:
        name = random.choice(history.profile.happenings)
        act = partial(happen, history, name, partial(HAPPENINGS[name], history))
        history.engine.at(random.choice((0.0, 3.0, 60.0)), act)
    request = random.choice(REQUESTS)
    asked = [(request.__name__, request(history))]
    if random.random() < 0.3:
        asked.append(("sweep", sweep))
    for process in [command(history, name, ask) for name, ask in asked if ask is not None]:
        wait_for(history, process)
    history.engine.run(random.choice((1.0, 30.0, 60.0, 600.0)))
    check_always(history)
    end_doubts(history)


def calm_down(history: History) -> None:
    """The faults stop, all nodes come back, somebody puts the wishes in order, and a few sweeps pass."""
    history.profile = replace(history.profile, kill=0.0, stop=0.0)
    history.site.weather = Weather()
    history.engine.run(CALM)
    history.site.down.clear()
    history.site.hung.clear()
    for machine in history.site.machines.values():
        machine.is_full = False
    finish(history, "sweep", sweep)
    check_always(history)
    open_every_gate(history)
    ask_again(history)
    sweeps = 0
    while mutations_of_a_sweep(history) and sweeps < SWEEPS_TO_SETTLE:
        sweeps += 1


def mutations_of_a_sweep(history: History) -> int:
    """A minute passes, then cron; how many calls that took which changed something."""
    history.engine.run(60.0)
    before = sum(machine.mutations for machine in history.site.machines.values())
    finish(history, "sweep", sweep)
    return sum(machine.mutations for machine in history.site.machines.values()) - before


def open_every_gate(history: History) -> None:
    """No node stays closed, no rollout paused, and nodes that are gone for good are forgotten."""
    store = history.open()
    closed, rollouts, tasks = sorted(store.cordons()), store.rollouts(), store.current_tasks()
    history.put_back(store)
    history.drained.clear()
    history.cordoned.clear()
    for node in closed:
        finish(history, "uncordon", asking(Manager.uncordon, node))
    for name, rollout in sorted(rollouts.items()):
        if rollout.state is RolloutState.PAUSED:
            finish(history, "resume", asking(Manager.resume, name))
    live = {task.node for task in tasks if task.node and not task.state.is_terminal}
    for node in sorted(live - set(history.nodes)):
        finish(history, "forget", asking(Manager.forget_node, node))


def ask_again(history: History) -> None:
    """Whatever was lost on the way: jobs that are to be stopped are removed, others deployed once more."""
    for name, job in sorted(history.wanted.items()):
        if job.stopped:
            finish(history, "remove", asking(Manager.remove, name))
            del history.wanted[name]
        else:
            update = replace(job.groups[0].update, canary=0)
            history.wanted[name] = replace(job, groups=(replace(job.groups[0], update=update),))
            finish(history, "deploy", deploying(history.wanted[name]))


def check_settled(history: History) -> None:
    """What holds once the faults have stopped."""
    store = history.open()
    laws.the_record_adds_up(store)
    tasks = store.current_tasks()
    history.put_back(store)
    machines = history.site.machines
    laws.nothing_is_promised_twice(machines, tasks)
    laws.what_waits_fits_nowhere(machines, tasks, history.wanted)
    laws.is_as_wanted(machines, history.wanted, tasks)
    changed = mutations_of_a_sweep(history)
    must(changed == 0, f"P10, 12 idempotent: {changed} calls changed a settled fleet")


def check_update_serves(history: History) -> None:
    """P19, 16: an update in good weather never serves with less than the job allows."""
    waiting = {task.slot.job for task in _pending(history)}
    jobs = [
        job
        for name, job in sorted(history.wanted.items())
        if job.type is JobType.SERVICE and job.groups[0].count and name not in waiting
    ]
    if not jobs:
        return
    job = history.random.choice(jobs)
    (group,) = job.groups
    changed = replace(group, spec=replace(group.spec, env={"VERSION": "next"}))
    history.wanted[job.name] = replace(job, groups=(changed,))
    floor = group.count - group.update.max_parallel
    finish(history, "update", _while_serving(history, history.wanted[job.name], floor))


def stop_everything(history: History) -> None:
    """P20: after the last stop nothing of Cube's is left."""
    for name, job in sorted(history.wanted.items()):
        history.wanted[name] = replace(job, stopped=True)
        finish(history, "stop", asking(Manager.stop, name))
    laws.nothing_is_left(history.site.machines)


@dataclass(slots=True, kw_only=True)
class Serving:
    """Counts the tasks that run, after each effect."""

    history: History
    name: str
    floor: int

    def looked(self, observed: Mapping[str, Observation]) -> None:
        """Nothing changes by a look."""

    def begins(self, effect: Effect) -> None:
        """It has not happened yet."""

    def ended(self, _effect: Effect, _outcome: Outcome) -> None:
        """Raises BrokenLawError where too few are left."""
        running = {laws.slot_of(found) for _, found in ours(self.history.site.machines) if runs(found)}
        left = sum(slot.job == self.name for slot in running)
        must(left >= self.floor, f"P19 safe rollout: {left} of {self.name} serve, {self.floor} must")


def _while_serving(history: History, job: Job, floor: int) -> Ask:
    def ask(manager: Manager, run: Run) -> Report:
        fleet = manager.loop.fleet
        assert isinstance(fleet, SimulatedFleet)
        fleet.witness = Serving(history=history, name=job.name, floor=floor)
        return manager.deploy(job, run)

    return ask


def _pending(history: History) -> list[Task]:
    store = history.open()
    tasks = [task for task in store.current_tasks() if task.state is State.PENDING]
    history.put_back(store)
    return tasks
