"""Asking: somebody waits for what they asked of a service to be done."""

import threading
from dataclasses import replace

from cube.errors import CubeError
from cube.manager.report import Done, Report, Step
from cube.manager.turn import Concern, Run
from cube.model.action import (
    Action,
    Conclude,
    EndMove,
    Fetch,
    Forget,
    Launch,
    Note,
    Place,
    Plan,
    Push,
    Quarantine,
    Refresh,
    Revert,
    Start,
    Stop,
    Wait,
)
from cube.model.transit import Transit


class Asking:
    """What one call waits for, from the thread of the call; the service's own thread answers it."""

    def __init__(self, run: Run, concern: Concern, *, version: int) -> None:
        self.run = run
        self.concern = concern
        self.version = version
        self.done: list[Done] = []
        self._answered = threading.Event()
        self._answer: Report | CubeError | None = None

    def is_about(self, action: Action) -> bool:
        """It changes something of what is waited for, or who is sent there."""
        if isinstance(action, Refresh) and any(
            self.is_of(name.partition("/")[0]) for name in action.services
        ):
            return True
        return self.is_of(job_of(action))

    def is_of(self, job: str | None) -> bool:
        """It is the job that is waited for, or a run of it; any where all are."""
        wanted = self.concern.job
        return wanted is None or (job is not None and (job == wanted or job.startswith(f"{wanted}.")))

    def tell(self, step: Step) -> None:
        """How it goes, as far as it concerns the one who asked."""
        match step:
            case Done() if self.is_about(step.effect):
                self.done.append(step)
                self.run.tell(step)
            case Transit() if self.is_of(step.job):
                self.run.tell(step)
            case Plan():
                mine = tuple(action for action in step.actions if self.is_about(action))
                if any(not isinstance(action, Wait) for action in mine):
                    self.run.tell(replace(step, actions=mine))

    def is_over(self, todo: Plan) -> bool:
        """Nothing is left to do for the concern, and nothing will be soon."""
        news = any(self.is_about(action) for action in todo.actions if not isinstance(action, Wait))
        due = todo.due_for(self.concern.job)
        return not news and (due is None or due > self.concern.until)

    def answer(self, answer: Report | CubeError) -> None:
        """Let the caller go on with it."""
        self._answer = answer
        self._answered.set()

    def wait(self) -> Report:
        """The report, once there is one. Raises what the service could not go on for."""
        self._answered.wait()
        if isinstance(self._answer, CubeError):
            raise self._answer
        assert self._answer is not None
        return self._answer


def job_of(action: Action) -> str | None:
    """The job that the action is about; None for a container that no task accounts for."""
    match action:
        case Place() | Wait():
            return action.slot.job
        case Start() | Note() | Quarantine() | Refresh():
            return action.task.slot.job
        case Stop():
            return action.task.slot.job if action.task else None
        case Launch():
            return action.job.name
        case Conclude() | Revert() | Forget() | Push() | Fetch():
            return action.job
        case EndMove():
            return action.move.slot.job
