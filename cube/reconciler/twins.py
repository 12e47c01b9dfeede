"""One machine under two names in the inventory: what runs there for one name is nobody's under the other."""

from collections.abc import Iterator, Mapping

from cube.model.observation import Cause, Observation, Seen, Unknown

CURE = "One machine is one node: take one of the two out of the inventory."


def apart(observed: Mapping[str, Observation]) -> Mapping[str, Observation]:
    """The looks, but those at nodes that show one and the same container: of these nothing is known.

    An engine draws the ids of its containers by chance, so no two engines have one in common. A machine with
    no container yet cannot be told by them.
    """
    first: dict[str, str] = {}
    shared = {each for name, each in _containers(observed) if first.setdefault(each, name) != name}
    if not shared:
        return observed
    homes: dict[str, list[str]] = {}
    for name, container in _containers(observed):
        if container in shared:
            homes.setdefault(container, []).append(name)
    twins = {name: names for names in homes.values() for name in names}
    return {name: _unknown(seen, twins[name]) if name in twins else seen for name, seen in observed.items()}


def _containers(observed: Mapping[str, Observation]) -> Iterator[tuple[str, str]]:
    """Each container's id, with the node that shows it."""
    for name, seen in observed.items():
        if isinstance(seen, Seen):
            yield from ((name, each.id) for each in seen.containers)


def _unknown(seen: Observation, names: list[str]) -> Unknown:
    others = ", ".join(name for name in names if name != seen.node)
    why = f"it has the containers that {others} has"
    return Unknown(node=seen.node, at=seen.at, cause=Cause.TWIN, why=why, cure=CURE, stats=seen.stats)
