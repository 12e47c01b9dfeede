"""A whole history: hours with faults, then the faults stop and the fleet must settle; then one thing more.

What is checked comes from the machines themselves and from a reference of what was asked for, never from the
manager's own records.
"""

import hashlib
from dataclasses import replace
from functools import partial
from random import Random

from cube.manager.manager import Manager
from cube.model.job import Group, Job, TaskSpec
from cube.model.policy import UpdatePolicy
from cube.model.resources import Resources
from cube.simulator import laws
from cube.simulator.calm import calm_down, check_settled, settle
from cube.simulator.commands import asking, check_always, command, deploying, finish, sweep, wait_for
from cube.simulator.endings import end
from cube.simulator.faults import Fault, Weather
from cube.simulator.happenings import HAPPENINGS, leave_for_a_while, nodes_leave
from cube.simulator.history import PRIORITIES, SMALL, History, Profile, begun, end_doubts, happen
from cube.simulator.laws import BrokenLawError, must, ours, runs, slot_of
from cube.simulator.requests import REQUESTS, forget

STEPS = 4
"""Of how many steps a storm is at most: short ones find as much a second as long ones, and tell it better."""


LEAVING = 0.5
"""At how many steps a node leaves, in a history in which nodes do."""

FORGETTING = 0.3
"""How often somebody does not wait for a node that has left."""

SILENT = 0.3
"""How often a node is silent when all jobs are removed for the first time."""


def play(seed: int) -> str:
    """Live through the seed's history; its trace as a hash. Raises BrokenLawError where a law is broken."""
    with begun(seed, draw_profile) as history:
        try:
            live_through(history)
        except BrokenLawError as error:
            raise BrokenLawError(f"{error}\n{last_of(history)}") from None
        return hashlib.sha256("\n".join(history.trace).encode()).hexdigest()


def live_through(history: History) -> None:
    """The storm, the calm, and one thing that happens in the calm, or the end. Raises BrokenLawError."""
    if history.preempts:
        crowd_the_fleet(history)
    for _ in range(history.random.randint(1, STEPS)):
        step(history)
    calm_down(history)
    check_settled(history)
    history.random.choice((end, stop_everything))(history)


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
    if nodes_leave(history.seed) and Random(f"leaving {history.seed} {history.commands}").random() < LEAVING:
        history.engine.at(3.0, partial(happen, history, "leave", partial(leave_for_a_while, history)))
    request = random.choice(REQUESTS)
    asked = [(request.__name__, request(history))]
    if history.departed and Random(f"forgetting {history.seed} {history.commands}").random() < FORGETTING:
        asked.append(("forget", forget(history)))
    if random.random() < 0.3:
        asked.append(("sweep", sweep))
    for process in [command(history, name, ask) for name, ask in asked if ask is not None]:
        wait_for(history, process)
    history.engine.run(random.choice((1.0, 30.0, 60.0, 600.0)))
    check_always(history)
    end_doubts(history)


def crowd_the_fleet(history: History) -> None:
    """Something that matters little is on every node, and whatever is wanted later needs its room."""
    crowd = Group(
        name="main",
        spec=TaskSpec(image="app:1", resources=Resources(cpu=SMALL)),
        count=2 * len(history.nodes),
        update=UpdatePolicy(max_parallel=history.seed % 3 + 1),
    )
    history.wanted["crowd"] = Job(name="crowd", groups=(crowd,), priority=PRIORITIES["crowd"])
    finish(history, "deploy", deploying(history.wanted["crowd"]))


def stop_everything(history: History) -> None:
    """P20: after the last stop nothing of Cube's is left on a machine, after a removal nothing recorded."""
    if history.site.down:
        history.site.down.clear()
        settle(history)
    removal = history.random.random() < 0.5
    if removal and Random(f"silent {history.seed}").random() < SILENT:
        remove_while_a_node_is_silent(history)
    for name, job in sorted(history.wanted.items()):
        history.wanted[name] = replace(job, stopped=True)
        finish(
            history,
            "remove" if removal else "stop",
            asking(Manager.remove if removal else Manager.stop, name),
        )
    laws.nothing_is_left(history.site.machines)
    store = history.open()
    laws.the_record_adds_up(store)
    if removal:
        laws.nothing_is_remembered(store, history.nodes)
    history.put_back(store)


def remove_while_a_node_is_silent(history: History) -> None:
    """P20, 13: what may still run on a node that does not answer is not forgotten."""
    machine = history.random.choice([history.site.machines[name] for name in sorted(history.nodes)])
    there = {slot_of(found).job for _, found in ours({machine.name: machine}) if runs(found)}
    history.site.down.add(machine.name)
    for name in sorted(there & history.wanted.keys()):
        history.wanted[name] = replace(history.wanted[name], stopped=True)
        finish(history, "remove", asking(Manager.remove, name))
        is_known = history.reading.job(name) is not None
        must(is_known, f"P20, 13 {name} is forgotten, and runs on {machine.name}, which is silent")
    history.site.down.clear()
