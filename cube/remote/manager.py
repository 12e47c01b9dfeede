"""A manager somewhere else, in the shape of the manager: what it is asked is followed to its end."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote

from cube.errors import InputError
from cube.manager.manager import Manager
from cube.manager.planning import planned
from cube.manager.report import Report
from cube.manager.seams import Process
from cube.manager.turn import Run, Settling, world_of
from cube.model.action import Plan
from cube.model.codec import from_data, to_data
from cube.model.job import Job
from cube.model.node import Cluster
from cube.model.observation import Observation
from cube.reconciler.world import World
from cube.remote.decode import observation_of, report_of, step_of
from cube.remote.link import Link, raised
from cube.remote.office import RemoteOffice
from cube.remote.store import RemoteStore
from cube.scheduler.algorithms import ALGORITHMS
from cube.store.store import Store
from cube.whatif.needs import Need


def remote_office(link: Link, scheduler: str | None) -> RemoteOffice:
    """The office of the manager at the end of that link. Raises UnreachableError."""
    found = link.get("/cluster")
    return RemoteOffice(
        link=link,
        cluster=from_data(Cluster, found["cluster"]),
        scheduler=scheduler or str(found["scheduler"]),
    )


class RemoteLoop:
    """What a preview needs: the fleet as the manager sees it, and a plan made of that here."""

    def __init__(self, office: RemoteOffice, store: RemoteStore) -> None:
        self.cluster = office.cluster
        self.scheduler = ALGORITHMS[office.scheduler]
        self.store = store
        self.clock = time
        self._link = office.link

    def look(self, names: Iterable[str] | None = None) -> Mapping[str, Observation]:
        """The manager's last look at each node: it looks all the time."""
        data = self._link.get("/record/observed")["answer"]
        found = {name: observation_of(each) for name, each in data.items()}
        return {name: found[name] for name in (found if names is None else names) if name in found}

    def world(self, observed: Mapping[str, Observation]) -> World:
        """All that a plan is made from."""
        return world_of(self.cluster, cast("Store", self.store), observed, time.time(), {})

    def plan(self, world: World) -> Plan:
        """The next wave."""
        return planned(self.cluster, world, self.scheduler)


class RemoteManager:
    """The calls of `Manager` that commands make; each comes back when its operation has ended."""

    def __init__(self, office: RemoteOffice, *, lock_wait: float) -> None:
        self.store = RemoteStore(office.link)
        self.loop = RemoteLoop(office, self.store)
        self.cluster = office.cluster
        self._office = office
        self._lock_wait = lock_wait
        self._here = Manager(cast("Settling", self.loop))

    def look(self, names: Iterable[str] | None = None) -> Mapping[str, Observation]:
        """The manager's last look at each node."""
        return self.loop.look(names)

    def preview(self, job: Job | None = None) -> tuple[Plan, Mapping[str, Observation]]:
        """The first wave of a deploy of this job, or of a reconcile, and what it saw."""
        return self._here.preview(job)

    def needs(self, job: Job | None, observed: Mapping[str, Observation]) -> tuple[Need, ...]:
        """As Manager.needs."""
        return self._here.needs(job, observed)

    def deploy(self, job: Job, run: Run, *, expected: Sequence[str] | None = None) -> Report:
        """Have the job's file carried out. Raises InputError for a job that was not read from one."""
        source = self._office.sources.get(job.name)
        if source is None:
            cure = "Deploy its job file, or a plan that was made through a manager."
            raise InputError("only a job file can be sent to a manager", where=job.name, cure=cure)
        bound = {} if expected is None else {"expected": list(expected)}
        return self._do("/jobs", {**to_data(source), **bound}, run)

    def stop(self, name: str, run: Run) -> Report:
        """As Manager.stop."""
        return self._do(f"/jobs/{quote(name, safe='')}/stop", {}, run)

    def remove(self, name: str, run: Run) -> Report:
        """As Manager.remove."""
        return self._do(f"/jobs/{quote(name, safe='')}/remove", {}, run)

    def scale(self, name: str, counts: Mapping[str, int], run: Run) -> Report:
        """As Manager.scale."""
        return self._do(f"/jobs/{quote(name, safe='')}/scale", {"counts": dict(counts)}, run)

    def rollback(self, name: str, version: int | None, run: Run) -> Report:
        """As Manager.rollback."""
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

    def rebalance(self, run: Run, *, max_moves: int, min_gain: float) -> Report:
        """As `cube.manager.moves.rebalance`."""
        return self._do("/rebalance", {"max_moves": max_moves, "min_gain": min_gain}, run)

    def _do(self, path: str, body: Mapping[str, Any], run: Run) -> Report:
        link = self._office.link
        waits = {"timeout": max(run.until - time.time(), 1.0), "lock_wait": self._lock_wait}
        begun = link.post(path, {**body, **waits})
        end: Mapping[str, Any] = {}
        for kind, data in link.stream(f"/operations/{begun['id']}/steps"):
            if kind == "step":
                run.tell(step_of(data))
            elif kind == "end":
                end = data
                break
        if error := end.get("operation", {}).get("error"):
            raise raised(error["detail"], error["exit_code"], error)
        if not end.get("report"):
            raise link.lost("it ended before the operation did")
        return report_of(end["report"])


class RemoteHand:
    """A hand on the containers of any node: what a manager lets one do with them."""

    def __init__(self, link: Link, store: RemoteStore) -> None:
        self._link = link
        self._store = store

    def logs(
        self, container: str, *, follow: bool = False, tail: int | None = None, since: float | None = None
    ) -> Iterator[tuple[str, bytes]]:
        """The container's lines with their stream. Raises CubeError."""
        path = f"/tasks/{self._task_of(container)}/logs"
        for line in self._link.lines(
            path, follow=follow, tail=1_000_000 if tail is None else tail, since=since
        ):
            yield _log_line(line)

    def execute(
        self, container: str, argv: Sequence[str], *, tty: bool = False, has_input: bool = False
    ) -> Process:
        """Run a command in the container, with `tty` at a terminal. Raises CubeError where it cannot."""
        from cube.remote.process import RemoteProcess

        asked = {"command": list(argv), "terminal": tty, "input": has_input}
        return RemoteProcess(self._link, f"/tasks/{self._task_of(container)}/exec", asked)

    def _task_of(self, container: str) -> str:
        return next(task.id for task in self._store.current_tasks() if task.container == container)


def _log_line(line: bytes) -> tuple[str, bytes]:
    """A line of the log. Raises CubeError where it tells of one."""
    data = json.loads(line)
    if "error" in data:
        raise raised(data["error"], 3, data)
    return str(data["stream"]), f"{data['at']} {data['text']}".encode()
