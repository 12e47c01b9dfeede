"""What Cube writes on its containers: enough to rebuild the store from the fleet."""

import json
from collections.abc import Mapping

from cube.model.codec import from_data, to_data
from cube.model.job import TaskSpec
from cube.model.observation import Identity
from cube.model.task import Slot, Task

PREFIX = "cube."
CLUSTER = "cube.cluster"


def labels_of(task: Task, *, cluster: str, owner: str, epoch: int) -> dict[str, str]:
    """The labels of the task's container: the user's own, then Cube's."""
    return {
        **task.spec.labels,
        CLUSTER: cluster,
        "cube.owner": owner,
        "cube.epoch": str(epoch),
        "cube.task": task.id,
        "cube.job": task.slot.job,
        "cube.group": task.slot.group,
        "cube.index": str(task.slot.index),
        "cube.version": str(task.version),
        "cube.digest": task.spec.digest,
        "cube.spec": json.dumps(to_data(task.spec), sort_keys=True, separators=(",", ":")),
    }


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
