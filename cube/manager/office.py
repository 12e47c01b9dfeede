"""Where a manager works, as a value. A command that prints what is recorded needs no more of this room."""

from dataclasses import dataclass, field
from pathlib import Path

from cube.image.own import SOCKET
from cube.model.node import Cluster
from cube.scheduler.algorithms import DEFAULT_ALGORITHM
from cube.store.address import StatePlace
from cube.vault.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Where a manager works: its cluster, its state, and the folder of its pinned host keys.

    `engine` is the socket of the operator's own engine, from which images are pushed,
    `vault` where the project's secrets are.
    """

    cluster: Cluster
    state: StatePlace
    keys: Path
    scheduler: str = DEFAULT_ALGORITHM
    engine: str = SOCKET
    vault: Vault = field(default_factory=Vault, compare=False)
