"""In good weather one thing happens, and what must follow is known exactly: a seed ends with one of them."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from random import Random

from cube.manager import moves
from cube.manager.manager import Manager
from cube.model.job import Group, Job, JobType, TaskSpec
from cube.model.observation import Container
from cube.model.policy import OnDisconnect, Order, RestartMode
from cube.model.resources import Resources
from cube.model.task import Slot, State
from cube.simulator.calm import (
    check_settled,
    drain,
    living,
    machines_do_well,
    mutations_of_a_sweep,
    pass_time,
    settle,
    settled_fleet,
)
from cube.simulator.commands import asking, deploying, finish
from cube.simulator.drawn import draw_job
from cube.simulator.happenings import AWAY, add_a_node, leave_for_a_while, nodes_leave
from cube.simulator.history import History
from cube.simulator.laws import has_room, must, ours, runs, slot_of, waits_for_others
from cube.simulator.machine import Machine, runs_for_ever
from cube.simulator.requests import forgetting
from cube.simulator.standing import (
    a_service,
    all_that_runs,
    is_in_place,
    task_of,
    tasks_of,
    type_of,
    wanted_spec,
    while_serving,
)
from cube.simulator.updates import (
    a_canary_waits,
    a_sick_version_is_given_up,
    a_tight_update_serves,
    an_update_serves,
    next_version,
    what_matters_more_goes_first,
)
from cube.simulator.varied import varied, varies

Ending = Callable[[History], None]

MISSES = 3
"""Looks, a minute apart, that are more than enough to give a node up if its silence had not begun anew."""

RARE = 0.8
"""How often an ending shows what comes of what is rarely drawn, where that is."""

HERDS = 0.05
"""In how many of the histories a node dies in the end that has many tasks."""

A_HERD = 4
"""How many tasks there are for each node then."""

HERDING = "herd 2"
"""Under this name none of the seeds that failed before ends otherwise than it did."""

SHOWN = 0.1
"""In how many of the histories the end is one in which defects hide from all but a few seeds."""

SHOWING = "shown 4308"
"""Under this name none of the seeds that failed before ends otherwise than it did."""

CRASHES = 4
"""Sweeps, a minute apart, for which a task crashes: longer than its attempts last, and its window."""

SWEEPS_TO_HEAL = 2
"""One asks the check until it has failed often enough, and acts; the other one finds what was left over."""


def end(history: History) -> None:
    """One of the endings, and a fleet that has settled again."""
    ending = history.random.choice(PREEMPTING if history.preempts else ENDINGS)
    rare = _of_what_varies(history)
    history.tell(f"ending: {(rare or ending).__name__}")
    if rare is not None:
        deploy_one_more(history)
    (rare or ending)(history)
    history.site.down.clear()
    settle(history)
    check_settled(history)


def _of_what_varies(history: History) -> Ending | None:
    """In most of the histories in which something rare is drawn one that shows what comes of it."""
    if not history.preempts and Random(f"{HERDING} {history.seed}").random() < HERDS:
        return a_herd_moves_in_steps
    shown = Random(f"{SHOWING} {history.seed}")
    if shown.random() < SHOWN:
        return what_matters_more_goes_first if history.preempts else shown.choice(SELDOM_TELLING)
    random = Random(f"ending {history.seed}")
    known = {
        "disconnects": a_dead_node_is_given_up,
        "delays": a_crash_goes_on,
        "starts_first": an_update_serves,
        "agents": a_new_node_gets_its_own,
        "pauses": an_update_serves,
    }
    fitting = [known[kind] for kind in varies(history.seed) if kind in known]
    fitting += [a_node_leaves_and_comes_back] if nodes_leave(history.seed) else []
    if random.random() >= RARE:
        return None
    if history.preempts:
        return what_matters_more_goes_first if "agents" in varies(history.seed) else None
    return random.choice(fitting) if fitting else None


def deploy_one_more(history: History) -> None:
    """A service of which there is something to see: many a storm leaves none. It may fill the fleet."""
    random = Random(f"one more {history.seed}")
    drawn, count = draw_job(random), random.choice((2, 2 * len(history.nodes)))
    main, *others = drawn.groups
    main = replace(
        main, count=max(main.count, count), update=replace(main.update, canary=0, auto_revert=False)
    )
    job = replace(drawn, name="last", type=JobType.SERVICE, groups=(main, *others))
    job = varied(history, history.ranked(job))
    history.wanted[job.name] = job
    finish(history, "deploy", deploying(job))
    settle(history)


def a_drain_empties(history: History) -> None:
    """17: on a drained node nothing is left that fits elsewhere."""
    name = history.random.choice(sorted(set(history.nodes) - history.site.down))
    drain(history, name)
    settle(history)
    machine = history.site.machines[name]
    tasks, others = tasks_of(history), [other for other in living(history).values() if other.name != name]
    left = [found for found in machine.containers.values() if found.identity is not None and runs(found)]
    guests = [found for found in left if type_of(history, found) is JobType.SERVICE]
    for found in guests:
        spec = wanted_spec(history, found)
        free = [other.name for other in others if spec and has_room(other, spec, tasks)]
        must(not free, f"drain: {found.name} stays on {name}, and fits on {free}")
    residents = [found.name for found in left if type_of(history, found) is JobType.SYSTEM]
    must(bool(guests) or not residents, f"drain: {residents} stay on {name}")
    finish(history, "uncordon", asking(Manager.uncordon, name))
    history.drained.clear()
    history.given_up.clear()


def a_crash_is_restarted(history: History) -> None:
    """P7: a task whose process ends begins again where it was.

    One that was lost, and came back after another had taken its slot for a while, may begin anew elsewhere.
    """
    if not (places := _fresh(history)):
        return
    machine, found = history.random.choice(places)
    machine.end(found.id, 1)
    settle(history)
    here = {slot_of(other) for where, other in all_that_runs(history) if where is machine}
    must(slot_of(found) in here, f"P7 {found.name} crashed on {machine.name} and is not there again")


def a_crash_goes_on(history: History) -> None:
    """P7, P8: in mode `delay` a task that crashes on and on is the same, in its place, once it runs."""
    places = [(machine, found) for machine, found in _fresh(history) if _is_kept_on(history, found)]
    if not places:
        return
    machine, found = history.random.choice(places)
    crashing = machine.specs[found.id]
    machine.program = lambda spec: 1 if spec == crashing else None
    machine.end(found.id, 1)
    for _ in range(CRASHES):
        mutations_of_a_sweep(history)
    machine.program = runs_for_ever
    for _ in range(SWEEPS_TO_HEAL):
        mutations_of_a_sweep(history)
    here = {task_of(other) for where, other in all_that_runs(history) if where is machine}
    must(task_of(found) in here, f"P7 {found.name} crashed on {machine.name} and is not tried again there")


def _fresh(history: History) -> list[tuple[Machine, Container]]:
    """What runs as it is wanted, and has not crashed yet."""
    newest = {task.slot: task for task in tasks_of(history)}
    fresh = {task.id for task in newest.values() if task.state is State.RUNNING and task.restarts == 0}
    return [
        (machine, found)
        for machine, found in all_that_runs(history)
        if task_of(found) in fresh and machine.specs[found.id] == wanted_spec(history, found)
    ]


def _is_kept_on(history: History, found: Container) -> bool:
    group = history.wanted[slot_of(found).job].group(slot_of(found).group)
    return group is not None and group.restart.mode is RestartMode.DELAY


def a_sickness_is_healed(history: History) -> None:
    """P7, 14: who answers its check badly for long is restarted, replaced or cut off."""
    places = [(machine, found) for machine, found in all_that_runs(history) if machine.specs[found.id].health]
    if not places:
        return
    machine, found = history.random.choice(places)
    spec = machine.specs[found.id]
    machine.answers = lambda asked: asked is not spec or found.id not in machine.containers
    for _ in range(SWEEPS_TO_HEAL):
        mutations_of_a_sweep(history)
    still = machine.containers.get(found.id)
    must(
        still is None or not runs(still),
        f"14 {found.name} is sick, and runs on {machine.name} as if it were not",
    )
    machine.answers = lambda _spec: True
    for _ in range(SWEEPS_TO_HEAL):
        mutations_of_a_sweep(history)


def a_dead_node_is_given_up(history: History) -> None:
    """P8, 14: its tasks begin elsewhere after their patience, and are there once when it comes back.

    Those that have written to a volume there wait for it.
    """
    names = sorted(set(history.nodes) - history.site.down)
    if len(names) < 3 or history.site.down:
        return
    _give_up(history, history.random.choice(names))


def a_herd_moves_in_steps(history: History) -> None:
    """P8, 17: of the many tasks of a dead node a few at a time begin elsewhere, and in the end all."""
    history.site.down.clear()
    settle(history)
    while len(history.nodes) < 3:
        _a_node_joins(history)
    herd = Group(
        name="main",
        spec=TaskSpec(image="app:1", resources=Resources(cpu=100)),
        count=A_HERD * len(history.nodes),
    )
    history.wanted["herd"] = Job(name="herd", groups=(herd,))
    finish(history, "deploy", deploying(history.wanted["herd"]))
    settle(history)
    tasks = Counter(machine.name for machine, found in all_that_runs(history) if slot_of(found).job == "herd")
    if tasks:
        _give_up(history, max(sorted(tasks), key=lambda name: tasks[name]))


def _give_up(history: History, name: str) -> None:
    gone = [(found, slot_of(found)) for _, found in _on(history, name)]
    homes = history.homes()
    history.site.down.add(name)
    pass_time(history)
    settle(history)
    fleet = settled_fleet(history)
    machine = history.site.machines[name]
    there = {
        slot_of(found) for where, found in ours(history.site.machines) if where is not machine and runs(found)
    }
    astray = sorted(str(slot) for slot in there if homes.get(slot) == name)
    must(not astray, f"{astray} began anew elsewhere, and their data is on dead {name}")
    for found, slot in gone:
        job = history.wanted.get(slot.job)
        group = job.group(slot.group) if job is not None else None
        if job is None or group is None or slot in (*there, *homes) or not runs(found):
            continue
        if job.type_of(group) is not JobType.SERVICE or group.disconnect.then is OnDisconnect.KEEP:
            continue
        if waits_for_others(job, group, fleet):
            continue
        spec = wanted_spec(history, found)
        free = [
            other.name for other in living(history).values() if spec and has_room(other, spec, fleet.tasks)
        ]
        must(not free, f"14 converges: {slot} of dead {name} does not run, and fits on {free}")


def a_node_leaves_and_comes_back(history: History) -> None:
    """P3, P4, P6: what is on it runs on, or begins anew once somebody forgets the node; and is there once."""
    before = set(history.departed)
    leave_for_a_while(history)
    for name in sorted(history.departed.keys() - before):
        mutations_of_a_sweep(history)
        if Random(f"forgetting {history.seed}").random() < 0.5:
            finish(history, "forget", forgetting(history, name))
        mutations_of_a_sweep(history)
    history.engine.run(max(AWAY))


def we_are_cut_off(history: History) -> None:
    """P8, 7: while most of the fleet is silent, nothing is moved, however long that lasts.

    Nor at once off a node that is still silent when the others are back: its time begins anew.
    """
    names, dead = sorted(history.nodes), set(history.site.down)
    before = {found.id for _, found in ours(history.site.machines) if runs(found)}
    history.site.down.update(names if len(names) < 5 else names[: len(names) // 2 + 1])
    pass_time(history)
    after = {found.id for _, found in ours(history.site.machines) if runs(found)}
    must(before == after, f"P8 brakes: {sorted(before ^ after)} while we were cut off")
    history.site.down.difference_update(set(names[1:]) - dead)
    if any(_is_soon_lost(history, found) for _, found in _on(history, names[0])):
        return
    for _ in range(MISSES):
        mutations_of_a_sweep(history)
    after = {found.id for _, found in ours(history.site.machines) if runs(found)}
    must(before == after, f"P8, 7 timers begin anew: {sorted(before ^ after)} once most of them were back")


def _is_soon_lost(history: History, found: Container) -> bool:
    job = history.wanted.get(slot_of(found).job)
    group = job.group(slot_of(found).group) if job is not None else None
    return group is not None and group.disconnect.lost_after <= MISSES * 90.0


def _on(history: History, name: str) -> list[tuple[Machine, Container]]:
    return [(machine, found) for machine, found in ours(history.site.machines) if machine.name == name]


def _where_all_run(history: History) -> set[tuple[str, Slot]]:
    return {(machine.name, slot_of(found)) for machine, found in all_that_runs(history)}


def a_new_node_gets_its_own(history: History) -> None:
    """P7: a node that joins gets a task of each system group, and none of those leaves its node for that.

    Nor does a new version of such a group touch what is beside it.
    """
    before = _residents(history)
    _a_node_joins(history)
    gone = sorted(map(str, before - _residents(history)))
    must(not gone, f"P7 no move without cause: {gone} left their nodes as another one joined")
    _update_agents(history)


def _update_agents(history: History) -> None:
    jobs = [job for _, job in sorted(history.wanted.items()) if job.group("agent") and not job.stopped]
    for job in jobs:
        before = _of_others(history, job)
        groups = (next_version(group) if group.name == "agent" else group for group in job.groups)
        history.wanted[job.name] = replace(job, groups=tuple(groups))
        finish(history, "update", deploying(history.wanted[job.name]))
        gone = sorted(before - _of_others(history, job))
        must(not gone, f"P7 no move without cause: {gone} went as the agents of {job.name} were updated")


def _of_others(history: History, job: Job) -> set[str]:
    """The tasks of the job's other groups that run."""
    found = (found for _, found in all_that_runs(history))
    return {one.name for one in found if slot_of(one).job == job.name and slot_of(one).group != "agent"}


def _a_node_joins(history: History) -> None:
    add_a_node(history)
    machines_do_well(history)
    settle(history)


def _residents(history: History) -> set[tuple[str, str, str]]:
    """The system groups by the nodes that have a task of them."""
    return {
        (machine.name, *slot_of(found).group_key)
        for machine, found in all_that_runs(history)
        if type_of(history, found) is JobType.SYSTEM
    }


def a_rebalance_serves(history: History) -> None:
    """P19, P7: a new node gets tasks that are crowded elsewhere, one by one, and no job serves less."""
    _a_node_joins(history)
    if (job := a_service(history)) is None:
        return
    main, most = job.groups[0], history.random.randint(1, 3)
    before, all_before = _places(history, job), _where_all_run(history)
    floor = len(before) - (main.update.order is Order.STOP_FIRST)
    finish(
        history,
        "rebalance",
        while_serving(
            job,
            floor,
            lambda manager, run: moves.rebalance(manager, run, max_moves=most, min_gain=0.02),
        ),
    )
    after = _places(history, job)
    moved = [slot for slot, node in before.items() if after.get(slot) != node]
    must(len(moved) <= most, f"P8 {len(moved)} of {job.name} moved, {most} may")
    crowded = len(set(before.values())) < min(len(before), len(living(history)))
    is_free = not main.spec.volumes and not main.depends_on
    new = history.site.machines[history.nodes[-1]]
    fits = has_room(new, main.spec, tasks_of(history))
    is_used = _where_all_run(history) != all_before  # Another job may have gained more by the few moves.
    must(not (crowded and is_free and fits) or is_used, f"{job.name} is crowded, and stays: {before}")


def a_move_goes_or_stays(history: History) -> None:
    """P19: a task that somebody wants elsewhere is there once, and serves all the while if it can."""
    if (job := a_service(history)) is None or not is_in_place(history, job):
        return
    main, before = job.groups[0], _places(history, job)
    slot = history.random.choice(sorted(before, key=str))
    others = [machine for machine in living(history).values() if machine.name != before[slot]]
    if not others or main.spec.volumes:
        return
    there = history.random.choice(others)
    fits = has_room(there, main.spec, tasks_of(history)) and there.name in history.nodes
    floor = len(before) - (main.update.order is Order.STOP_FIRST)
    history.moving.add(slot)
    ask = while_serving(job, floor, lambda manager, run: moves.move(manager, str(slot), there.name, run))
    finish(history, "move", ask)
    after = _places(history, job)
    wanted = (
        {**before, slot: there.name} if fits and not main.depends_on else {**before, slot: after.get(slot)}
    )
    must(after == wanted, f"P19 {slot} was to move to {there.name}: {before}, then {after}")


def _places(history: History, job: Job) -> Mapping[Slot, str]:
    """Where each slot of the job's first group is filled."""
    return {
        slot_of(found): machine.name
        for machine, found in all_that_runs(history)
        if (slot_of(found).job, slot_of(found).group) == (job.name, job.groups[0].name)
    }


SELDOM_TELLING: tuple[Ending, ...] = (a_canary_waits, a_tight_update_serves)
"""Endings that a defect passes, but for one history of fifty in which rooms and counts are just so."""

ENDINGS: tuple[Ending, ...] = (
    an_update_serves,
    a_tight_update_serves,
    a_canary_waits,
    a_sick_version_is_given_up,
    a_drain_empties,
    a_rebalance_serves,
    a_move_goes_or_stays,
    a_crash_is_restarted,
    a_sickness_is_healed,
    a_dead_node_is_given_up,
    we_are_cut_off,
)


PREEMPTING: tuple[Ending, ...] = (
    what_matters_more_goes_first,
    *(ending for ending in ENDINGS if ending is not a_tight_update_serves),
)
"""Where tasks may have to give way, nobody waits for the rooms that an update of what matters less frees."""
