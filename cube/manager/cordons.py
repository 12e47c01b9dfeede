"""Cordons follow their machines: a node may be called otherwise in the inventory by the next look."""

from collections.abc import Mapping
from dataclasses import replace

from cube.model.node import Cordon
from cube.model.observation import Observation
from cube.reconciler.renames import cordons_that_follow
from cube.store.store import Store


def carry_cordons(store: Store, observed: Mapping[str, Observation], now: float) -> None:
    """Record them under the present names. `observed` are all nodes, and not recorded yet.

    Of two that were called otherwise, and are one machine, the newer word holds: it is carried first.
    """
    cordons = store.cordons()
    names = _followed(store, cordons, observed)
    for old in sorted(names, key=lambda name: -cordons[name].at):
        store.carry_cordon(old, names[old], now=now)


def cordons_now(store: Store, observed: Mapping[str, Observation]) -> Mapping[str, Cordon]:
    """The cordons under the present names of their nodes, be those recorded by now or not."""
    cordons = store.cordons()
    names = _followed(store, cordons, observed)
    oldest_first = sorted(names, key=lambda name: cordons[name].at)
    carried = {names[old]: replace(cordons[old], node=names[old]) for old in oldest_first}
    return carried | {name: cordon for name, cordon in cordons.items() if name not in names}


def _followed(
    store: Store, cordons: Mapping[str, Cordon], observed: Mapping[str, Observation]
) -> Mapping[str, str]:
    """Asked in every turn, while such a cordon stays: of the stats of a fleet only those few are read."""
    gone = cordons.keys() - observed.keys()
    if not gone:
        return {}
    machines = {stats.machine_id for name in gone if (stats := store.sample(name)) is not None}
    there = {
        name
        for name, seen in observed.items()
        if seen.stats is not None and seen.stats.machine_id in machines
    }
    if not there:
        return {}
    found = {name: store.sample(name) for name in (*gone, *there)}
    known = {name: stats for name, stats in found.items() if stats is not None}
    return cordons_that_follow(gone, known, observed)
