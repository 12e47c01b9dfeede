"""Model values as rows of the tables, and back.

What cannot be read back raises KeyError, TypeError or ValueError: the file is damaged then.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cube.model.codec import from_data, to_data
from cube.model.job import Job, TaskSpec
from cube.model.measure import Measure
from cube.model.move import Move
from cube.model.node import Cordon
from cube.model.observation import Cause, Observation, PostMortem, Stats, Unknown
from cube.model.rollout import Rollout
from cube.model.task import Health, Slot, State, Task, TaskEvent
from cube.store.database import Row as Found

Row = dict[str, Any]


_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class JobVersion:
    """One version of a job, with when, by whom and why it was made."""

    job: Job
    at: float
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The last look at a node. `cause` None: it answered, at `at`; else it did last at `seen_at`, if ever.

    `stats` are the newest that are known.
    """

    node: str
    at: float
    seen_at: float | None
    stats: Stats | None
    cause: Cause | None
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """One run over the fleet: from when to when, and in a few words what came of it."""

    started: float
    finished: float
    result: str


SAME_IN_A_TASK = (
    "id", "version", "order", "created_at", "changed_at", "node", "container", "healthy_since", "checked_at",
    "check_failures", "check_successes", "restarts", "reschedules", "quarantined_until", "exit_code",
    "reason",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A task's container that ended badly: where, why it was touched then, and what it left behind."""

    task: str
    job: str
    node: str
    reason: str
    found: PostMortem


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a fleet's labels tell of the store that was lost: its id, its newest epoch, its jobs and tasks."""

    owner: str
    epoch: int
    jobs: tuple[Job, ...]
    tasks: tuple[Task, ...]


def text_of(value: Any) -> str:
    """The value as JSON."""
    return _encode(to_data(value))


@lru_cache(maxsize=1024)
def job_of(text: str) -> Job:
    """The job of that text; every turn of the loop asks for it again."""
    return from_data(Job, json.loads(text))


@lru_cache(maxsize=1024)
def spec_of(text: str) -> TaskSpec:
    """The spec of that text; the tasks of a group share one."""
    return from_data(TaskSpec, json.loads(text))


def rollout_row(rollout: Rollout) -> Row:
    """A row of `rollouts`."""
    return {**to_data(rollout), "promoted": int(rollout.promoted)}


def rollout_of(row: Found) -> Rollout:
    """What a row of `rollouts` holds."""
    return from_data(Rollout, {**dict(row), "promoted": bool(row["promoted"])})


def cordon_row(cordon: Cordon) -> Row:
    """A row of `cordons`."""
    flags = {"draining": int(cordon.draining), "leave_data": int(cordon.leave_data)}
    return {**to_data(cordon), **flags}


def cordon_of(row: Found) -> Cordon:
    """What a row of `cordons` holds."""
    flags = {"draining": bool(row["draining"]), "leave_data": bool(row["leave_data"])}
    return from_data(Cordon, {**dict(row), **flags})


def move_row(move: Move) -> Row:
    """A row of `moves`."""
    return {**_slot_row(move.slot), "source": move.source, "target": move.target, "reason": move.reason}


def move_of(row: Found) -> Move:
    """What a row of `moves` holds."""
    return Move(slot=_slot_of(row), source=row["source"], target=row["target"], reason=row["reason"])


def death_row(death: Death) -> Row:
    """A row of `post_mortems`, without its number."""
    return {
        "task": death.task,
        "job": death.job,
        "at": death.found.at,
        "node": death.node,
        "reason": death.reason,
        "body": text_of(death.found),
    }


def death_of(row: Found) -> Death:
    """What a row of `post_mortems` holds."""
    found = from_data(PostMortem, json.loads(row["body"]))
    return Death(**{name: row[name] for name in ("task", "job", "node", "reason")}, found=found)


def job_row(version: JobVersion) -> Row:
    """A row of `jobs`."""
    job = version.job
    return {
        "name": job.name,
        "version": job.version,
        "at": version.at,
        "actor": version.actor,
        "reason": version.reason,
        "body": text_of(job),
    }


def job_version(row: Found) -> JobVersion:
    """What a row of `jobs` holds."""
    return JobVersion(job=job_of(row["body"]), at=row["at"], actor=row["actor"], reason=row["reason"])


def task_row(task: Task) -> Row:
    """A row of `tasks`; its spec is one of `specs`."""
    return {
        "id": task.id,
        **_slot_row(task.slot),
        "version": task.version,
        "spec": task.spec.digest,
        "state": task.state.value,
        "order": task.order,
        "created_at": task.created_at,
        "changed_at": task.changed_at,
        "node": task.node,
        "container": task.container,
        "ports": text_of(task.ports),
        "devices": text_of(task.devices),
        "health": task.health.value,
        "check_failures": task.check_failures,
        "restarts": task.restarts,
        "healthy_since": task.healthy_since,
        "checked_at": task.checked_at,
        "check_successes": task.check_successes,
        "reschedules": task.reschedules,
        "failed_on": text_of(task.failed_on),
        "quarantined_until": task.quarantined_until,
        "exit_code": task.exit_code,
        "reason": task.reason,
    }


def task_of(row: Found) -> Task:
    """What a row of `tasks` holds, joined with `body` from `specs`."""
    return _task_of(tuple(row.keys()), tuple(row))


@lru_cache(maxsize=10_000)
def _task_of(names: tuple[str, ...], values: tuple[Any, ...]) -> Task:
    """The task of that row; every turn of the loop asks for the same ones again."""
    row = dict(zip(names, values, strict=True))
    return Task(
        **{name: row[name] for name in SAME_IN_A_TASK},
        slot=_slot_of(row),
        spec=spec_of(row["body"]),
        state=State(row["state"]),
        ports=json.loads(row["ports"]),
        devices={kind: tuple(names) for kind, names in json.loads(row["devices"]).items()},
        failed_on=tuple(json.loads(row["failed_on"])),
        health=Health(row["health"]),
    )


def event_row(event: TaskEvent) -> Row:
    """A row of `events`."""
    return {
        **{
            name: getattr(event, name)
            for name in ("number", "at", "task", "version", "node", "reason", "actor")
        },
        **_slot_row(event.slot),
        "source": event.source.value if event.source else None,
        "target": event.target.value if event.target else "",
        "detail": text_of(event.detail),
    }


def event_of(row: Found) -> TaskEvent:
    """What a row of `events` holds."""
    return TaskEvent(
        **{name: row[name] for name in ("number", "at", "task", "version", "node", "reason", "actor")},
        slot=_slot_of(row),
        source=State(row["source"]) if row["source"] else None,
        target=State(row["target"]) if row["target"] else None,
        detail=json.loads(row["detail"]),
    )


def look_row(observation: Observation) -> Row:
    """A row of `looks`; what the look did not show is None."""
    unknown = observation if isinstance(observation, Unknown) else None
    return {
        "node": observation.node,
        "at": observation.at,
        "seen_at": None if unknown else observation.at,
        "stats": text_of(observation.stats) if observation.stats else None,
        "cause": unknown.cause.value if unknown else None,
        "why": unknown.why if unknown else "",
    }


def look_of(row: Found) -> Look:
    """What a row of `looks` holds."""
    return Look(
        node=row["node"],
        at=row["at"],
        seen_at=row["seen_at"],
        stats=from_data(Stats, json.loads(row["stats"])) if row["stats"] else None,
        cause=Cause(row["cause"]) if row["cause"] else None,
        why=row["why"],
    )


def measure_row(measure: Measure) -> Row:
    """A row of `measures`, without whether it is a fine one."""
    data = to_data(measure)
    return {"node": data.pop("node"), "at": data.pop("at"), "body": _encode(data)}


def measure_of(row: Found) -> Measure:
    """What a row of `measures` holds."""
    return from_data(Measure, {"node": row["node"], "at": row["at"], **json.loads(row["body"])})


def _slot_row(slot: Slot) -> Mapping[str, Any]:
    return {"job": slot.job, "group": slot.group, "index": slot.index}


def _slot_of(row: Mapping[str, Any] | Found) -> Slot:
    return Slot(job=row["job"], group=row["group"], index=row["index"])
