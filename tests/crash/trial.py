"""Kill a command at each of its points in turn, let a sweep mend it, and compare with a run left alone."""

import time  # noqa: TID251 - real runs take real time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cube.model.node import Cordon
from cube.model.task import State
from tests.crash.scenarios import Scenario
from tests.crash.yard import Found, Yard

SWEEPS = 3
"""How many sweeps may do something before one that has nothing to do."""

End = tuple[tuple[str, bool, bool], ...]
"""What runs, by slot: has it the newest job file's spec, and is it on a node that is to be empty?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one point: everything that was not as it should be, and how many sweeps did something."""

    point: str
    wrong: tuple[str, ...]
    sweeps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All points of one scenario, and the seconds that they took."""

    scenario: str
    trials: tuple[Trial, ...]
    seconds: float

    @property
    def failed(self) -> tuple[Trial, ...]:
        """The points after which something was wrong."""
        return tuple(trial for trial in self.trials if trial.wrong)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undisturbed:
    """A run that was left alone: its points in order, and what ran before it and after."""

    points: tuple[str, ...]
    before: End
    after: End


def try_all(
    scenario: Scenario, yard: Yard, *, since: str = "", tell: Callable[[Trial], None] = lambda _: None
) -> Result:
    """Every point that an undisturbed run of the scenario passes, in turn; those from `since` on."""
    begun = time.monotonic()
    run = _undisturbed(scenario, yard)
    trials = []
    for point in run.points[run.points.index(since) if since else 0 :]:
        trials.append(_try(point, run, scenario, yard))
        tell(trials[-1])
    return Result(scenario=scenario.name, trials=tuple(trials), seconds=time.monotonic() - begun)


def _undisturbed(scenario: Scenario, yard: Yard) -> Undisturbed:
    yard.clear()
    words = scenario.prepare(yard)
    before = _end(yard, yard.containers())
    points = tuple(yard.points(words))
    return Undisturbed(points=points, before=before, after=_end(yard, yard.containers()))


def _try(point: str, run: Undisturbed, scenario: Scenario, yard: Yard) -> Trial:
    words = scenario.prepare(yard)
    if not yard.kill(point, words):
        return Trial(point=point, wrong=("the run ended without passing here",))
    is_wanted = run.points.index(point) >= run.points.index(f"COMMIT {scenario.fact}, after #1")
    wrong, sweeps = _settle(yard)
    wrong += _unlike(run.after if is_wanted else run.before, yard)
    with yard.store() as store:
        if scenario.is_wanted(store, yard.mark) != is_wanted:
            wrong.append("what is wanted was lost, or was there before it was committed")
    if not is_wanted:
        yard.cube(*words)
        wrong += _settle(yard)[0] + _unlike(run.after, yard)
    return Trial(point=point, wrong=tuple(wrong), sweeps=sweeps)


def _settle(yard: Yard) -> tuple[list[str], int]:
    """Sweep until one has nothing to do; what was wrong, and how many had something to do."""
    for number in range(SWEEPS + 1):
        done = yard.sweep()
        if done.returncode != 0:
            return [f"sweep {number + 1} ended with {done.returncode}: {done.stdout}{done.stderr}"], number
        if not done.stdout + done.stderr:
            return [], number
    return [f"after {SWEEPS} sweeps another one still does: {done.stdout}{done.stderr}"], SWEEPS


def _end(yard: Yard, containers: Iterable[Found]) -> End:
    drained = {name for name, cordon in _cordons(yard).items() if cordon.draining}
    return tuple(sorted((found.slot, found.mark == yard.mark, found.node in drained) for found in containers))


def _cordons(yard: Yard) -> Mapping[str, Cordon]:
    if not yard.has_state():
        return {}
    with yard.store() as store:
        return store.cordons()


def _unlike(expected: End, yard: Yard) -> list[str]:
    """Everything that tells this fleet and its record from those of a run that was left alone."""
    containers = yard.containers()
    end = _end(yard, containers)
    with yard.store() as store:
        recorded = [task for task in store.tasks() if task.state is State.RUNNING]
        wrong = [f"store: {problem}" for problem in store.check()]
        events = store.events()
    failed = [event.reason for event in events if event.target is State.FAILED]
    if end != expected:
        story = [f"{event.task} {event.target} on {event.node}: {event.reason}" for event in events]
        wrong.append(f"runs {end}, not {expected}, after {story}")
    if idle := [found for found in containers if found.state != "running"]:
        wrong.append(f"does not run: {idle}")
    wrong += _astray(containers, yard)
    if {found.id for found in containers} != {task.container for task in recorded}:
        wrong.append(f"recorded {recorded}, there {containers}")
    return wrong + [f"a task failed: {reason}" for reason in failed]


def _astray(containers: Sequence[Found], yard: Yard) -> Iterator[str]:
    """What tasks have that is not theirs, or lack, and files on nodes that are nobody's."""
    owners = {(found.node, found.task) for found in containers if found.has_files}
    if (folders := yard.folders()) != owners:
        yield f"there are files of {folders}, and tasks that have some are {owners}"
    for found in containers:
        if found.has_files and found.state == "running":
            wanted = [f"whole of {found.mark}", f"loud of {found.mark}", f"{found.name} {found.mark}", "told"]
            has = yard.has(found)
            marks = has[len(wanted) :]
            if has[: len(wanted)] != wanted or marks[:1] + marks[-1:] != [yard.firsts[-1], found.mark]:
                yield f"{found} has {has}"
