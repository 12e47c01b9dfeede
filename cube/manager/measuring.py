"""How nodes are used, remembered with each sweep."""

from collections.abc import Mapping

from cube.model.node import Cluster
from cube.model.observation import Observation
from cube.store.store import Store
from cube.view.usage import measures


def measure(store: Store, cluster: Cluster, observed: Mapping[str, Observation], now: float) -> None:
    """Record what those looks show of the nodes' use, for as long as the cluster wants it to be kept."""
    if cluster.stats_keep:
        found = measures(observed.values(), store.current_tasks(), cluster.name)
        store.put_measures(found, now=now, keep=cluster.stats_keep)
