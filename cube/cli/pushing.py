"""Behind `cube image push`: how far it is, and what came of each node."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from cube.cli import options, render
from cube.cli.reach import Place
from cube.image.own import OwnEngine
from cube.inventory.pattern import select
from cube.manager.images import Pushed, exit_code, pushed_from
from cube.model.image import full_name
from cube.remote.office import RemoteOffice

MANY = 8
"""Nodes at once from which on it is told that they could pass an image on to each other."""

Tell = Callable[[str, int, int], None]


def tell(place: Place, image: str, pattern: str, output: options.Output) -> int:
    """Push, print a line for each node as it ends, and return the exit code."""
    nodes = [node.name for node in select(place.cluster, pattern)]
    is_table = output is options.Output.TABLE
    ended = []
    with _progress(is_shown=is_table) as hear, _pushed(place, image, nodes, hear) as results:
        for pushed in results:
            ended.append(pushed)
            if is_table:
                _print(pushed, image)
    if not is_table:
        render.as_json([_as_data(pushed) for pushed in ended])
    elif said := hint(ended):
        render.line(said)
    return exit_code(ended)


def hint(ended: Sequence[Pushed]) -> str:
    """How this machine could have sent less, where it sent one image to many nodes; empty: it could not."""
    new = [pushed.delivered for pushed in ended if pushed.delivered and pushed.delivered.is_new]
    if len(new) < MANY or any(done.source or done.note for done in new):
        return ""
    sent = render.size(sum(done.sent for done in new))
    return f"  sent from here {len(new)} times, {sent}; once, if the inventory has cube_image_tree: true"


def _pushed(
    place: Place, image: str, nodes: Sequence[str], hear: Tell
) -> AbstractContextManager[Iterator[Pushed]]:
    """What comes of each node, here or through a manager. The image is this machine's either way."""
    if isinstance(place, RemoteOffice):
        from cube.remote.pushing import pushed_through

        return pushed_through(place.link, OwnEngine(place.engine), full_name(image), nodes, hear)
    return pushed_from(place, image, nodes, hear)


def _print(pushed: Pushed, image: str) -> None:
    if pushed.delivered is None:
        render.warn(str(pushed.error).splitlines())
        return
    done = pushed.delivered
    if not done.is_new:
        render.line(f"  {pushed.node}: {image} has it")
        return
    what = f"{render.size(done.sent)} in {done.seconds:.1f} s, {done.layers} layers"
    source = f", from {done.source}" if done.source else ""
    render.line(f"  {pushed.node}: {image} pushed: {what}{source}")
    if done.note:
        render.line(f"    sent from here: {done.note}")


def _as_data(pushed: Pushed) -> dict[str, Any]:
    done = pushed.delivered
    if done is None:
        return {"node": pushed.node, "error": str(pushed.error)}
    return {
        "node": pushed.node,
        "pushed": done.is_new,
        "bytes": done.sent,
        "layers": done.layers,
        "seconds": round(done.seconds, 3),
        "from": done.source or None,
        "note": done.note or None,
    }


@contextmanager
def _progress(*, is_shown: bool) -> Iterator[Tell]:
    """One bar for all nodes, where somebody watches."""
    if not (is_shown and render.is_live()):
        yield lambda _node, _sent, _size: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    sent: dict[str, tuple[int, int]] = {}
    with Progress(*columns, transient=True) as bar:
        all_nodes = bar.add_task("packing", total=None)

        def hear(node: str, so_far: int, size: int) -> None:
            sent[node] = (so_far, size)
            done, whole = (sum(pair[at] for pair in tuple(sent.values())) for at in (0, 1))
            bar.update(all_nodes, completed=done, total=whole, description=f"to {len(sent)} nodes")

        yield hear
