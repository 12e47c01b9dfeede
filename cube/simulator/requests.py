"""What people ask for: each draws its details from the seed, and notes what is wanted from now on."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from cube.manager import moves
from cube.manager.manager import Manager
from cube.manager.report import Report
from cube.manager.turn import Run
from cube.model.job import Job, JobType
from cube.simulator.commands import Ask, asking, deploying, finish, sweep
from cube.simulator.drawn import draw_job, draw_work
from cube.simulator.history import History
from cube.simulator.laws import must, ours, runs, slot_of
from cube.simulator.varied import varied

LEAVING_DATA = 0.7
"""How many of those who want a node empty give up what was written there."""


def deploy(history: History) -> Ask:
    """Somebody deploys one of three jobs, maybe changed."""
    job = varied(history, history.ranked(draw_job(history.random)))
    _want(history, job)
    return _deploying(history, job)


def deploy_work(history: History) -> Ask:
    """Somebody deploys what is to end by itself, now, by the clock, or when it is asked for."""
    job = varied(history, history.ranked(draw_work(history.random)))
    _want(history, job)
    return _told(history, job.name, deploying(job))


def dispatch(history: History) -> Ask | None:
    """Somebody asks for a run."""
    jobs = [job for job in history.wanted.values() if job.type is JobType.PARAMETERIZED and not job.stopped]
    if not jobs:
        return None
    name = history.random.choice(jobs).name
    return lambda manager, run: manager.dispatch(name, {}, run)


def deploy_again(history: History) -> Ask | None:
    """Somebody deploys what is wanted already."""
    running = [job for job in history.wanted.values() if not job.stopped]
    if not running:
        return None
    return _deploying(history, history.random.choice(running))


def scale(history: History) -> Ask | None:
    """Somebody scales a job."""
    jobs = [job for job in history.wanted.values() if job.type is JobType.SERVICE and not job.stopped]
    if not jobs:
        return None
    job, count = history.random.choice(jobs), history.random.randint(0, 4)

    return _worked_out(history, job.name, lambda manager, run: manager.scale(job.name, {"main": count}, run))


def stop(history: History) -> Ask | None:
    """Somebody stops a job."""
    if not history.wanted:
        return None
    name = history.random.choice(sorted(history.wanted))
    _want(history, replace(history.wanted[name], stopped=True))
    return _told(history, name, asking(Manager.stop, name))


def remove(history: History) -> Ask | None:
    """Somebody removes a job; where that does not succeed, it is at least stopped."""
    if not history.wanted:
        return None
    name = history.random.choice(sorted(history.wanted))
    _want(history, replace(history.wanted[name], stopped=True))
    return _told(history, name, lambda manager, run: _removed(history, manager, name, run))


def _removed(history: History, manager: Manager, name: str, run: Run) -> Report:
    disturbed = history.disturbed
    report = manager.remove(name, run)
    is_forgotten = history.reading.job(name) is None
    must(report.exit_code == 0 or not is_forgotten, f"P20, 13 {name} is forgotten, and may run somewhere")
    if is_forgotten and history.disturbed == disturbed:
        left = [found.name for _, found in ours(history.site.machines) if slot_of(found).job == name]
        must(not left, f"P20, 13 what is forgotten has left nothing: {left}")
    return report


def minutes_of_cron(history: History) -> Ask | None:
    """Cron, every other minute, some of the time that a silent node is given."""
    for _ in range(history.random.choice((2, 5))):
        finish(history, "sweep", sweep)
        history.engine.run(120.0)
    return None


def rollback(history: History) -> Ask | None:
    """Somebody wants the version before."""
    return _on_a_job(history, lambda manager, name, run: manager.rollback(name, None, run))


def promote(history: History) -> Ask | None:
    """Somebody likes the canaries."""
    return _on_a_job(history, Manager.promote)


def pause(history: History) -> Ask | None:
    """Somebody wants to think."""
    return _on_a_job(history, Manager.pause)


def resume(history: History) -> Ask | None:
    """Somebody has thought."""
    return _on_a_job(history, Manager.resume)


def drain(history: History) -> Ask:
    """Somebody wants a node empty, mostly whatever its tasks have written there."""
    name = history.random.choice(history.nodes)
    history.drained.add(name)
    deadline = history.random.choice((None, 60.0))
    leave_data = Random(f"data {history.seed} {history.commands}").random() < LEAVING_DATA
    if leave_data:
        history.given_up.add(name)
    return lambda manager, run: manager.drain(name, run, deadline=deadline, leave_data=leave_data)


def cordon(history: History) -> Ask:
    """Somebody wants no new tasks on a node."""
    name = history.random.choice(history.nodes)
    history.cordoned.add(name)
    return _opening(history, name, Manager.cordon)


def uncordon(history: History) -> Ask | None:
    """Somebody gives a node back."""
    closed = sorted((history.drained | history.cordoned) & set(history.nodes))
    if not closed:
        return None
    return _opening(history, history.random.choice(closed), Manager.uncordon)


def rebalance(history: History) -> Ask:
    """Somebody wants tasks to stand where they stand best."""
    most = history.random.randint(1, 3)
    return lambda manager, run: moves.rebalance(manager, run, max_moves=most, min_gain=0.02)


def move(history: History) -> Ask | None:
    """Somebody wants a task on another node, be there room or not."""
    places = [
        (slot_of(found), node)
        for machine, found in ours(history.site.machines)
        if runs(found) and not machine.specs[found.id].volumes
        for node in history.nodes
        if node != machine.name
    ]
    if not places:
        return None
    slot, node = history.random.choice(places)
    history.moving.add(slot)
    return lambda manager, run: moves.move(manager, str(slot), node, run)


def forget(history: History) -> Ask | None:
    """Somebody waits no longer for a node that has left the inventory; it may yet be back."""
    if not history.departed:
        return None
    random = Random(f"forgetting {history.seed} {history.commands}")
    return forgetting(history, random.choice(sorted(history.departed)))


def forgetting(history: History, name: str) -> Ask:
    """What is recorded there is over, and what was written there given up."""

    def ask(manager: Manager, run: Run) -> Report:
        history.forgotten |= history.reading.all_on(name)
        report = manager.forget_node(name, run)
        for names in (history.drained, history.given_up, history.cordoned):
            names.discard(name)
        return report

    return ask


def sweep_now(_history: History) -> Ask:
    """Cron."""
    return sweep


REQUESTS: tuple[Callable[[History], Ask | None], ...] = (
    *(deploy, deploy, deploy, deploy_again),
    *(deploy_work, dispatch),
    *(scale, stop, remove, rollback, promote, pause, resume),
    *(drain, cordon, uncordon, rebalance, move, move, move),
    *(sweep_now, sweep_now, minutes_of_cron),
)


def _want(history: History, job: Job) -> None:
    history.wanted[job.name] = job
    history.told.discard(job.name)


def _deploying(history: History, job: Job) -> Ask:
    if job.groups[0].update.auto_revert:
        history.doubtful.add(job.name)  # Nobody knows yet which version it will be.
    return _told(history, job.name, deploying(job))


def _told(history: History, name: str, ask: Ask) -> Ask:
    """P12: who is told how their job stands finds recorded what they have asked for."""

    def asked(manager: Manager, run: Run) -> Report | bool | None:
        report = ask(manager, run)
        history.told.add(name)
        is_known = name in history.doubtful or history.is_recorded(history.wanted[name])
        must(is_known, f"P12 {name} is not recorded as it was asked for")
        return report

    return asked


def _opening(history: History, name: str, act: Callable[[Manager, str, Run], bool | None]) -> Ask:
    """The node is to be empty until the manager has written down that it need not be.

    Where it was renamed, and no look has told that yet, what was said of it is said of another one.
    """

    def ask(manager: Manager, run: Run) -> bool | None:
        is_closed = name in manager.store.cordons()
        answer = act(manager, name, run)
        if is_closed and answer is not False:
            history.drained.discard(name)
            history.given_up.discard(name)
        return answer

    return ask


def _on_a_job(history: History, act: Callable[[Manager, str, Run], Report]) -> Ask | None:
    if not history.wanted:
        return None
    name = history.random.choice(sorted(history.wanted))
    return _worked_out(history, name, lambda manager, run: act(manager, name, run))


def _worked_out(history: History, name: str, ask: Callable[[Manager, Run], Report]) -> Ask:
    """A request whose content the manager works out: what is recorded then is what was asked for."""
    history.doubtful.add(name)
    return ask
