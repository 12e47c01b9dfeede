"""One look at the nodes for a command that only prints."""

from collections.abc import Mapping

from cube.cli import render
from cube.inventory.pattern import select
from cube.manager.office import Office
from cube.manager.session import looking_on
from cube.model.observation import Observation, Stats, Unknown


def once(place: Office, pattern: str) -> Mapping[str, Observation]:
    """Each node of the pattern, as it is now."""
    with looking_on(place) as manager:
        return manager.look([node.name for node in select(place.cluster, pattern)])


def with_sample(place: Office, pattern: str) -> tuple[Mapping[str, Stats], Mapping[str, Observation]]:
    """The sample of each node that the store has from an earlier look, and how the node is now."""
    with looking_on(place) as manager:
        earlier = manager.store.samples()
        return earlier, manager.look([node.name for node in select(place.cluster, pattern)])


def warn_of_unknown(found: Mapping[str, Observation]) -> int:
    """Say which nodes did not answer, why, and what to do; the exit code that this means."""
    unknown = [seen for seen in found.values() if isinstance(seen, Unknown)]
    for seen in unknown:
        render.warn([f"{seen.node}: {seen.cause}: {seen.why}", *([f"  {seen.cure}"] if seen.cure else [])])
    return 3 if unknown else 0
