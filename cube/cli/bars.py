"""What is under way, drawn on a terminal beneath what was said. It takes a while to import."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from cube.cli import render
from cube.manager.report import Done, Step, still_coming
from cube.model.action import Plan
from cube.model.transit import Transit

COLUMNS = (
    TextColumn("  {task.description}"),
    BarColumn(bar_width=20),
    TextColumn("{task.fields[far]}"),
    TimeElapsedColumn(),
)


@contextmanager
def drawn() -> Iterator["Bars"]:
    """Bars that are gone in the end."""
    with Progress(*COLUMNS, transient=True) as progress:
        yield Bars(progress)


class Bars:
    """A bar for the effects of a wave, and while images are on their way one for all of those."""

    def __init__(self, progress: Progress) -> None:
        self._drawn = progress
        self._wave = progress.add_task("looking", total=None, far="")
        self._images: TaskID | None = None
        self._coming: tuple[Transit, ...] = ()
        self._ended = self._all = 0

    def say(self, text: str, style: str | None) -> None:
        """A line above them, in a colour."""
        self._drawn.console.print(Text(render.shown(text), style=style or ""), soft_wrap=True)

    def tell(self, step: Step) -> None:
        """One step."""
        self._coming = still_coming(self._coming, step)
        match step:
            case Plan() if step.changes:
                self._ended, self._all = 0, len(step.changes)
                self._drawn.reset(self._wave, total=self._all, description="working")
            case Done():
                self._ended += 1
        far = f"{self._ended}/{self._all}" if self._all else ""
        self._drawn.update(self._wave, completed=self._ended, far=far)
        self._show_images()

    def _show_images(self) -> None:
        if self._images is None and self._coming:
            self._images = self._drawn.add_task("", total=None, far="")
        if self._images is not None and self._coming:
            got, size = (sum(getattr(each, name) for each in self._coming) for name in ("got", "size"))
            what, far = _what(self._coming), _how_far(self._coming)
            self._drawn.update(self._images, completed=got, total=size or None, description=what, far=far)
        if self._images is not None and not self._coming:
            self._drawn.remove_task(self._images)
            self._images = None


def _how_far(coming: Sequence[Transit]) -> str:
    """The bytes that have come of those known, and the layers that are in place of all, of all together."""
    got, size, done, layers = (
        sum(getattr(each, name) for each in coming) for name in ("got", "size", "done", "layers")
    )
    told = f"{render.size(got)} of {render.size(size)}" if size else ""
    return f"{told}, {done}/{layers} layers" if size and layers else told


def _what(coming: Sequence[Transit]) -> str:
    nodes = {each.node for each in coming}
    images = {each.image for each in coming}
    what = _short(images.pop()) if len(images) == 1 else f"{len(images)} images"
    return f"{what} to {nodes.pop() if len(nodes) == 1 else f'{len(nodes)} nodes'}"


def _short(image: str) -> str:
    """Its last name and tag: with a registry and a digest nothing else would have room beside it."""
    return image.partition("@")[0].rpartition("/")[2]
