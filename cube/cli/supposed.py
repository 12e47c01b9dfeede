"""Behind `cube simulate`: the fleet as it is recorded, and what is supposed of it."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cube.cli import options, plot, render
from cube.cli.office import pairs
from cube.cli.reach import Place, recorded
from cube.cli.settle import counts_of
from cube.errors import InputError
from cube.manager.wanted import scaled_by_path
from cube.model.action import Refusal
from cube.model.codec import to_data
from cube.model.node import Access, Node
from cube.model.observation import Observation, Seen, Unknown
from cube.model.resources import Resources
from cube.model.task import Slot
from cube.model.units import size
from cube.reconciler.placement import FRESH
from cube.reconciler.world import World, as_seen
from cube.scheduler.algorithms import ALGORITHMS
from cube.store.rows import Look
from cube.whatif.change import NO_ENGINE, Addition, Change, added_nodes
from cube.whatif.loss import falls
from cube.whatif.needs import play_anew
from cube.whatif.play import Move, Packing, Play, Stuck, play

MOVE = ("task", "from", "to", "score", "reason")
STUCK = ("task", "from", "reason")
PACKING = ("node", "cpu", "cpu then", "memory", "memory then", "fuller")
FALL = ("node", "survives", "reason")

NOTHING = Change()
"""Nothing is supposed."""

TOLD = 5
"""Of how many nodes a cell tells why they refuse."""

_ADDED = re.compile(r"(?:([1-9]\d{0,3})\*)?([1-9]\d{0,3})x([^,]+)(?:,(.*))?", re.ASCII)
NAMED = 40
"""So many nodes are named in a plot."""


def recorded_world(place: Place) -> World:
    """The fleet as it was last seen and recorded, and all of it taken for fresh.

    Raises InputError where no node was ever looked at.
    """
    now = time.time()
    with recorded(place) as store, store.moment():
        looks = {look.node: look for look in store.looks()}
        observed = {
            node.name: _observation(looks[node.name], now)
            for node in place.cluster.nodes
            if node.name in looks
        }
        world = World(
            cluster=place.cluster.name,
            owner=store.owner,
            now=now,
            nodes=as_seen(place.cluster.nodes, observed),
            jobs=store.jobs(),
            tasks=store.current_tasks(),
            former=store.former_tasks(),
            observed=observed,
            rollouts=store.rollouts(),
            cordons=store.cordons(),
            silences=store.silences(),
        )
    if not any(isinstance(found, Seen) for found in world.observed.values()):
        cure = "Look at them once: cube nodes"
        raise InputError("no look at the nodes is recorded", where=place.cluster.name, cure=cure)
    render.warn([*_of_unseen(world), *_of_old_looks(world, looks)])
    return world


def change_of(world: World, lose: Sequence[str], add: Sequence[str], scale: Sequence[str]) -> Change:
    """What the options suppose. Raises InputError for unknown nodes and jobs, and for what is no size."""
    if strange := [name for name in lose if name not in world.nodes]:
        known = ", ".join(world.nodes)
        raise InputError(f"there is no node {strange[0]!r}", where="--lose", cure=f"Known nodes: {known}.")
    return Change(
        lost=frozenset(lose),
        added=added_nodes(world, [found for text in add for found in _additions(text, world)]),
        jobs=scaled_by_path(
            {job.name: job for job in world.jobs}, counts_of(scale, "--scale", "JOB=COUNT"), where="--scale"
        ),
    )


def show(world: World, change: Change, scheduler: str, file: Path | None, output: options.Output) -> None:
    """Print what would come of the change, and draw it. Raises InputError where that cannot be."""
    found = play(world, change, ALGORITHMS[scheduler])
    if file is not None:
        draw(found, file)
    _print(found, output)


def show_anew(world: World, scheduler: str, file: Path | None, output: options.Output) -> None:
    """As `show`, for where all services would be if that scheduler placed every task of theirs anew."""
    found = play_anew(world, ALGORITHMS[scheduler])
    if file is not None:
        draw(found, file)
    _print(found, output)
    if output is not options.Output.JSON:
        before, after = (sum(map(bool, shares)) for shares in zip(*map(_in_use, found.packing), strict=True))
        render.line(f"placed anew by {scheduler}; nodes in use: {before} now, {after} then", "bright_black")


def draw(found: Play, file: Path) -> None:
    """Write a PNG of how full each node is, and would be. Raises InputError."""

    def on(axes: Any) -> None:
        names = [each.node for each in found.packing]
        now, then = (
            [_fuller(promised, each.capacity) for each, promised in zip(found.packing, promises, strict=True)]
            for promises in zip(*((each.before, each.after) for each in found.packing), strict=True)
        )
        axes.stairs(now, fill=True, color="#d0d7de", label="now")
        axes.stairs(then, linewidth=2, label="then")
        axes.set(ylabel="promised, of CPU or memory the larger share", xlabel="nodes")
        axes.set_ylim(bottom=0)
        if len(names) <= NAMED:
            axes.set_xticks([at + 0.5 for at in range(len(names))], names, rotation=90)

    plot.write(file, on)


def _in_use(found: Packing) -> tuple[bool, bool]:
    return found.before not in (None, Resources()), found.after not in (None, Resources())


def _print(found: Play, output: options.Output) -> None:
    if output is options.Output.JSON:
        render.as_json({**to_data(found), "ended": [str(task.slot) for task in found.ended]})
        return
    if found.moves:
        render.table([_of_move(move) for move in found.moves], MOVE, output)
        render.line("")
    if found.stuck:
        render.line("These fit nowhere:", "red")
        render.table([_of_stuck(stuck) for stuck in found.stuck], STUCK, output)
        render.line("")
    render.table([_of_packing(packing) for packing in found.packing], PACKING, output)
    render.line(_summary(found), "bright_black")


def show_falls(world: World, change: Change, scheduler: str, output: options.Output) -> int:
    """Print which nodes can be lost, one at a time: 0 any of them, 1 not every one."""
    found = tuple(falls(world, change, ALGORITHMS[scheduler]))
    rows = [
        {
            "node": name,
            "survives": not stuck,
            "reason": f"no room for {_slots([entry.slot for entry in stuck])}" if stuck else "",
            "stuck": to_data(stuck),
        }
        for name, stuck in found
    ]
    bad = [name for name, stuck in found if stuck]
    if output is options.Output.JSON:
        render.as_json({"survives": not bad, "nodes": rows})
    elif bad:
        render.table([{**row, "survives": "no"} for row in rows if not row["survives"]], FALL, output)
        render.line(f"does not survive the loss of {len(bad)} of {len(found)} nodes, each alone", "red")
    else:
        render.line(f"survives the loss of any one node of {len(found)}", "green")
    return 1 if bad else 0


def _observation(look: Look, now: float) -> Observation:
    if look.cause is None and look.stats is not None:
        return Seen(node=look.node, at=now, stats=look.stats, engine=NO_ENGINE, containers=())
    assert look.cause is not None
    return Unknown(node=look.node, at=look.at, cause=look.cause, why=look.why, cure="", stats=look.stats)


def _of_unseen(world: World) -> Iterator[str]:
    for name in world.nodes:
        found = world.observed.get(name)
        if found is None:
            yield f"{name}: never looked at, and left out; look with: cube nodes {name}"
        elif isinstance(found, Unknown):
            yield f"{name}: did not answer the last look, {found.cause}; it is given nothing"


def _of_old_looks(world: World, looks: Mapping[str, Look]) -> Iterator[str]:
    """How long ago the oldest look was that is taken for one of now, if no sweep would do that any more."""
    seen = [looks[name] for name, found in world.observed.items() if isinstance(found, Seen)]
    oldest = min(seen, key=lambda look: look.at)
    if world.now - oldest.at > FRESH:
        age = render.age(oldest.at, world.now)
        yield f"{oldest.node}: seen {age} ago, the oldest look that is taken for fresh; look with: cube nodes"


def _additions(text: str, world: World) -> list[Addition]:
    found = _ADDED.fullmatch(text)
    try:
        memory = size(found[3]) if found else 0
    except ValueError:
        memory = 0
    if found is None or memory == 0:
        cure = "Write 4x8GiB, or 3*4x8GiB,zone=b."
        raise InputError(f"{text!r} is no size of nodes", where="--add", cure=cure)
    words = pairs(found[4].split(",") if found[4] else [], "--add", "LABEL=VALUE")
    datacenter = words.pop("datacenter", next(iter(world.nodes.values())).datacenter)
    node = Node(name="", access=Access(address=""), datacenter=datacenter, labels=words)
    resources = Resources(cpu=int(found[2]) * 1000, memory=memory, disk=_largest_disk(world))
    return [Addition(node=node, size=resources)] * int(found[1] or 1)


def _largest_disk(world: World) -> int:
    seen = (found for found in world.observed.values() if isinstance(found, Seen))
    return max((found.stats.disk_total for found in seen), default=0)


def _of_move(move: Move) -> dict[str, object]:
    return {
        "task": str(move.slot),
        "from": move.source,
        "to": move.target,
        "score": f"{move.score:.3f}",
        "reason": move.why,
    }


def _of_stuck(stuck: Stuck) -> dict[str, object]:
    return {"task": str(stuck.slot), "from": stuck.source, "reason": _reasons(stuck)}


def _reasons(stuck: Stuck) -> str:
    """Of a small fleet each node's, of a large one how many nodes each filter refuses."""
    nodes = Counter(refusal.node for refusal in stuck.refusals)
    if stuck.refused:
        return "; ".join(f"{name} refuses {count} nodes" for name, count in stuck.refused.items())
    if len(nodes) > TOLD:
        filters = Counter({(found.filter or found.reason, found.node): 1 for found in stuck.refusals})
        counts = Counter(name for name, _ in filters)
        return "; ".join(f"{name} refuses {count} nodes" for name, count in counts.most_common())
    return "; ".join(f"{name}: {_of_node(name, stuck.refusals)}" for name in nodes) or "no node answers"


def _of_node(name: str, refusals: Sequence[Refusal]) -> str:
    return ", ".join(refusal.reason for refusal in refusals if refusal.node == name)


def _of_packing(found: Packing) -> dict[str, object]:
    room, then = found.capacity, found.after
    return {
        "node": found.node,
        "cpu": found.before and _cores(found.before.cpu, room.cpu),
        "cpu then": then and _cores(then.cpu, room.cpu),
        "memory": found.before and _memory(found.before.memory, room.memory),
        "memory then": then and _memory(then.memory, room.memory),
        "fuller": render.bar(_fuller(then, room)),
    }


def _cores(promised: int, capacity: int) -> str:
    return f"{promised / 1000:g}/{capacity / 1000:g} {_share(promised, capacity):.0%}"


def _memory(promised: int, capacity: int) -> str:
    return f"{render.size(promised)}/{render.size(capacity)} {_share(promised, capacity):.0%}"


def _fuller(promised: Resources | None, room: Resources) -> float:
    """The larger share, of CPU and memory, that is promised of a node; of one that is not there none is."""
    if promised is None:
        return 0.0
    return max(_share(promised.cpu, room.cpu), _share(promised.memory, room.memory))


def _share(promised: int, capacity: int) -> float:
    return promised / capacity if capacity > 0 else 0.0


def _summary(found: Play) -> str:
    moved = sum(move.source is not None for move in found.moves)
    parts = (
        (moved, "would move"),
        (len(found.moves) - moved, "would begin"),
        (len(found.ended), "would end"),
        (len(found.stuck), "would fit nowhere"),
    )
    told = ", ".join(f"{count} {what}" for count, what in parts if count)
    return f"tasks: {told}" if told else "nothing would change"


def _slots(slots: Sequence[Slot]) -> str:
    more = f" and {len(slots) - TOLD} more" if len(slots) > TOLD else ""
    return ", ".join(map(str, slots[:TOLD])) + more
