"""What can go wrong between a manager and its machines, drawn from one seed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random
from typing import Protocol

from cube.manager.seams import Clock
from cube.model.action import Effect, Outcome, Verdict
from cube.model.observation import Cause, Observation, Unknown
from cube.simulator.machine import Machine

STALE = Outcome(verdict=Verdict.STALE, why="the plan is too old")
LOST = Outcome(verdict=Verdict.UNKNOWN, why="no answer in time")


class Fault(StrEnum):
    """What happens to one effect."""

    NONE = "none"
    LOST_REQUEST = "the request is lost"
    LOST_REPLY = "the effect happens and the reply is lost"
    LATE = "the effect happens after the manager gave up"


@dataclass(slots=True, kw_only=True)
class Weather:
    """How bad it is: the share of effects and of looks that meet a fault, and the kinds that there are.

    `slow`: seconds that a machine takes for an effect, at most.
    """

    effects: float = 0.0
    looks: float = 0.0
    kinds: tuple[Fault, ...] = (Fault.LOST_REQUEST, Fault.LOST_REPLY, Fault.LATE)
    slow: float = 0.1


@dataclass(slots=True, kw_only=True)
class Site:
    """The machines, and in what state the way to each of them is.

    `down`: nothing answers. `hung`: the machine answers and its engine does not. `deliver_late` lets an
    effect happen later on.
    """

    machines: dict[str, Machine]
    weather: Weather = field(default_factory=Weather)
    down: set[str] = field(default_factory=set)
    hung: set[str] = field(default_factory=set)
    deliver_late: Callable[[Callable[[], None]], None] = lambda _act: None


class Witness(Protocol):
    """Sees everything that a manager does to the machines, and may end it there."""

    def looked(self, observed: Mapping[str, Observation]) -> None:
        """Those nodes were asked."""

    def begins(self, effect: Effect) -> None:
        """The effect is about to be carried out."""

    def ended(self, effect: Effect, outcome: Outcome) -> None:
        """The manager is about to be told of it."""


class Nobody:
    """Sees nothing."""

    def looked(self, observed: Mapping[str, Observation]) -> None:
        """Look away."""

    def begins(self, effect: Effect) -> None:
        """Look away."""

    def ended(self, effect: Effect, outcome: Outcome) -> None:
        """Look away."""


@dataclass(slots=True, kw_only=True)
class SimulatedFleet:
    """The machines as one manager meets them, in an order that the seed draws, with faults in between."""

    site: Site
    clock: Clock
    random: Random
    epoch: int = 1
    witness: Witness = field(default_factory=Nobody)

    def observe(self, names: Iterable[str], now: float) -> Mapping[str, Observation]:
        """Each machine's answer, or none; all are asked at once, so the slowest decides how long it takes."""
        observed = {name: self._look(name, now) for name in names}
        is_waited_for = any(isinstance(found, Unknown) for found in observed.values())
        self.witness.looked(observed)
        self.clock.sleep(5.0 if is_waited_for else 0.05)
        return observed

    def perform(self, effects: Iterable[Effect], until: float) -> Iterator[tuple[Effect, Outcome]]:
        """The outcomes, as the manager gets to know them; none on a node after one that is unknown."""
        queue = list(effects)
        self.random.shuffle(queue)
        silent: set[str] = set()
        for effect in queue:
            if effect.node not in silent:
                outcome = self._perform(effect, until)
                if outcome.verdict is Verdict.UNKNOWN:
                    silent.add(effect.node)
                self.witness.ended(effect, outcome)
                yield effect, outcome

    def digest(self, _image: str, _node: str) -> str:
        """What a registry has: there is none."""
        return ""

    def stock(self) -> Mapping[str, str]:
        """What the operator's engine has: nothing."""
        return {}

    def _perform(self, effect: Effect, until: float) -> Outcome:
        if self.clock.now() > until:
            return STALE
        self.witness.begins(effect)
        outcome = self._try(effect, self._draw())
        self.clock.sleep(30.0 if outcome is LOST else self.random.uniform(0.05, self.site.weather.slow))
        return outcome

    def _look(self, name: str, now: float) -> Observation:
        if name in self.site.hung:
            stats = self.site.machines[name].observe(now).stats
            return Unknown(node=name, at=now, cause=Cause.DOCKER_SILENT, why="", cure="", stats=stats)
        if name in self.site.down or name not in self.site.machines:
            return Unknown(node=name, at=now, cause=Cause.TIMEOUT, why="timed out", cure="")
        luck = self.random.random()
        if luck < self.site.weather.looks:
            return Unknown(node=name, at=now, cause=Cause.TIMEOUT, why="timed out", cure="")
        found = self.site.machines[name].observe(now)
        return replace(found, images=None) if luck < 2 * self.site.weather.looks else found

    def _draw(self) -> Fault:
        weather = self.site.weather
        if not weather.kinds or self.random.random() >= weather.effects:
            return Fault.NONE
        return self.random.choice(weather.kinds)

    def _try(self, effect: Effect, fault: Fault) -> Outcome:
        machine, now, epoch = self.site.machines.get(effect.node), self.clock.now(), self.epoch
        is_cut_off = effect.node in self.site.down or effect.node in self.site.hung
        if machine is None or is_cut_off or fault is Fault.LOST_REQUEST:
            return LOST
        if fault is Fault.LATE:
            self.site.deliver_late(lambda: _quietly(machine, effect, now, epoch))
            return LOST
        outcome = machine.perform(effect, now, epoch)
        return LOST if fault is Fault.LOST_REPLY else outcome


def _quietly(machine: Machine, effect: Effect, now: float, epoch: int) -> None:
    machine.perform(effect, now, epoch)
