"""The service: the loop turned for ever, over connections that stay open, for any number of askers.

It is the loop of every command. A command looks at all nodes, acts, waits for every outcome, and looks again;
here each node goes at its own pace: what hangs on one of them is waited for on that one alone.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue

from cube.errors import CubeError, LockedError, UnreachableError, bug, traced
from cube.manager.asking import Asking
from cube.manager.clock import WallClock
from cube.manager.holding import Holding
from cube.manager.loans import Loans
from cube.manager.lookout import Sight
from cube.manager.measuring import measure
from cube.manager.office import Office
from cube.manager.picture import Picture
from cube.manager.planning import planned
from cube.manager.report import Done, Report, Step
from cube.manager.seams import Attended, Clock
from cube.manager.sharing import Sharing
from cube.manager.staff import Answered, Gather, Staff, is_effect
from cube.manager.turn import PLAN_KEEPS, Concern, Run, Settle, refuse_strangers, world_of, worth_trying
from cube.manager.upkeep import pauses, remember
from cube.manager.vacancies import Vacancies
from cube.model.action import Action, Effect, Plan, Wait
from cube.model.node import Cluster
from cube.model.observation import Observation, Stats
from cube.model.transit import Transit
from cube.reconciler.guards import check_room
from cube.reconciler.twins import apart
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS, Scheduler
from cube.store.reader import Mark
from cube.store.rows import Sweep
from cube.store.store import Store
from cube.store.write import FINE
from cube.vault.vault import Vault
from cube.view.metrics import Turning

SOONEST = 0.5
"""Seconds before a turn that only the passing of time calls for."""

REST = 1.0
"""Seconds before the next turn where another Cube is at work, or something could not be recorded."""

REVIEW = 60.0
"""Seconds after which everything is planned anew although nothing is known to have changed."""

FIRST_TURN = 5.0
"""Seconds that the first turn waits for nodes that have not answered yet."""

FIRST_LOOK = 20.0
"""Seconds that one who asks waits for the nodes to have been looked at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """How a service works: with no longer pause between two looks than `every` seconds, in whose name.

    `warn` is told what it could not do, each time that it could not.
    """

    every: float
    actor: str
    warn: Callable[[CubeError], None]


class Service:
    """Turns without end. One thread calls `run`, any others the rest. `loans`: what its team has beside."""

    def __init__(
        self, store: Store, find: Callable[[], Office], gather: Gather, duty: Duty, loans: Loans
    ) -> None:
        self.store = store
        self.loans = loans
        self.clock: Clock = WallClock()
        self.holding = Holding(store, command="manager")
        self.vacancies = Vacancies()
        self.last_plan = Plan()
        self._find = find
        self._duty = duty
        self._inbox: SimpleQueue[Sight | Answered | Transit | Asking | None] = SimpleQueue()
        self._picture = Picture(self.clock, self._inbox.put, every=duty.every)
        self._staff = Staff(find(), gather, self.holding, self._inbox.put)
        self._sharing = Sharing(store, every=duty.every)
        self._asked: list[Asking] = []
        self._recorded: tuple[Action, ...] = ()
        self._doubts = 0
        self._turned = self._swept = self._measured = self.clock.now()
        self._rests = self._turned + FIRST_TURN
        self._is_news = False
        self._planned: Mark | None = None
        self._turns, self._seconds, self._planning = 0, 0.0, 0.0
        self._effects: Counter[str] = Counter()
        self._looked, self._ending = threading.Event(), threading.Event()
        self._between_turns = threading.Lock()

    @property
    def cluster(self) -> Cluster:
        """The environment, as its inventory is now."""
        return self._staff.office.cluster

    @property
    def scheduler(self) -> Scheduler:
        """Who chooses nodes for jobs that name none."""
        return ALGORITHMS[self._staff.office.scheduler]

    def look(self, names: Iterable[str] | None = None) -> Mapping[str, Observation]:
        """The last look at each node: there is one all the time. Waits for the first."""
        self._looked.wait(FIRST_LOOK)
        observed = self._picture.observed
        return {name: observed[name] for name in (observed if names is None else names) if name in observed}

    @property
    def vault(self) -> Vault:
        """Where the project's secrets are."""
        return self._staff.office.vault

    @property
    def turning(self) -> Turning:
        """What it has done since it began."""
        return Turning(
            turns=self._turns,
            seconds=self._seconds,
            planning=self._planning,
            effects=dict(self._effects),
            events=max((event.number for event in self.store.events(limit=1)), default=0),
            lookouts=self._picture.watching(),
        )

    @property
    def samples(self) -> Mapping[str, Stats]:
        """Of each node the stats of the look before the last."""
        return dict(self._picture.samples)

    def look_before_a_change(self) -> Mapping[str, Observation]:
        """The same. Raises CubeError for a fleet that is another store's."""
        observed = self.look()
        refuse_strangers(observed, self.cluster, self.store)
        return observed

    def world(self, observed: Mapping[str, Observation]) -> World:
        """All that a plan is made from, as it is recorded now."""
        before = self.vacancies.now
        found = world_of(self.cluster, self.store, observed, self.clock.now(), self._staff.stock())
        # What ends meanwhile does so once its slot's next place is recorded, and that may not have been read.
        return replace(found, vacated={**before, **self.vacancies.now})

    def digest(self, image: str, node: str) -> str:
        """What the image's registry has by its name now, asked by that node; empty where it does not tell."""
        return self._staff.digest(image, node)

    def plan(self, world: World) -> Plan:
        """The next wave."""
        return planned(self.cluster, world, self.scheduler)

    def settle(self, looked: Mapping[str, Observation], run: Run, concern: Concern) -> Report:
        """Wait until nothing is left to do for the concern, nothing can be done, or the time is over."""
        with self.change() as settle:
            return settle(looked, run, concern)

    @contextmanager
    def change(self) -> Iterator[Settle]:
        """As in Settling: a turn that sees the change finds who asked for it in the inbox."""
        with ExitStack() as between:
            between.enter_context(self._between_turns)

            def settle(_looked: Mapping[str, Observation], run: Run, concern: Concern) -> Report:
                rollout = self.store.rollouts().get(concern.job or "")
                asking = Asking(run, concern, version=rollout.version if rollout else 0)
                self._inbox.put(asking)
                between.close()
                return asking.wait()

            yield settle

    @property
    def workers(self) -> Mapping[str, Attended]:
        """A hand on each node, for what is not the loop's."""
        return self._staff.workers

    def wake(self) -> None:
        """Something else is wanted: see what is to be done."""
        self._inbox.put(None)

    def stop(self) -> None:
        """Begin nothing more; `run` returns once what is under way has ended and is recorded."""
        self._ending.set()
        self._inbox.put(None)

    def run(self) -> None:
        """Turn until `stop`."""
        try:
            self._picture.open(self._staff.meet(self._staff.office, self.store.epoch))
            while not self._ending.is_set():
                self._receive(self._patience())
                self._guarded(partial(self._keep_time, self.clock.now()))
                if self._is_news and self.clock.now() >= self._rests:
                    self._try_turn()
            while not self._picture.is_at_rest:
                self._receive(SOONEST)
                self._staff.wake(self._picture, float("inf"))
        finally:
            self._leave()

    def _leave(self) -> None:
        end = UnreachableError(
            "the manager ends", cure="What was done is recorded; ask again once it is back."
        )
        self._receive(0.0)
        for asking in self._asked:
            asking.answer(end)
        self._picture.close()
        self._staff.leave()
        self._guarded(self._sharing.leave)

    def _receive(self, patience: float) -> None:
        """Wait that long for something to happen, then take in all that has."""
        with suppress(Empty):
            self._guarded(partial(self._take, self._inbox.get(timeout=patience)))
            while True:
                self._guarded(partial(self._take, self._inbox.get_nowait()))

    def _take(self, message: Sight | Answered | Transit | Asking | None) -> None:
        match message:
            case Sight():
                self._is_news |= self._picture.take(message)
                if not self._looked.is_set() and self._picture.is_complete:
                    self._rests = self.clock.now()
                    self._looked.set()
            case Transit():
                self._tell(message)
            case Answered():
                self._is_news = True
                self._staff.hear(message, self._picture, self.clock.now())
                self._note_down(message.step)
            case Asking():
                self._is_news = True
                self._asked.append(message)
                self._sharing.due = self.clock.now()
            case None:
                self._is_news = True

    def _note_down(self, step: Done | Exception | None) -> None:
        if isinstance(step, Exception):
            raise step
        if step is not None:
            self._effects[step.outcome.verdict] += 1
            now, actor = self.clock.now(), self._actor_of(step.effect)
            self.store.record_outcome(step.effect, step.outcome, now=now, actor=actor)
            self._tell(step)

    def _tell(self, step: Step) -> None:
        for asking in self._asked:
            asking.tell(step)

    def _patience(self) -> float:
        """Seconds until something is to be done, whatever happens."""
        times = [self._swept + self._duty.every, self._sharing.due, *self._staff.resting.values()]
        times += [asking.run.until for asking in self._asked]
        times += [self._due] if self._due is not None else []
        times += [self._rests] if self._is_news else []
        return max(min(times) - self.clock.now(), 0.0)

    @property
    def _due(self) -> float | None:
        """When time alone will have changed the plan."""
        wake = self.last_plan.wake
        return None if wake is None else max(wake, self._turned + SOONEST)

    def _keep_time(self, now: float) -> None:
        """What the passing of time alone brings about."""
        self._staff.wake(self._picture, now)
        self._is_news |= any(asking.run.until <= now for asking in self._asked)
        if self._due is not None and self._due <= now:
            due = {job for job, at in self.last_plan.due.items() if at <= now}
            tasks = self.store.current_tasks() if due else ()
            self._picture.look_soon(task.node for task in tasks if task.slot.job in due)
            self._is_news = True
        if self._sharing.due <= now:
            self._guarded(partial(self._sharing.keep, self._picture, now, is_asked=bool(self._asked)))
        if self._swept + self._duty.every <= now:
            self._guarded(partial(self._sweep, now))

    def _sweep(self, now: float) -> None:
        """Remember who is silent, that the fleet was looked after, and take the inventory as it is now."""
        began, self._swept = self._swept, now
        remember(self.store, self._picture, now, every=self._duty.every)
        self._is_news |= self._may_have_changed(now)
        self._sharing.learn(self._picture)
        everything = Asking(Run(until=now, actor=self._duty.actor), Concern(), version=0)
        report = replace(self._report(everything, self._staff.done), is_late=False)
        self.store.put_sweep(Sweep(started=began, finished=now, result=report.summary))
        if self._measured + FINE <= now:
            self._measured = now
            measure(self.store, self.cluster, self._picture.mine, now)
        self._staff.done.clear()
        self._recorded = ()
        self._picture.look_every(pauses(self.store.current_tasks()))
        office = self._find()
        if office != self._staff.office and self._picture.is_at_rest:
            self._picture.open(self._staff.meet(office, self.store.epoch))

    def _may_have_changed(self, now: float) -> bool:
        """There may be something to do that nobody has told of: to plan for a large fleet takes a while."""
        mark = self.store.mark()
        is_recorded = mark is None or self._planned is None or mark.record != self._planned.record
        return is_recorded or bool(self.last_plan.actions) or self._turned + REVIEW <= now

    def _try_turn(self) -> None:
        with self._between_turns:
            self._receive(0.0)
            began, self._is_news = self.clock.now(), False
            self._guarded(self._turn)
        if self._picture.is_at_rest:
            self._guarded(self._staff.put_down)
        self._turned = self.clock.now()
        self._turns += 1
        self._seconds += self._turned - began
        # A large fleet always has news: planning may take no more than half of the time.
        self._rests = max(self._rests, 2 * self._turned - began)

    def _guarded(self, work: Callable[[], object]) -> None:
        """A service outlives what a command would end with: it says so, rests, and goes on."""
        try:
            work()
        except LockedError:
            self._rest(REST)
        except CubeError as error:
            self._duty.warn(error)
            self._rest(5 * REST)
        except Exception as error:  # noqa: BLE001 - told as what it is; the fleet is looked after all the same
            self._duty.warn(bug(error, cure=f"The traceback:\n{traced(error)}"))
            self._rest(5 * REST)

    def _rest(self, seconds: float) -> None:
        self._rests, self._is_news = self.clock.now() + seconds, True

    def _turn(self) -> None:
        if self._is_doubtful():
            return
        refuse_strangers(self._picture.observed, self.cluster, self.store)
        self._planned = self.store.mark()
        world = self.world(self._picture.observed)
        began = self.clock.now()
        plan = self.plan(world)
        self._planning += self.clock.now() - began
        check_room(plan, world)
        self.last_plan, todo = plan, worth_trying(plan, self._staff.done)
        for asking in [asking for asking in self._asked if self._is_answered(asking, world, todo)]:
            self._asked.remove(asking)
            asking.answer(self._report(asking, asking.done))
        self._act(todo)

    def _is_doubtful(self) -> bool:
        """Another Cube may have been at work: every node is looked at again before anything is planned."""
        if self._doubts == self.holding.doubts:
            return False
        self._doubts = self.holding.doubts
        self._picture.doubt()
        return True

    def _is_answered(self, asking: Asking, world: World, todo: Plan) -> bool:
        if asking.run.until <= world.now:
            return True
        mine = {task.node for task in world.tasks if asking.is_of(task.slot.job)}
        waits = any(isinstance(action, Wait) and asking.is_about(action) for action in todo.actions)
        nodes = mine if asking.concern.job and not waits else set(self._picture.observed)
        return asking.is_over(todo) and all(self._picture.is_ready(node) for node in nodes)

    def _act(self, todo: Plan) -> None:
        """Record what can be done now, and let it be done."""
        chosen = self._staff.choose(todo.actions, self._picture)
        if not chosen or (chosen == self._recorded and not any(map(is_effect, chosen))):
            return
        epoch = self._staff.take_up()
        if epoch is not None:
            self._picture.open(self._staff.meet(self._staff.office, epoch))
        if epoch is not None or self._is_doubtful():
            return
        now, self._recorded, self._is_news = self.clock.now(), chosen, True
        self._tell(replace(todo, actions=chosen))
        effects: list[Effect] = []
        for actor, actions in _by(self._actor_of, chosen).items():
            effects += self.store.record_plan(replace(todo, actions=actions), now=now, actor=actor)
        self._staff.begin(effects, self._picture, now + PLAN_KEEPS)
        self._picture.spend()

    def _actor_of(self, action: Action) -> str:
        """Who asked for what the action is about; else the service itself."""
        asked = (each.run.actor for each in self._asked if each.concern.job and each.is_about(action))
        return next(asked, self._duty.actor)

    def _report(self, asking: Asking, done: Sequence[Done]) -> Report:
        return Report(
            job=asking.concern.job,
            plan=self.last_plan,
            done=tuple(done),
            tasks=self.store.current_tasks(),
            observed=dict(apart(self._picture.observed)),
            is_late=not asking.is_over(worth_trying(self.last_plan, self._staff.done)),
            rollouts=self.store.rollouts(),
            asked=asking.version,
        )


def _by(actor_of: Callable[[Action], str], actions: Iterable[Action]) -> Mapping[str, tuple[Action, ...]]:
    found: dict[str, tuple[Action, ...]] = {}
    for action in actions:
        found[actor_of(action)] = (*found.get(actor_of(action), ()), action)
    return found
