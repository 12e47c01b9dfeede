"""How a run is followed while it lasts: a line for each step, and on a terminal what is under way beneath."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cube.cli import progress, render
from cube.manager.report import Done, Step, still_coming
from cube.model.action import Verdict
from cube.model.image import as_called
from cube.model.transit import Transit

Tell = Callable[[Step], None]


@contextmanager
def telling() -> Iterator[Tell]:
    """What tells each step of a run: lines, and on a terminal bars under them for what is under way."""
    with _above_bars() if render.is_live() else _in_lines() as tell:
        yield tell


@contextmanager
def _in_lines() -> Iterator[Tell]:
    lines, begun = Lines(render.line), Begun(render.line)

    def tell_in_lines(step: Step) -> None:
        with render.whether_read_or_not():
            begun.tell(step)
            lines.tell(step)

    yield tell_in_lines
    with render.whether_read_or_not():
        lines.end()


@contextmanager
def _above_bars() -> Iterator[Tell]:
    from cube.cli.bars import drawn  # rich takes a while to import

    with drawn() as bars:
        lines = Lines(bars.say)

        def tell_above_bars(step: Step) -> None:
            lines.tell(step)
            bars.tell(step)

        yield tell_above_bars
        lines.end()


class Lines:
    """A line for each effect that has ended, and for what was only seen.

    A failure that comes again word for word is only counted, and told at the end how often it came.
    """

    def __init__(self, say: progress.Say) -> None:
        self._say = say
        self._failures: dict[tuple[str, ...], list[Done]] = {}

    def tell(self, step: Step) -> None:
        """One step."""
        said: list[tuple[str, str | None]] = []
        progress.tell(step, lambda text, style: said.append((text, style)))
        if not self._is_said_again(step, tuple(text for text, _ in said)):
            for text, style in said:
                self._say(text, style)

    def end(self) -> None:
        """Nothing comes after this."""
        for same in self._failures.values():
            if len(same) > 1:
                verdict = same[0].outcome.verdict
                self._say(f"{progress.in_short(same[0])}  ({len(same)} times)", progress.STYLES[verdict])

    def _is_said_again(self, step: Step, said: tuple[str, ...]) -> bool:
        if not isinstance(step, Done) or step.outcome.verdict is Verdict.OK:
            return False
        same = self._failures.setdefault(said, [])
        same.append(step)
        return len(same) > 1


class Begun:
    """A line for each image that begins to come, for one who sees no bar."""

    def __init__(self, say: progress.Say) -> None:
        self._say = say
        self._coming: tuple[Transit, ...] = ()

    def tell(self, step: Step) -> None:
        """One step."""
        before, self._coming = self._coming, still_coming(self._coming, step)
        if isinstance(step, Transit) and len(self._coming) > len(before):
            self._say(f"  begun  {as_called(step.image)} is on its way to {step.node}", None)
