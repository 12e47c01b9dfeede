"""What Cube writes on its containers: enough to rebuild the store from the fleet."""

import base64
import json
import zlib
from collections.abc import Mapping

from cube.model.codec import from_data, to_data
from cube.model.job import Job, TaskSpec
from cube.model.observation import Identity
from cube.model.task import Slot, Task

PREFIX = "cube."
CLUSTER = "cube.cluster"


MAX_BODY = 1 << 24
"""Bytes of a job that a label may hold, so that no label unpacks to more than a machine's memory."""


def labels_of(task: Task, *, cluster: str, owner: str, epoch: int) -> dict[str, str]:
    """The labels of the task's container: the user's own, then Cube's."""
    devices = {"cube.devices": json.dumps(to_data(task.devices), sort_keys=True)} if task.devices else {}
    return {
        **task.spec.labels,
        **devices,
        CLUSTER: cluster,
        "cube.owner": owner,
        "cube.epoch": str(epoch),
        "cube.task": task.id,
        "cube.job": task.slot.job,
        "cube.group": task.slot.group,
        "cube.index": str(task.slot.index),
        "cube.version": str(task.version),
        "cube.digest": task.spec.digest,
        "cube.spec": task.spec.canonical,
    }


def bodies_of(job: Job | None, parent: Job | None) -> dict[str, str]:
    """The labels that hold the whole job, packed; of a run also the job that it is a run of."""
    bodies = {"cube.body": job, "cube.parent": parent}
    return {label: _packed(body) for label, body in bodies.items() if body is not None}


def identity_of(labels: Mapping[str, str]) -> Identity | None:
    """Whose container it is; None where the labels are not Cube's, or not whole."""
    try:
        return Identity(
            cluster=labels[CLUSTER],
            owner=labels["cube.owner"],
            epoch=int(labels["cube.epoch"]),
            task=labels["cube.task"],
            slot=Slot(job=labels["cube.job"], group=labels["cube.group"], index=int(labels["cube.index"])),
            version=int(labels["cube.version"]),
            digest=labels["cube.digest"],
        )
    except (KeyError, ValueError):
        return None


def spec_of(labels: Mapping[str, str]) -> TaskSpec:
    """The spec that the container was made from.

    Raises KeyError, TypeError or ValueError where the labels are not Cube's.
    """
    try:
        return from_data(TaskSpec, json.loads(labels["cube.spec"]))
    except RecursionError as error:
        raise ValueError("the spec is nested too deeply") from error


def devices_of(labels: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """The devices of its node that the container has, by kind.

    Raises TypeError or ValueError where the label cannot be read.
    """
    return {kind: tuple(names) for kind, names in json.loads(labels.get("cube.devices", "{}")).items()}


def job_of(labels: Mapping[str, str]) -> Job | None:
    """The job that the container was made for; None where an older Cube made it, which did not write it.

    Raises KeyError, TypeError or ValueError where the label cannot be read.
    """
    return _unpacked(labels["cube.body"]) if "cube.body" in labels else None


def parent_of(labels: Mapping[str, str]) -> Job | None:
    """The job that the container's own is a run of; None where it is no run, or an older Cube made it.

    Raises KeyError, TypeError or ValueError where the label cannot be read.
    """
    return _unpacked(labels["cube.parent"]) if "cube.parent" in labels else None


def _unpacked(label: str) -> Job:
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(base64.b64decode(label, validate=True), MAX_BODY)
        return from_data(Job, json.loads(text))
    except (zlib.error, RecursionError) as error:
        raise ValueError(f"the job cannot be read: {error}") from error


def _packed(job: Job) -> str:
    text = json.dumps(to_data(job), separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")
