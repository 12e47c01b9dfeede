"""What can go wrong between the manager and a machine, drawn from one seed."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from cube.model.action import Effect, Outcome, Verdict
from cube.model.observation import Cause, Observation, Unknown
from cube.simulator.clock import VirtualClock
from cube.simulator.machine import Machine


class Fault(StrEnum):
    """What happens to one effect."""

    NONE = "none"
    LOST_REQUEST = "the request is lost"
    LOST_REPLY = "the effect happens and the reply is lost"
    LATE = "the effect happens after the manager gave up"
    KILLED_BEFORE = "the manager is killed before the effect"
    KILLED_AFTER = "the manager is killed after the effect"


STALE = Outcome(verdict=Verdict.STALE, why="the plan is too old")


class ManagerKilled(BaseException):
    """The manager's process ends here, as by kill -9."""


@dataclass(slots=True, kw_only=True)
class Weather:
    """How bad it is: the share of effects and looks that meet a fault."""

    effects: float = 0.0
    looks: float = 0.0


@dataclass(slots=True, kw_only=True)
class SimulatedFleet:
    """The machines, asked one after another in an order that the seed draws, with faults in between."""

    machines: Mapping[str, Machine]
    clock: VirtualClock
    random: Random
    weather: Weather = field(default_factory=Weather)
    down: set[str] = field(default_factory=set)
    late: list[Effect] = field(default_factory=list)

    def observe(self, names: Iterable[str], now: float) -> Mapping[str, Observation]:
        """Each machine's answer, or none."""
        self._deliver_late()
        return {name: self._look(name, now) for name in names}

    def perform(self, effects: Iterable[Effect], until: float) -> Iterator[tuple[Effect, Outcome]]:
        """The outcomes, as the manager gets to know them. Raises ManagerKilled in the middle of it."""
        queue = list(effects)
        self.random.shuffle(queue)
        for effect in queue:
            self.clock.sleep(0.1)
            is_stale = self.clock.now() > until
            yield effect, STALE if is_stale else self._try(effect, self._draw())

    def _look(self, name: str, now: float) -> Observation:
        if name in self.down or self.random.random() < self.weather.looks:
            return Unknown(node=name, at=now, cause=Cause.TIMEOUT, why="timed out", cure="")
        return self.machines[name].observe(now)

    def _draw(self) -> Fault:
        if self.random.random() >= self.weather.effects:
            return Fault.NONE
        return self.random.choice([fault for fault in Fault if fault is not Fault.NONE])

    def _try(self, effect: Effect, fault: Fault) -> Outcome:
        lost = Outcome(verdict=Verdict.UNKNOWN, why="no answer in time")
        if effect.node in self.down or fault is Fault.LOST_REQUEST:
            return lost
        if fault is Fault.KILLED_BEFORE:
            raise ManagerKilled
        if fault is Fault.LATE:
            self.late.append(effect)
            return lost
        outcome = self.machines[effect.node].perform(effect, self.clock.now())
        if fault is Fault.KILLED_AFTER:
            raise ManagerKilled
        return lost if fault is Fault.LOST_REPLY else outcome

    def _deliver_late(self) -> None:
        """About half of what hangs arrives now."""
        held, self.late = self.late, []
        for effect in held:
            if self.random.random() < 0.5:
                self.machines[effect.node].perform(effect, self.clock.now())
            else:
                self.late.append(effect)
