"""Behind `cube volume backup` and `restore`: how they went."""

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cube.cli import options, render, volumes
from cube.cli.reach import Place
from cube.cli.settle import wait_of
from cube.errors import InputError
from cube.manager import volumes as keeping
from cube.manager.keeping import Made, keep_due
from cube.manager.office import Office
from cube.manager.session import at_hand, at_work_by_hand
from cube.manager.volumes import Backed, Held, Shelf
from cube.remote.office import RemoteOffice


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which volume is to be filled from which archive; `node` None: that of the only node that has it."""

    name: str
    node: str | None
    file: Path
    replace: bool


def back_up(place: Office, named: tuple[str, str | None], shelf: Shelf, output: options.Output) -> int:
    """Keep the volume of that name on that node, or on each; print how each went; the exit code."""
    (name, node), done = named, []
    with at_hand(place) as (_, workers):
        found = keeping.held(workers, _nodes(place, node))
        chosen = keeping.needed(found, name, node)
        with closing(keeping.back_up(workers, chosen, shelf, time.time)) as results:
            for backed in results:
                done.append(backed)
                if output is options.Output.TABLE:
                    _print(backed)
    if output is options.Output.JSON:
        render.as_json([_as_data(backed) for backed in done])
    volumes.warn_of_errors(found)
    return max([found.exit_code, *(backed.error.exit_code for backed in done if backed.error)])


def keep_what_is_due(place: Place, output: options.Output) -> int:
    """Keep what jobs want kept by now, and say so; the exit code. A manager elsewhere does so itself."""
    if isinstance(place, RemoteOffice):
        return 0
    done = list[Made]()
    for made in keep_due(place, time.time()):
        done.append(made)
        if made.is_failed:
            render.warn([str(made)])
        elif output is options.Output.TABLE:
            render.line(f"  {made}")
    return int(any(made.is_failed for made in done))


def restore(place: Office, order: Order, lock_wait: str, output: options.Output) -> None:
    """Fill the volume, and say so. Raises InputError, CubeError."""
    with at_work_by_hand(place, command=f"volume restore {order.name}", wait=wait_of(lock_wait)) as (
        manager,
        workers,
    ):
        node = order.node or _only_node(keeping.held(workers, _nodes(place, None)), order.name)
        manager.refuse_unknown(node)
        done = keeping.restore(
            workers[node], manager.store, order.name, order.file, may_replace=order.replace
        )
    if output is options.Output.JSON:
        data = {"node": node, "volume": order.name, "files": done.tree.files, "bytes": done.tree.size}
        render.as_json({**data, "digest": done.tree.digest, "seconds": round(done.seconds, 3)})
        return
    what = f"{done.tree.files} files, {render.size(done.tree.size)}"
    render.line(f"  {node}: {order.name} restored and compared: {what} in {done.seconds:.1f} s")


def _nodes(place: Office, node: str | None) -> list[str]:
    """Raises InputError for a node that is not known."""
    names = [found.name for found in place.cluster.nodes]
    if node is not None and node not in names:
        raise InputError(
            f"there is no node {node!r}", where=place.cluster.name, cure=f"Known nodes: {', '.join(names)}."
        )
    return names if node is None else [node]


def _only_node(found: Held, name: str) -> str:
    nodes = [volume.node for volume in found.named(name)]
    if len(nodes) != 1 or found.errors:
        has = ", ".join([*nodes, *(f"perhaps {node}, which does not answer" for node in found.errors)])
        why = f"{name} is on {has or 'none'}"
        raise InputError("on which node is not clear", where="--node", why=why, cure="Name one.")
    return nodes[0]


def _print(backed: Backed) -> None:
    node, name = backed.volume.node, backed.volume.name
    if backed.error is not None:
        render.warn(f"{node}: {line}" for line in str(backed.error).splitlines())
    if (kept := backed.kept) is not None:
        size = f"{kept.tree.files} files, {render.size(kept.tree.size)} as {render.size(kept.size)}"
        render.line(f"  {node}: {name} kept in {kept.path}: {size} in {backed.seconds:.1f} s")
        for path in backed.gone:
            render.line(f"  {path} removed: older than the last that are kept")
        if backed.volume.users:
            who = ", ".join(map(str, backed.volume.users))
            render.warn([f"{node}: {who} ran meanwhile: what it was writing may be half in the archive"])


def _as_data(backed: Backed) -> dict[str, Any]:
    volume = {"node": backed.volume.node, "volume": backed.volume.name}
    kept = backed.kept
    if kept is None:
        return {**volume, "error": str(backed.error)}
    return {
        **volume,
        "path": str(kept.path),
        "sha256": kept.sha256,
        "bytes": kept.size,
        "files": kept.tree.files,
        "content": kept.tree.size,
        "digest": kept.tree.digest,
        "removed": [str(path) for path in backed.gone],
        "in_use_by": [str(use) for use in backed.volume.users],
        "seconds": round(backed.seconds, 3),
    }
