"""Charts: how a node was used, as paths that a browser fills. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from cube.model.measure import Measure, Usage
from cube.view.usage import usages
from cube.view.words import cores, size

WIDTH, HEIGHT = 720, 60
"""Of a chart, in its own units."""

PARTS = 120
"""Steps that a chart has at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One resource over time: paths under what is in use by all, by Cube's tasks, and along what is promised.

    `text` says how much that is at the end.
    """

    name: str
    used: str
    by_tasks: str
    promised: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """From when to when a chart goes, in seconds since the epoch."""

    since: float
    until: float

    def across(self, at: float) -> int:
        """Where a moment lies."""
        return round(WIDTH * (min(max(at, self.since), self.until) - self.since) / (self.until - self.since))


def charts(found: Sequence[Measure], frame: Frame) -> tuple[Chart, ...]:
    """CPU and memory of a node; none before it was measured twice."""
    drawn = usages(_some(found, frame))
    if not drawn:
        return ()
    return tuple(_chart(name, words, drawn, frame) for name, words in (("cpu", cores), ("memory", size)))


def _some(found: Sequence[Measure], frame: Frame) -> Iterable[Measure]:
    """The first, and the last in each part of the time: two tell of all that was between them."""
    length = (frame.until - frame.since) / PARTS
    last = {int((measure.at - frame.since) / length): measure for measure in found}
    return (*found[:1], *last.values())


def _chart(name: str, words: Callable[[float], str], drawn: Sequence[Usage], frame: Frame) -> Chart:
    def under(amount: Callable[[Usage], float]) -> str:
        return "".join(
            f"M{frame.across(usage.since)} {HEIGHT}V{_height(amount(usage), whole)}"
            f"H{frame.across(usage.at)}V{HEIGHT}z"
            for usage in drawn
        )

    def along(amount: Callable[[Usage], float]) -> str:
        return "".join(
            f"M{frame.across(usage.since)} {_height(amount(usage), whole)}H{frame.across(usage.at)}"
            for usage in drawn
        )

    last = drawn[-1]
    whole = getattr(last.capacity, name)
    tasks, others = getattr(last.by_tasks, name), getattr(last.by_others, name)
    return Chart(
        name=name,
        used=under(lambda usage: getattr(usage.used, name)),
        by_tasks=under(lambda usage: getattr(usage.by_tasks, name)),
        promised=along(lambda usage: getattr(usage.promised, name)),
        text=f"{words(tasks)} used by tasks, {words(others)} by others, of {words(whole)}",
    )


def _height(amount: float, whole: float) -> int:
    return round(HEIGHT * (1 - min(amount / whole, 1.0))) if whole else HEIGHT
