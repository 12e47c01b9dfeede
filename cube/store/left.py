"""Volumes that tasks have left on a node, by moving elsewhere with what was in them."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from cube.model.codec import to_data
from cube.model.volume import LeftVolume
from cube.store import read
from cube.store.guard import Guard
from cube.store.record import Recording
from cube.store.write import Tables

Recorded = Callable[[float, str], AbstractContextManager[Recording]]
"""What begins a change that is recorded with its events, at that time, by that actor."""


class LeftVolumes:
    """Those of one state. Every method raises what `Store` says."""

    def __init__(self, guard: Guard, recorded: Recorded) -> None:
        self._guard = guard
        self._recorded = recorded

    def all(self) -> Mapping[tuple[str, str], LeftVolume]:
        """Each by its node and its name."""
        with self._guard as connection:
            sql = "SELECT node, volume, job, version, until FROM left_volumes ORDER BY node, volume"
            found = read.select(connection, lambda row: LeftVolume(**dict(row)), sql)
        return {(left.node, left.volume): left for left in found}

    def keep(self, left: LeftVolume, reason: str, *, now: float, actor: str) -> None:
        """It stays until its time has come; an event of its job says so."""
        with self._recorded(now, actor) as recording, self._guard as connection:
            Tables(connection).put("left_volumes", [to_data(left)], key=("node", "volume"))
            recording.tell_of_job(left.job, left.version, reason)

    def end(self, left: LeftVolume, reason: str, *, now: float, actor: str) -> None:
        """It is removed, or in use again; an event of its job says so."""
        with self._recorded(now, actor) as recording, self._guard as connection:
            sql = "DELETE FROM left_volumes WHERE node = ? AND volume = ?"
            connection.execute(sql, [left.node, left.volume])
            recording.tell_of_job(left.job, left.version, reason)
