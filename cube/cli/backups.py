"""Behind `cube volume backup` and `restore`: how they went."""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from cube.cli import options, reach, render, volumes
from cube.cli.reach import Place
from cube.cli.settle import wait_of
from cube.errors import InputError
from cube.manager import volumes as keeping
from cube.manager.keeping import Keeper
from cube.manager.seams import Attended, Hand
from cube.manager.shelves import file_named, open_shelf, place_of
from cube.manager.volumes import Backed, Content, Held
from cube.remote.hand import RemoteHand
from cube.remote.office import RemoteOffice
from cube.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which volume is to be kept where; `node` None: of each that has it, `last` None: all archives stay."""

    name: str
    node: str | None
    to: str
    last: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Which volume is to be filled from which archive; `node` None: that of the only node that has it."""

    name: str
    node: str | None
    file: str
    replace: bool


def back_up(place: Place, wanted: Wanted, output: options.Output) -> int:
    """Keep the volume of that name on that node, or on each; print how each went; the exit code."""
    done = list[Backed]()
    opened = open_shelf(reach.keys_of(place), place_of(place.cluster, wanted.to))
    with reach.at_hand(place) as (_, workers), opened as shelf:
        found = keeping.held(workers, _nodes(place, wanted.node))
        chosen = keeping.needed(found, wanted.name, wanted.node)
        with closing(keeping.back_up(workers, chosen, shelf, time.time, last=wanted.last)) as results:
            for backed in results:
                done.append(backed)
                if output is options.Output.TABLE:
                    _print(backed)
    if output is options.Output.JSON:
        render.as_json([_as_data(backed) for backed in done])
    volumes.warn_of_errors(found)
    return max([found.exit_code, *(backed.error.exit_code for backed in done if backed.error)])


def keep_what_is_due(place: Place, output: options.Output) -> int:
    """Keep what jobs want kept by now, remove what tasks have left, and say so; the exit code.

    A manager elsewhere does so itself.
    """
    if isinstance(place, RemoteOffice):
        return 0
    exit_code = 0
    for each in Keeper().turn(place, time.time()):
        if each.is_failed:
            exit_code = 1
            render.warn([str(each)])
        elif output is options.Output.TABLE:
            render.line(f"  {each}")
    return exit_code


def restore(place: Place, order: Order, lock_wait: str, output: options.Output) -> None:
    """Fill the volume, and say so. Raises InputError, CubeError."""
    where, file = file_named(order.file)
    at_work = reach.at_work_by_hand(place, command=f"volume restore {order.name}", wait=wait_of(lock_wait))
    with open_shelf(reach.keys_of(place), where) as shelf, at_work as (manager, workers):
        node = order.node or _only_node(keeping.held(workers, _nodes(place, None)), order.name)
        manager.refuse_unknown(node)
        fill = _filling(workers[node], manager.store, (node, order.name), may_replace=order.replace)
        done = keeping.restore(fill, (shelf, file))
    if output is options.Output.JSON:
        data = {"node": node, "volume": order.name, "files": done.tree.files, "bytes": done.tree.size}
        render.as_json({**data, "digest": done.tree.digest, "seconds": round(done.seconds, 3)})
        return
    what = f"{done.tree.files} files, {render.size(done.tree.size)}"
    render.line(f"  {node}: {order.name} restored and compared: {what} in {done.seconds:.1f} s")


def _filling(
    hand: Hand, store: Store, place: tuple[str, str], *, may_replace: bool
) -> Callable[[Content], None]:
    """What fills that node's volume of that name, here or through a manager."""
    if isinstance(hand, RemoteHand):
        return partial(hand.volumes.fill, place[1], may_replace=may_replace)
    return partial(keeping.fill, cast("Attended", hand), store, place, may_replace=may_replace)


def _nodes(place: Place, node: str | None) -> list[str]:
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
        render.line(f"  {node}: {name} kept in {kept.where}: {size} in {backed.seconds:.1f} s")
        for archive in backed.gone:
            render.line(f"  {archive.where} removed: older than the last that are kept")
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
        "path": kept.where,
        "sha256": kept.sha256,
        "bytes": kept.size,
        "files": kept.tree.files,
        "content": kept.tree.size,
        "digest": kept.tree.digest,
        "removed": [archive.where for archive in backed.gone],
        "in_use_by": [str(use) for use in backed.volume.users],
        "seconds": round(backed.seconds, 3),
    }
