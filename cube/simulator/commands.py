"""Commands: processes that do what somebody asked for, watched by the laws, killed where the seed says so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cube.errors import CubeError, InternalError, LockedError
from cube.manager.manager import Manager
from cube.manager.report import Report
from cube.manager.turn import Loop, Run
from cube.model.action import Effect, Outcome
from cube.model.job import Job
from cube.model.observation import Observation
from cube.model.rollout import RolloutState
from cube.scheduler.algorithms import ALGORITHMS
from cube.simulator import laws
from cube.simulator.engine import Process
from cube.simulator.faults import SimulatedFleet
from cube.simulator.history import History
from cube.simulator.laws import must, ours, runs
from cube.simulator.watch import Watch
from cube.store.lock import hold
from cube.store.store import Store

COMMAND = 300.0
"""Seconds that a command may take."""

MOST_EFFECTS = 300
"""That one command may have: ten times what any has needed."""

LIMIT = 4000.0
"""Seconds after which a command hangs, whatever was waited for: P1."""

Ask = Callable[[Manager, Run], Report | bool | None]
"""What somebody wants of a manager."""


@dataclass(slots=True, kw_only=True)
class Observer:
    """The witness of one command: it holds it to the laws, and lets it die or stop where the seed says so."""

    history: History
    watch: Watch
    effects: int = 0

    def looked(self, observed: Mapping[str, Observation]) -> None:
        """A look; the manager may be killed after it."""
        self.watch.looked(observed)
        self.history.may_die(self.history.profile.kill)

    def begins(self, effect: Effect) -> None:
        """Between the record of the intent and the effect. Raises BrokenLawError where there are too many."""
        self.effects += 1
        must(self.effects <= MOST_EFFECTS, f"P1 bounded: a command has {self.effects} effects, and goes on")
        self.history.may_die(self.history.profile.kill)
        self.watch.begins(effect)
        self.history.tell(f"effect {type(effect).__name__} {effect.node} {effect.reason}")

    def ended(self, effect: Effect, outcome: Outcome) -> None:
        """Between the effect and the record of its outcome."""
        self.watch.ended(effect, outcome)
        self.history.tell(f"outcome {outcome.verdict}")
        check_always(self.history)
        self.history.may_die(self.history.profile.kill)
        self._may_be_stopped()

    def _may_be_stopped(self) -> None:
        if self.history.random.random() < self.history.profile.stop:
            self.history.tell("the manager is stopped for a while")
            self.history.engine.stop_current(self.history.random.uniform(10, 900))


def command(history: History, what: str, ask: Ask) -> Process:
    """A process that does what is asked, alone with the state if it can be."""
    history.commands += 1
    store = history.open()
    name = f"{what} {history.commands}"

    def run() -> None:
        _do(history, store, ask, name)
        history.put_back(store)

    return history.engine.spawn(name, run, on_kill=store.close)


def _do(history: History, store: Store, ask: Ask, name: str) -> None:
    try:
        with hold(store, command=name) as epoch:
            _work(history, store, epoch, ask, name)
    except LockedError:
        history.tell(f"{name}: somebody else is at work")
    except CubeError as error:
        history.tell(f"{name}: refused: {error}")
        if error.exit_code in (CubeError.exit_code, InternalError.exit_code):
            history.failure = error
    except Exception as error:  # noqa: BLE001 - it is raised again where the history is told
        history.failure = error


def _work(history: History, store: Store, epoch: int, ask: Ask, name: str) -> None:
    observer = Observer(history=history, watch=Watch(history=history, epoch=epoch))
    clock = history.clock.of_a_run()
    fleet = SimulatedFleet(
        site=history.site, clock=clock, random=history.random, epoch=epoch, witness=observer
    )
    manager = Manager(Loop(history.cluster, store, fleet, scheduler=ALGORITHMS["spread"], clock=clock))
    started, disturbed = history.engine.time, history.disturbed
    history.tell(f"{name} begins")
    report = ask(manager, Run(until=clock.now() + COMMAND, actor="simulator"))
    observer.watch.nothing_is_guessed()
    history.tell(f"{name} ends")
    if isinstance(report, Report):
        must(
            history.engine.time - started < COMMAND * 3 or history.profile.stop > 0,
            f"P1 bounded: {name} took {history.engine.time - started:.0f}s",
        )
        if history.disturbed == disturbed and not history.profile.stop:
            check_honest(history, report, name)


def finish(history: History, what: str, ask: Ask) -> None:
    """Ask, and wait for the end of it."""
    wait_for(history, command(history, what, ask))


def wait_for(history: History, process: Process) -> None:
    """Let time pass until the process is over. Raises what its command raised."""
    is_over = history.engine.run_to_end_of(process, limit=LIMIT)
    must(is_over, f"P1 bounded: `{process.name}` is still running after {LIMIT:.0f}s")
    if process.is_killed:
        store = history.open()
        laws.the_record_adds_up(store)
        history.put_back(store)
    if history.failure is not None:
        failure, history.failure = history.failure, None
        raise failure


def asking(act: Callable[[Manager, str, Run], Report | bool | None], name: str) -> Ask:
    """What the manager does about one job, or one node."""
    return lambda manager, run: act(manager, name, run)


def deploying(job: Job) -> Ask:
    """That job is wanted."""
    return lambda manager, run: manager.deploy(job, run)


def sweep(manager: Manager, run: Run) -> Report:
    """Cron."""
    return manager.reconcile(run)


def check_always(history: History) -> None:
    """What holds at every moment, faults or not."""
    laws.one_container_of_a_task_on_a_node(history.site.machines)
    laws.foreign_is_untouched(history.site.machines)


def check_honest(history: History, report: Report, name: str) -> None:
    """P12, 22: who is told that it is done finds it so."""
    job = history.reading.job(report.job or "")
    if report.exit_code != 0 or job is None or job.groups[0].update.canary or job.name in history.doubtful:
        return
    rollout = report.rollout
    if rollout is None or rollout.state is not RolloutState.SUCCEEDED:
        return
    machines = history.site.machines
    running = {
        laws.place_of(found, machine, {job.name: job}) for machine, found in ours(machines) if runs(found)
    }
    counted = {place for place in laws.places_of(job, machines) if isinstance(place[2], int)}
    missing = sorted(map(str, counted - running))
    must(not missing, f"P12 honest exit: {name} exits 0 without {missing}")
