"""Turns of the loop: observe, plan, act, record; and again, until nothing is left to do."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

from cube.errors import CubeError, InternalError
from cube.manager.cordons import carry_cordons, cordons_now
from cube.manager.planning import planned
from cube.manager.report import Done, Report, Step
from cube.manager.seams import Attended, Clock, Fleet
from cube.manager.vacancies import Vacancies
from cube.model.action import Action, Fetch, Note, Plan, Push, Quarantine, Refresh, Start, Stop, Verdict, Wait
from cube.model.node import Cluster
from cube.model.observation import Container, Observation, Seen
from cube.model.precondition import Precondition
from cube.model.task import Health
from cube.model.transit import Transit
from cube.reconciler.guards import check_room
from cube.reconciler.silence import listen, news
from cube.reconciler.twins import apart
from cube.reconciler.world import World, as_seen
from cube.scheduler.algorithms import Scheduler
from cube.store.store import Store

TRIES = 3
"""How often one run asks for the same effect before it gives up on it."""

PAUSE = 0.5
"""Seconds before an effect that failed, or was not answered, is asked for again; doubled each time."""

LOOK_KEEPS = 10.0
"""Seconds after which a node is looked at again before the next wave, whether or not it was touched."""

PLAN_KEEPS = 60.0
"""Seconds after which an effect of a plan is not tried any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one call settles: until when at most (seconds since the epoch), for whom, and who is told.

    `given`: what must hold where the change is recorded, or there is none; `recorded` is told once it is.
    """

    until: float
    actor: str
    tell: Callable[[Step], None] = lambda _step: None
    given: Precondition | None = None
    recorded: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concern:
    """What a run waits for: what time alone will change of that job (None: of any), until then at most."""

    job: str | None = None
    until: float = float("inf")


Settle = Callable[[Mapping[str, Observation], Run, Concern], Report]
"""As Settling.settle."""


class Settling(Protocol):
    """What a manager needs of a loop: the one that a command turns itself, or the one of a service."""

    store: Store
    clock: Clock
    vacancies: Vacancies

    @property
    def cluster(self) -> Cluster:
        """The environment."""
        ...

    @property
    def scheduler(self) -> Scheduler:
        """Who chooses nodes for jobs that name none."""
        ...

    def look(self, names: Iterable[str] | None = None) -> Mapping[str, Observation]:
        """The nodes as they are now, all of them by default."""
        ...

    def look_before_a_change(self) -> Mapping[str, Observation]:
        """Every node, before anything is wanted. Raises CubeError for a fleet that is another store's."""
        ...

    def world(self, observed: Mapping[str, Observation]) -> World:
        """All that a plan is made from, as it is recorded now."""
        ...

    def digest(self, image: str, node: str) -> str:
        """What the image's registry has by its name now, asked by that node; empty where it does not tell."""
        ...

    def plan(self, world: World) -> Plan:
        """The next wave."""
        ...

    @property
    def workers(self) -> Mapping[str, Attended]:
        """A hand on each node, for what is not the loop's."""
        ...

    def settle(self, looked: Mapping[str, Observation], run: Run, concern: Concern) -> Report:
        """Turns until nothing is left to do for the concern, nothing can be done, or the time is over."""
        ...

    def change(self) -> AbstractContextManager[Settle]:
        """For what is to be wanted from now on, recorded within, and the settling of it.

        No turn begins in between: whoever settles hears of all that is done for the change.
        """
        ...


class Loop:
    """One cluster, its store and its fleet. It decides nothing: `reconcile` does."""

    def __init__(  # noqa: PLR0913 - what a loop works with, each a seam of its own
        self,
        cluster: Cluster,
        store: Store,
        fleet: Fleet,
        *,
        scheduler: Scheduler,
        clock: Clock,
        workers: Mapping[str, Attended] = MappingProxyType({}),
    ) -> None:
        self.cluster = cluster
        self.store = store
        self.clock = clock
        self.fleet = fleet
        self.scheduler = scheduler
        self.workers = workers
        self.vacancies = Vacancies()

    def look(self, names: Iterable[str] | None = None) -> Mapping[str, Observation]:
        """Ask the nodes, all of them by default, and remember their stats; of all, also who is silent."""
        now = self.clock.now()
        asked = [node.name for node in self.cluster.nodes] if names is None else list(names)
        observed = self.fleet.observe(asked, now)
        if names is None:
            carry_cordons(self.store, observed, now)
            self._listen(observed, now)
        self.store.put_observations(observed.values())
        return observed

    def look_before_a_change(self) -> Mapping[str, Observation]:
        """Every node, before anything is wanted. Raises CubeError for a fleet that is another store's."""
        observed = self.look()
        refuse_strangers(observed, self.cluster, self.store)
        return observed

    def world(self, observed: Mapping[str, Observation]) -> World:
        """All that a plan is made from, as it is recorded now."""
        stock, vacated = self.fleet.stock(), self.vacancies.now
        return replace(world_of(self.cluster, self.store, observed, self.clock.now(), stock), vacated=vacated)

    def digest(self, image: str, node: str) -> str:
        """What the image's registry has by its name now, asked by that node; empty where it does not tell."""
        return self.fleet.digest(image, node)

    def plan(self, world: World) -> Plan:
        """The next wave."""
        return planned(self.cluster, world, self.scheduler)

    def act(self, plan: Plan, run: Run) -> list[Done]:
        """Record the intents, carry the effects out, record each outcome as it comes."""
        run.tell(plan)
        now = self.clock.now()
        effects = self.store.record_plan(plan, now=now, actor=run.actor)
        done = []
        for effect, outcome in self.fleet.perform(effects, now + PLAN_KEEPS):
            if isinstance(outcome, Transit):
                run.tell(outcome)
                continue
            self.store.record_outcome(effect, outcome, now=self.clock.now(), actor=run.actor)
            done.append(Done(effect=effect, outcome=outcome))
            run.tell(done[-1])
        return done

    def settle(self, looked: Mapping[str, Observation], run: Run, concern: Concern) -> Report:
        """Turns until nothing is left to do, nothing can be done, or the time is over.

        Nothing is waited for on behalf of other jobs than the concern's: what they need later is a sweep's.
        """
        observed = dict(looked)
        done: list[Done] = []
        acted: tuple[Action, ...] = ()
        asked = self.store.rollouts().get(concern.job or "")
        while True:
            world = self.world(observed)
            plan = self.plan(world)
            check_room(plan, world)
            todo = worth_trying(plan, done)
            news = any(not isinstance(action, Wait) for action in todo.actions)
            due = plan.due_for(concern.job)
            is_over = not news and (due is None or due > concern.until)
            if is_over or self.clock.now() >= run.until:
                self.store.record_plan(_only_records(todo), now=self.clock.now(), actor=run.actor)
                break
            if not news:
                assert due is not None, "without news and without a due time it would be over"
                observed |= self._look_again_at(min(due, run.until), observed)
                continue
            if todo.actions == acted:
                raise InternalError(f"the plan asks again for what was just recorded: {todo.actions[0]}")
            wave = self.act(todo, run)
            acted = () if wave else todo.actions
            done += wave
            self._pause_after(wave, done)
            observed = spent(observed) | self._look_where(wave, observed)
        return Report(
            job=concern.job,
            plan=plan,
            done=tuple(done),
            tasks=self.store.current_tasks(),
            observed=world.observed,
            is_late=not is_over,
            rollouts=self.store.rollouts(),
            asked=asked.version if asked else 0,
        )

    @contextmanager
    def change(self) -> Iterator[Settle]:
        """As in Settling: whoever settles turns this loop."""
        yield self.settle

    def _look_again_at(self, at: float, observed: Mapping[str, Observation]) -> Mapping[str, Observation]:
        """Sleep until then. A silent node would cost every turn its whole patience: the next run asks it."""
        self.clock.sleep(max(at - self.clock.now(), 0))
        return self.look(name for name, found in observed.items() if isinstance(found, Seen))

    def _look_where(
        self, wave: Iterable[Done], observed: Mapping[str, Observation]
    ) -> dict[str, Observation]:
        """The nodes that were touched, and those that had time to change while others were waited for."""
        again = {step.effect.node for step in wave}
        since = self.clock.now() - LOOK_KEEPS
        again |= {name for name, seen in observed.items() if isinstance(seen, Seen) and seen.at < since}
        return dict(self.look(name for name in observed if name in again))

    def _listen(self, observed: Mapping[str, Observation], now: float) -> None:
        """Remember who is silent, and for how long, and tell when that begins and ends."""
        known = self.store.silences()
        silences = listen(known, observed, now)
        if known or silences:
            told = news(known, silences, observed)
            self.store.put_silences(silences.values(), told, of={*known, *observed}, now=now)

    def _pause_after(self, wave: list[Done], done: list[Done]) -> None:
        if all(step.outcome.verdict is Verdict.OK for step in wave):
            return
        tries = max(misses(done).values(), default=1)
        self.clock.sleep(PAUSE * 2 ** (tries - 1))


def world_of(
    cluster: Cluster,
    store: Store,
    observed: Mapping[str, Observation],
    now: float,
    stock: Mapping[str, str],
) -> World:
    """All that a plan is made from, as it is recorded now; `stock` as in World."""
    observed = apart(observed)
    with store.moment():
        return World(
            cluster=cluster.name,
            owner=store.owner,
            now=now,
            nodes=as_seen(cluster.nodes, observed),
            jobs=store.jobs(),
            tasks=store.current_tasks(),
            former=store.former_tasks(),
            observed=observed,
            rollouts=store.rollouts(),
            cordons=cordons_now(store, observed),
            silences=store.silences(),
            moves=store.moves(),
            maintenances=store.maintenances(),
            stock=stock,
            preemption=cluster.preemption,
        )


def refuse_strangers(observed: Mapping[str, Observation], cluster: Cluster, store: Store) -> None:
    """Two stores that drive one fleet would undo each other's work: the second is refused, with CubeError."""
    owner = store.owner
    for name, seen in observed.items():
        for container in seen.containers if isinstance(seen, Seen) else ():
            identity = container.identity
            if identity and identity.cluster == cluster.name and identity.owner != owner:
                raise CubeError(
                    f"cluster {cluster.name} is driven from another store",
                    where=name,
                    why=f"container {container.name} carries its mark, {identity.owner}",
                    cure="Use its state file (--state). If that is lost: cube recover",
                )


def spent(observed: Mapping[str, Observation]) -> dict[str, Observation]:
    """The same looks, their checks marked as counted: a failure planned from twice would count twice."""
    return {
        name: replace(seen, containers=tuple(map(_counted, seen.containers)))
        if isinstance(seen, Seen)
        else seen
        for name, seen in observed.items()
    }


def _counted(container: Container) -> Container:
    return container if container.health is Health.UNCHECKED else replace(container, health=Health.STARTING)


def worth_trying(plan: Plan, done: Sequence[Done]) -> Plan:
    """The plan without the effects that this run has asked for in vain too often."""
    tried = misses(done)
    keep = tuple(action for action in plan.actions if tried[_target(action)] < TRIES)
    return replace(plan, actions=keep)


def misses(done: Iterable[Done]) -> Counter[str]:
    """How often each target's effect was in vain; a start that failed is the restart policy's business."""
    return Counter(
        _target(step.effect)
        for step in done
        if step.outcome.verdict is Verdict.UNKNOWN
        or (step.outcome.verdict is Verdict.FAILED and not isinstance(step.effect, Start))
    )


def _target(action: Action) -> str:
    """What an effect is counted by; a Place makes a task that nothing has been tried on."""
    match action:
        case Start():
            return f"start {action.task.id}"
        case Stop() | Quarantine():
            return f"stop {action.container}"
        case Push() | Fetch():
            return f"image {action.image} on {action.node}"
        case Refresh():
            return f"refresh {action.task.id}"
        case _:
            return ""


def _only_records(plan: Plan) -> Plan:
    return replace(plan, actions=tuple(found for found in plan.actions if isinstance(found, Note | Wait)))
