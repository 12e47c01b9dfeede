"""One look at the nodes for a command that only prints."""

import time
from collections.abc import Mapping

from cube.cli import render
from cube.inventory.pattern import select
from cube.manager.office import Office
from cube.manager.session import looking_on
from cube.model.observation import Observation, Stats, Unknown

SAMPLE = 0.2
"""Seconds between two samples of a CPU that was never sampled before: twenty ticks of each core."""


def once(place: Office, pattern: str) -> Mapping[str, Observation]:
    """Each node of the pattern, as it is now."""
    with looking_on(place) as manager:
        return manager.look([node.name for node in select(place.cluster, pattern)])


def with_sample(place: Office, pattern: str) -> tuple[Mapping[str, Stats], Mapping[str, Observation]]:
    """An earlier sample of each node, and how it is now.

    Where the store has no sample since the node's last boot, the node is looked at twice.
    """
    names = [node.name for node in select(place.cluster, pattern)]
    with looking_on(place) as manager:
        earlier = manager.store.samples()
        found = manager.look(names)
        new = [name for name in names if (stats := found[name].stats) and not _precedes(earlier, name, stats)]
        if not new:
            return earlier, found
        first = manager.store.samples()
        time.sleep(SAMPLE)
        return {**earlier, **{name: first[name] for name in new}}, {**found, **manager.look(new)}


def warn_of_unknown(found: Mapping[str, Observation]) -> int:
    """Say which nodes did not answer, why, and what to do; the exit code that this means."""
    unknown = [seen for seen in found.values() if isinstance(seen, Unknown)]
    for seen in unknown:
        render.warn([f"{seen.node}: {seen.cause}: {seen.why}", *([f"  {seen.cure}"] if seen.cure else [])])
    return 3 if unknown else 0


def _precedes(earlier: Mapping[str, Stats], name: str, stats: Stats) -> bool:
    return name in earlier and earlier[name].boot_id == stats.boot_id
