"""One look at the nodes for a command that only prints."""

from collections.abc import Mapping

from cube.cli import render
from cube.cli.reach import Place, looking_on
from cube.inventory.pattern import select
from cube.model.observation import Observation, Unknown
from cube.view.fleet import Recorded


def once(place: Place, pattern: str) -> Mapping[str, Observation]:
    """Each node of the pattern, as it is now."""
    with looking_on(place) as manager:
        return manager.look([node.name for node in select(place.cluster, pattern)])


def with_record(place: Place, pattern: str) -> tuple[Recorded, Mapping[str, Observation]]:
    """What the store knows of the nodes from before, and how each node of the pattern is now."""
    with looking_on(place) as manager:
        recorded = Recorded(samples=manager.store.samples(), cordons=manager.store.cordons())
        return recorded, manager.look([node.name for node in select(place.cluster, pattern)])


def warn_of_unknown(found: Mapping[str, Observation]) -> int:
    """Say which nodes did not answer, why, and what to do; the exit code that this means."""
    unknown = [seen for seen in found.values() if isinstance(seen, Unknown)]
    for seen in unknown:
        render.warn([f"{seen.node}: {seen.cause}: {seen.why}", *([f"  {seen.cure}"] if seen.cure else [])])
    return 3 if unknown else 0
