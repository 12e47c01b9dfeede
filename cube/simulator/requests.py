"""What people ask for: each draws its details from the seed, and notes what is wanted from now on."""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from cube.manager.manager import Manager
from cube.manager.report import Report
from cube.manager.turn import Run
from cube.model.job import CheckKind, Group, HealthCheck, Job, JobType, Port, TaskSpec, Volume
from cube.model.policy import OnUnhealthy, Order, ReschedulePolicy, RestartPolicy, UpdatePolicy
from cube.model.resources import Resources
from cube.simulator.commands import Ask, asking, deploying, sweep
from cube.simulator.history import History


def deploy(history: History) -> Ask:
    """Somebody deploys one of three jobs, maybe changed."""
    job = draw_job(history.random)
    history.wanted[job.name] = job
    return _deploying(history, job)


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
    history.wanted[name] = replace(history.wanted[name], stopped=True)
    return asking(Manager.stop, name)


def remove(history: History) -> Ask | None:
    """Somebody removes a job; where that does not succeed, it is at least stopped."""
    if not history.wanted:
        return None
    name = history.random.choice(sorted(history.wanted))
    history.wanted[name] = replace(history.wanted[name], stopped=True)
    return asking(Manager.remove, name)


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
    """Somebody wants a node empty."""
    name = history.random.choice(history.nodes)
    history.drained.add(name)
    deadline = history.random.choice((None, 60.0))
    return lambda manager, run: manager.drain(name, run, deadline=deadline)


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


def sweep_now(_history: History) -> Ask:
    """Cron."""
    return sweep


REQUESTS: tuple[Callable[[History], Ask | None], ...] = (
    *(deploy, deploy, deploy, deploy_again),
    *(scale, stop, remove, rollback, promote, pause, resume),
    *(drain, cordon, uncordon),
    *(sweep_now, sweep_now, sweep_now),
)


def _deploying(history: History, job: Job) -> Ask:
    if job.groups[0].update.auto_revert:
        history.doubtful.add(job.name)  # Nobody knows yet which version it will be.
    return deploying(job)


def _opening(history: History, name: str, act: Callable[[Manager, str, Run], bool | None]) -> Ask:
    """The node is to be empty until the manager has written down that it need not be."""

    def ask(manager: Manager, run: Run) -> bool | None:
        answer = act(manager, name, run)
        history.drained.discard(name)
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


def draw_job(random: Random) -> Job:
    """A service of one group or a system job, with or without ports, checks, volumes and canaries."""
    port = Port(name="http", container=80, host=random.choice((None, None, 8080)))
    ports = random.choice(((), (port,)))
    check = HealthCheck(kind=CheckKind.TCP, port="http", interval=1.0, grace=5.0)
    spec = TaskSpec(
        image=random.choice(("app:1", "app:2")),
        resources=Resources(cpu=random.choice((100, 100, 1500)), memory=64 * 2**20),
        ports=ports,
        volumes=random.choice(((), (), (Volume(source="data", target="/data"),))),
        health=random.choice((None, check)) if ports else None,
    )
    update = UpdatePolicy(
        max_parallel=random.randint(1, 3),
        order=random.choice((Order.AUTO, Order.AUTO, Order.STOP_FIRST)),
        min_healthy_time=random.choice((0.0, 2.0)),
        canary=random.choice((0, 0, 0, 1)),
        auto_revert=random.random() < 0.3,
    )
    group = Group(
        name="main",
        spec=spec,
        count=random.randint(0, 5),
        restart=RestartPolicy(attempts=random.choice((1, 3)), delay=1.0, max_delay=5.0),
        reschedule=ReschedulePolicy(delay=2.0, max_delay=20.0),
        update=update,
        on_unhealthy=random.choice(tuple(OnUnhealthy)),
    )
    kind = random.choice((JobType.SERVICE, JobType.SERVICE, JobType.SERVICE, JobType.SYSTEM))
    return Job(name=random.choice(("web", "api")), groups=(group,), type=kind)
