"""The laws about single effects of one command: what it may do, given what it has seen.

What is right is judged by the machines, by what people asked for, and by the record; the numbers are those of
RELIABILITY.md, section 8.5. Durations are judged only while no clock has jumped.
"""

from collections.abc import Mapping

from cube.model.action import Effect, Outcome, Start, Stop, Verdict
from cube.model.observation import Observation, Seen
from cube.model.task import State
from cube.simulator.history import History
from cube.simulator.laws import must
from cube.simulator.pace import Pace
from cube.simulator.starts import Starts
from cube.simulator.stops import Stops

PLAN_KEEPS = 60.0
"""Seconds after which an effect must not begin that was planned before."""

LOOK = 6.0
"""Seconds that a look takes at most, which ends before a plan is made."""


class Watch:
    """What one command has seen, and which of its effects have an outcome that is not known."""

    def __init__(self, history: History, epoch: int) -> None:
        self.history, self.epoch = history, epoch
        self.seen: dict[str, Observation] = {}
        self.unsure: set[str] = set()
        self.open: dict[str, set[State]] = {}
        self.looked_at = 0.0
        self.starts, self.stops = Starts(history, self.seen), Stops(history, self.seen)
        self.pace = Pace(history, self.seen)

    def looked(self, observed: Mapping[str, Observation]) -> None:
        """What an unknown outcome left open was not guessed, and has been looked at now."""
        self.nothing_is_guessed()
        self.seen.update(observed)
        self.unsure -= observed.keys()
        self.looked_at = self.history.engine.time
        self.starts.moved = 0
        self.stops.preempted.clear()
        self.pace.begun.clear()
        for name, found in observed.items():
            if isinstance(found, Seen):
                self.history.answered[name] = self.history.engine.time

    def begins(self, effect: Effect) -> None:
        """Every law about an effect that is about to happen."""
        node, machines = effect.node, self.history.site.machines
        is_seen = isinstance(self.seen.get(node), Seen)
        must(is_seen, f"P3 unknown is not absent: {node} was not seen: {effect.reason}")
        must(node not in self.unsure, f"P3, 9 no blind repeat on {node}: {effect.reason}")
        newest = machines[node].epoch if node in machines else 0
        must(self.epoch >= newest, f"18 an effect of epoch {self.epoch} after one of {newest} on {node}")
        age = self.history.engine.time - self.looked_at
        must(
            self.history.has_jumped or age <= PLAN_KEEPS + LOOK,
            f"P4 a plan of {age:.0f}s ago: {effect.reason}",
        )
        moves = self.history.reading.moves().keys() - self.history.moving
        must(len(moves) <= 1, f"P8 one move at a time: {sorted(map(str, moves))}")
        self._has_an_intent(effect)
        self.pace.begins(effect)
        if isinstance(effect, Start):
            self.starts.begins(effect)
        elif isinstance(effect, Stop):
            self.stops.begins(effect)

    def ended(self, effect: Effect, outcome: Outcome) -> None:
        """An outcome that is unknown leaves open what happened."""
        if outcome.verdict is not Verdict.UNKNOWN:
            return
        self.unsure.add(effect.node)
        if effect.task is not None:
            guesses = {State.RUNNING} if isinstance(effect, Start) else {State.COMPLETED, State.FAILED}
            self.open[effect.task.id] = guesses - {self.history.reading.state_of(effect.task.id)}

    def nothing_is_guessed(self) -> None:
        """P3: before a look nothing is recorded that an unknown outcome did not say."""
        for task, guesses in self.open.items():
            state = self.history.reading.state_of(task)
            must(state not in guesses, f"P3 unknown is unknown: {task} is recorded as {state}")
        self.open.clear()

    def _has_an_intent(self, effect: Effect) -> None:
        """P9, 8: what is to happen is written down before it does."""
        if effect.task is None:
            return
        events = self.history.reading.last_events(effect.task.id)
        must(bool(events), f"8 intent before effect: nothing is recorded of {effect.reason}")
        target, _, detail = events[0]
        is_meant = target == State.SCHEDULED.value if isinstance(effect, Start) else "intent" in detail
        must(is_meant, f"8 intent before effect: {target} before {effect.reason}")
