"""A manager somewhere else, in the shape of the manager: what it is asked is followed to its end."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast
from urllib.parse import quote

from cube.errors import InputError
from cube.manager.manager import Manager
from cube.manager.moves_with_data import Asked
from cube.manager.planning import planned
from cube.manager.report import Report
from cube.manager.turn import Run, Settling, world_of
from cube.model.action import Plan
from cube.model.codec import from_data, to_data
from cube.model.job import Job
from cube.model.node import Cluster
from cube.model.observation import Observation
from cube.reconciler.world import World
from cube.remote.decode import observation_of, report_of
from cube.remote.following import followed
from cube.remote.link import Link
from cube.remote.office import RemoteOffice
from cube.remote.store import RemoteStore
from cube.scheduler.algorithms import ALGORITHMS
from cube.store.store import Store
from cube.whatif.needs import Need


def remote_office(link: Link, scheduler: str | None, engine: str) -> RemoteOffice:
    """The office of the manager at the end of that link. Raises UnreachableError."""
    found = link.get("/cluster")
    return RemoteOffice(
        link=link,
        cluster=from_data(Cluster, found["cluster"]),
        scheduler=scheduler or str(found["scheduler"]),
        engine=engine,
    )


class RemoteLoop:
    """What a preview needs: the fleet as the manager sees it, and a plan made of that here."""

    def __init__(self, office: RemoteOffice, store: RemoteStore, stock: Mapping[str, str]) -> None:
        self.cluster = office.cluster
        self.scheduler = ALGORITHMS[office.scheduler]
        self.store = store
        self.clock = time
        self._link = office.link
        self._stock = stock

    def look(self, names: Iterable[str] | None = None) -> Mapping[str, Observation]:
        """The manager's last look at each node: it looks all the time."""
        data = self._link.get("/record/observed")["answer"]
        found = {name: observation_of(each) for name, each in data.items()}
        return {name: found[name] for name in (found if names is None else names) if name in found}

    def world(self, observed: Mapping[str, Observation]) -> World:
        """All that a plan is made from."""
        return world_of(self.cluster, cast("Store", self.store), observed, time.time(), self._stock)

    def digest(self, image: str, node: str) -> str:
        """What the image's registry has by its name now, asked by that node through the manager."""
        return str(self._link.get("/record/digest", name=image, node=node)["answer"])

    def plan(self, world: World) -> Plan:
        """The next wave."""
        return planned(self.cluster, world, self.scheduler)


class RemoteManager:
    """The calls of `Manager` that commands make; each comes back when its operation has ended."""

    def __init__(self, office: RemoteOffice, *, lock_wait: float) -> None:
        self.store = RemoteStore(office.link)
        self.loop = RemoteLoop(office, self.store, {})
        self.cluster = office.cluster
        self._office = office
        self._lock_wait = lock_wait
        self._here = Manager(cast("Settling", self.loop))

    def look(self, names: Iterable[str] | None = None) -> Mapping[str, Observation]:
        """The manager's last look at each node."""
        return self.loop.look(names)

    def preview(self, job: Job | None = None) -> tuple[Plan, Mapping[str, Observation]]:
        """The first wave of a deploy of this job, or of a reconcile, and what it saw."""
        return self._with_images_of(job).preview(job)

    def needs(self, job: Job | None, observed: Mapping[str, Observation]) -> tuple[Need, ...]:
        """As Manager.needs."""
        return self._with_images_of(job).needs(job, observed)

    def deploy(self, job: Job, run: Run, *, expected: Sequence[str] | None = None) -> Report:
        """Have the job's file carried out. Raises InputError for a job that was not read from one."""
        source = self._office.sources.get(job.name)
        if source is None:
            cure = "Deploy its job file, or a plan that was made through a manager."
            raise InputError("only a job file can be sent to a manager", where=job.name, cure=cure)
        bound = {} if expected is None else {"expected": list(expected)}
        with self._lent(job):
            return self._do("/jobs", {**to_data(source), **bound}, run)

    def refuse_unknown(self, node: str) -> None:
        """As Manager.refuse_unknown."""
        self._here.refuse_unknown(node)

    def stop(self, name: str, run: Run) -> Report:
        """As Manager.stop."""
        return self._do(f"/jobs/{quote(name, safe='')}/stop", {}, run)

    def remove(self, name: str, run: Run) -> Report:
        """As Manager.remove."""
        return self._do(f"/jobs/{quote(name, safe='')}/remove", {}, run)

    def scale(self, name: str, counts: Mapping[str, int], run: Run) -> Report:
        """As Manager.scale."""
        with self._lent(self.store.job(name)):
            return self._do(f"/jobs/{quote(name, safe='')}/scale", {"counts": dict(counts)}, run)

    def rollback(self, name: str, version: int | None, run: Run) -> Report:
        """As Manager.rollback."""
        with self._lent(*(found.job for found in self.store.versions(name))):
            return self._do(f"/jobs/{quote(name, safe='')}/rollback", {"version": version}, run)

    def promote(self, name: str, run: Run) -> Report:
        """As Manager.promote."""
        return self._do(f"/jobs/{quote(name, safe='')}/promote", {}, run)

    def pause(self, name: str, run: Run) -> Report:
        """As Manager.pause."""
        return self._do(f"/jobs/{quote(name, safe='')}/pause", {}, run)

    def resume(self, name: str, run: Run) -> Report:
        """As Manager.resume."""
        return self._do(f"/jobs/{quote(name, safe='')}/resume", {}, run)

    def begin_maintenance(self, name: str, retry_after: float, run: Run) -> Report:
        """As Manager.begin_maintenance."""
        return self._do(f"/jobs/{quote(name, safe='')}/maintenance", {"retry_after": retry_after}, run)

    def end_maintenance(self, name: str, run: Run) -> Report:
        """As Manager.end_maintenance."""
        return self._do(f"/jobs/{quote(name, safe='')}/end-maintenance", {}, run)

    def dispatch(self, name: str, values: Mapping[str, str], run: Run) -> Report:
        """As Manager.dispatch."""
        return self._do(f"/jobs/{quote(name, safe='')}/dispatch", {"values": dict(values)}, run)

    def reconcile(self, run: Run) -> Report:
        """As Manager.reconcile."""
        return self._do("/reconcile", {}, run)

    def cordon(self, node: str, _run: Run) -> None:
        """As Manager.cordon."""
        self._office.link.post(f"/nodes/{quote(node, safe='')}/cordon", {})

    def uncordon(self, node: str, _run: Run) -> bool:
        """As Manager.uncordon."""
        was_cordoned = node in self.store.cordons()
        self._office.link.post(f"/nodes/{quote(node, safe='')}/uncordon", {})
        return was_cordoned

    def drain(
        self, node: str, run: Run, *, deadline: float | None = None, leave_data: bool = False
    ) -> Report:
        """As Manager.drain."""
        body = {"deadline": deadline, "leave_data": leave_data}
        return self._do(f"/nodes/{quote(node, safe='')}/drain", body, run)

    def forget_node(self, node: str, run: Run) -> Report:
        """As Manager.forget_node."""
        return self._do(f"/nodes/{quote(node, safe='')}/forget", {}, run)

    def move(self, task: str, node: str, run: Run) -> Report:
        """As `cube.manager.moves.move`."""
        return self._do("/move", {"task": task, "node": node}, run)

    def move_with_data(self, asked: Asked, run: Run) -> Report:
        """As `cube.manager.moves_with_data.move_with_data`."""
        body = {"task": asked.task, "node": asked.node, "with_data": True, "keep_old": asked.keep}
        return self._do("/move", body, run)

    def rebalance(self, run: Run, *, max_moves: int, min_gain: float) -> Report:
        """As `cube.manager.moves.rebalance`."""
        return self._do("/rebalance", {"max_moves": max_moves, "min_gain": min_gain}, run)

    def _with_images_of(self, job: Job | None) -> Manager:
        """One that plans here, as the manager will once it is lent what this machine has of the job's."""
        from cube.remote.lending import lendable

        stock = lendable(self._office.engine, [job] if job else [])
        return Manager(cast("Settling", RemoteLoop(self._office, self.store, stock)))

    def _lent(self, *jobs: Job | None) -> AbstractContextManager[None]:
        """What this machine has of the jobs' images the manager has, too, while the block runs."""
        from cube.remote.lending import lendable, lent

        engine = self._office.engine
        return lent(self._office.link, engine, lendable(engine, [job for job in jobs if job is not None]))

    def _do(self, path: str, body: Mapping[str, Any], run: Run) -> Report:
        link = self._office.link
        waits = {"timeout": max(run.until - time.time(), 1.0), "lock_wait": self._lock_wait}
        end = followed(link, link.post(path, {**body, **waits}), run.tell)
        if not end["report"]:
            raise link.lost("it ended before the operation did")
        return report_of(end["report"])
