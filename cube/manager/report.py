"""What a settled, or unsettled, fleet looks like to the person who asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cube.model.action import Change, Effect, EndMove, Fetch, Held, Outcome, Place, Plan, Push, Verdict, Wait
from cube.model.observation import Observation, Seen, Unknown
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Health, State, Task
from cube.model.transit import Transit


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One effect and what came of it."""

    effect: Effect
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What was done beside the loop's own steps, in words."""

    text: str


Step = Plan | Done | Transit | Remark
"""What is told of a run while it lasts: a plan before the loop acts on it, each effect as it ends, how far
the image is that one waits for, and what was done beside."""


def still_coming(before: tuple[Transit, ...], step: Step) -> tuple[Transit, ...]:
    """The images that are under way after that step, each as it was told of last, the oldest first."""
    match step:
        case Transit():
            return tuple(({each.key: each for each in before} | {step.key: step}).values())
        case Done():
            return tuple(each for each in before if not each.is_for(step.effect))
        case Plan() | Remark():
            return before


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How it stands when the loop ends.

    `job` is the one that was asked about; None: all. `plan` is the last one; what it still holds could
    not be done. `tasks` are the current ones, `rollouts` those of every job. `asked` is the version that the
    run began with, 0 where it was about no single one. `moves` are those that it was asked for and saw
    the end of.
    """

    job: str | None
    plan: Plan
    done: tuple[Done, ...]
    tasks: tuple[Task, ...]
    observed: Mapping[str, Observation]
    is_late: bool
    rollouts: Mapping[str, Rollout] = field(default_factory=dict)
    asked: int = 0
    moves: tuple[EndMove, ...] = ()

    @property
    def unknown(self) -> tuple[Unknown, ...]:
        """The nodes that did not answer."""
        return tuple(found for found in self.observed.values() if isinstance(found, Unknown))

    def sees(self, node: str | None) -> bool:
        """The node answered the last look at it."""
        return isinstance(self.observed.get(node or ""), Seen)

    @property
    def out_of_sight(self) -> tuple[Task, ...]:
        """Tasks, also of its runs, that may run on nodes which are no longer in the inventory."""
        return tuple(
            task
            for task in self.tasks
            if self.job in (None, task.slot.job, task.slot.job.rpartition(".")[0])
            and task.node is not None
            and task.node not in self.observed
            and not task.state.is_terminal
        )

    @property
    def unproven(self) -> tuple[Task, ...]:
        """Tasks that run and whose check has not answered well, or could not be asked at all."""
        return tuple(
            task
            for task in self.tasks
            if self.job in (None, task.slot.job)
            and task.state is State.RUNNING
            and task.health is Health.STARTING
        )

    def check_of(self, task: Task) -> str:
        """Why the task's check did not answer well in the last look at it; empty: nobody knows."""
        seen = self.observed.get(task.node or "")
        containers = seen.containers if isinstance(seen, Seen) else ()
        return next((found.check for found in containers if found.id == task.container), "")

    @property
    def waiting(self) -> tuple[Wait, ...]:
        """Slots that fit nowhere, or wait for another group."""
        waits = (action for action in self.plan.actions if isinstance(action, Wait))
        return tuple(wait for wait in waits if self.job in (None, wait.slot.job))

    @property
    def rollout(self) -> Rollout | None:
        """How far the job that was asked about has come."""
        return self.rollouts.get(self.job or "")

    @property
    def failed(self) -> tuple[Task, ...]:
        """Tasks that ended badly or are not healthy."""
        return tuple(
            task
            for task in self.tasks
            if self.job in (None, task.slot.job)
            and (task.state is State.FAILED or task.health is Health.UNHEALTHY)
            and task.state is not State.COMPLETED
            and not self._is_replaced(task)
        )

    @property
    def held(self) -> tuple[Held, ...]:
        """Tasks that were to go and still serve: their successor has no place, or does not come up."""
        return tuple(held for held in self.plan.held if self.job in (None, held.job))

    @property
    def stuck(self) -> tuple[Held, ...]:
        """Those of them that nobody has put on hold on purpose."""
        has_failed = self.rollout is not None and self.rollout.state is RolloutState.FAILED
        return tuple(held for held in self.held if has_failed or not held.waits_for_a_person)

    @property
    def undone(self) -> tuple[Change, ...]:
        """Changes that the last plan still asked for."""
        return tuple(change for change in self.plan.changes if self.job in (None, _job(change)))

    @property
    def changed(self) -> int:
        """How many effects were carried out."""
        return sum(done.outcome.verdict is Verdict.OK for done in self.done)

    @property
    def has_gone_back(self) -> bool:
        """The version that was asked for failed, and the one before it was brought back."""
        return self.rollout is not None and self.rollout.version > self.asked > 0

    @property
    def troubles(self) -> tuple[str, ...]:
        """What is not as it should be, each in words."""
        return (
            *(f"{end}" for end in self.moves if not end.is_done),
            *(f"{wait.slot} waits: {wait.reason}" for wait in self.waiting),
            *(f"{task.slot} failed on {task.node}: {task.reason}" for task in self.failed),
            *map(str, self.held),
            *(f"{found.node} does not answer: {found.why}" for found in self.unknown),
        )

    @property
    def exit_code(self) -> int:
        """0 settled; 1 something failed, fits nowhere or took too long; 3 a node or a task is unknown."""
        if self.failed or self.waiting or self.undone or self.stuck or self.has_gone_back:
            return 3 if self._is_only_unknown else 1
        if self.is_late or not all(end.is_done for end in self.moves):
            return 1
        return 3 if self.unknown or self.out_of_sight or self.unproven else 0

    @property
    def summary(self) -> str:
        """The run in a few words: how much was changed, and what is not as it should be."""
        moved = sum(end.is_done for end in self.moves)
        troubles = (
            (moved, "moved"),
            (len(self.moves) - moved, "not moved"),
            (len(self.failed), "failed"),
            (len(self.waiting), "waiting"),
            (len(self.undone), "not done"),
            (len(self.held), "group(s) with tasks still to be replaced"),
            (len(self.unproven), "not known to be healthy"),
            (len(self.unknown), "node(s) unknown"),
            (len(self.out_of_sight), "on nodes that are not in the inventory"),
        )
        found = ((self.changed, "change(s)"), *(trouble for trouble in troubles if trouble[0]))
        words = [f"{count} {what.replace('(s)', '' if count == 1 else 's')}" for count, what in found]
        return ", ".join([*words, "out of time"] if self.is_late else words)

    def _is_replaced(self, task: Task) -> bool:
        """It is in quarantine, and another one has taken its slot."""
        later = (found for found in self.tasks if found.slot == task.slot and found.order > task.order)
        return task.quarantined_until is not None and any(later)

    @property
    def _is_only_unknown(self) -> bool:
        return not self.failed and not self.undone and len(self.unknown) == len(self.observed)


def _job(change: Change) -> str | None:
    if isinstance(change, Place):
        return change.slot.job
    if isinstance(change, Push | Fetch):
        return change.job
    return change.task.slot.job if change.task else None
