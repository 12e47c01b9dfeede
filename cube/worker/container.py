"""A container in the engine's own JSON: what is asked for a task, and what a listing says. Pure."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cube.model.job import CheckKind, Job, Port, TaskSpec, Tmpfs, Volume
from cube.model.labels import CLUSTER, bodies_of, identity_of, labels_of
from cube.model.observation import Container, ContainerState, Identity
from cube.model.task import Task

Json = Mapping[str, Any]

MEMORY = "/run/cube"
"""A folder on each node that is in its memory, and gone when it is switched off."""

TOLD = "0.told"
"""In a task's folder: the mark of the files that its process has begun with, or was told of last."""

DROPPED_CAPABILITIES = ("AUDIT_WRITE", "MKNOD", "NET_RAW", "SETFCAP")
"""Of Docker's own set, those that a service has no use for and an intruder has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """In whose name a worker acts: the cluster, the store that owns it, and its takeover's number."""

    cluster: str
    owner: str
    epoch: int


def container_config(
    task: Task,
    claim: Claim,
    job: Job | None = None,
    parent: Job | None = None,
    *,
    env: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """The body of `POST /containers/create` for the task: its spec, within Cube's safe limits.

    `job` and `parent` are whole jobs, for its labels; `env` what nobody else is to know of its variables.
    """
    spec = task.spec
    labels = labels_of(task, cluster=claim.cluster, owner=claim.owner, epoch=claim.epoch)
    return {
        "Image": spec.image,
        "Labels": labels | bodies_of(job, parent),
        "Env": [f"{name}={value}" for name, value in sorted({**spec.env, **env}.items())],
        "ExposedPorts": {_port_key(port): {} for port in spec.ports},
        "StopSignal": spec.stop_signal,
        "StopTimeout": math.ceil(spec.stop_grace),
        "HostConfig": _host_config(task, claim),
        **_overrides(spec),
    }


def _overrides(spec: TaskSpec) -> dict[str, Any]:
    """What replaces the image's own; a key that is not there leaves it as it is."""
    chosen = {
        "Cmd": None if spec.command is None else list(spec.command),
        "Entrypoint": None if spec.entrypoint is None else list(spec.entrypoint),
        "User": spec.user,
        "WorkingDir": spec.working_dir,
        "Hostname": spec.hostname,
        # Who asks in another way pays for no check of the image beside it.
        "Healthcheck": {"Test": ["NONE"]}
        if spec.health and spec.health.kind is not CheckKind.IMAGE
        else None,
    }
    return {key: value for key, value in chosen.items() if value is not None}


def _host_config(task: Task, claim: Claim) -> dict[str, Any]:
    spec = task.spec
    return {
        **limits_of(spec),
        # Without this the engine adds as much swap again, and the reservation would be half of the truth.
        "MemorySwap": spec.resources.memory,
        **_capabilities(spec),
        "GroupAdd": list(spec.group_add),
        "ReadonlyRootfs": spec.read_only,
        "Tmpfs": {each.target: f"rw,noexec,nosuid,nodev,{in_options(each)}" for each in spec.tmpfs},
        "Ulimits": [{"Name": each.name, "Soft": each.soft, "Hard": each.hard} for each in spec.ulimits],
        "ExtraHosts": [f"{name}:{address}" for name, address in sorted(spec.extra_hosts.items())],
        **({} if spec.shm_size is None else {"ShmSize": spec.shm_size}),
        "SecurityOpt": [] if spec.allow_new_privileges else ["no-new-privileges:true"],
        # Cube restarts what it decides to restart; an engine that does so too makes doubles after a reboot.
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": spec.logging.driver, "Config": dict(spec.logging.options)},
        "Init": spec.init,
        "PortBindings": _port_bindings(task),
        **devices_of(task),
        "Mounts": [*(_mount(volume, claim) for volume in spec.volumes), *_files(task)],
    }


def in_options(memory: Tmpfs) -> str:
    """Its size and its mode, as `mount` has them."""
    mode = "" if memory.mode is None else f",mode={memory.mode:04o}"
    return f"size={memory.size}{mode}"


def devices_of(task: Task) -> dict[str, list[dict[str, Any]]]:
    """The engine has three ways: files below /dev, CDI devices, and GPUs by their ids."""
    names = [name for _, chosen in sorted(task.devices.items()) for name in chosen]
    files = [name for name in names if name.startswith("/")]
    cdi = [name for name in names if "=" in name and name not in files]
    gpus = [name for name in names if name not in (*files, *cdi)]
    requests: list[dict[str, Any]] = [
        {"Driver": "cdi", "DeviceIDs": cdi, "Capabilities": []},
        {"DeviceIDs": gpus, "Capabilities": [["gpu"]]},
    ]
    return {
        "Devices": [
            {"PathOnHost": name, "PathInContainer": name, "CgroupPermissions": "rwm"} for name in files
        ],
        "DeviceRequests": [found for found in requests if found["DeviceIDs"]],
    }


def limits_of(spec: TaskSpec) -> dict[str, int]:
    """What `docker update` could change of it."""
    return {
        # A share, not a limit: cores that nobody uses are for whoever wants them. 1024 shares are one core.
        "CpuShares": max(spec.resources.cpu * 1024 // 1000, 2),
        "Memory": spec.resources.memory,
        "PidsLimit": spec.pids_limit,
        "NanoCpus": (spec.cpu_limit or 0) * 10**6,
    }


def _capabilities(spec: TaskSpec) -> dict[str, list[str]]:
    """What is asked for by name is neither dropped with the rest nor refused."""
    dropped = sorted({*DROPPED_CAPABILITIES, *spec.cap_drop} - set(spec.cap_add))
    return {"CapAdd": list(spec.cap_add), "CapDrop": ["ALL"] if "ALL" in dropped else dropped}


def name_of(identity: Identity) -> str:
    """What its task's container is called, as Task.container_name says."""
    slot = identity.slot
    return f"cube-{slot.job}-{slot.group}-{slot.index}-{identity.task[:8]}"


def _port_key(port: Port) -> str:
    return f"{port.container}/{port.protocol}"


def _port_bindings(task: Task) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in task.spec.ports:
        address = "0.0.0.0" if port.public else "127.0.0.1"  # noqa: S104 - asked for by name in the job
        bindings.setdefault(_port_key(port), []).append(
            {"HostIp": address, "HostPort": str(task.ports[port.name])}
        )
    return bindings


def _mount(volume: Volume, claim: Claim) -> dict[str, Any]:
    """A host path that does not exist is refused by the engine; it is not made, as `-v` would make it."""
    mount: dict[str, Any] = {
        "Source": volume.source,
        "Target": volume.target,
        "ReadOnly": volume.read_only,
    }
    if not volume.is_named:
        return {**mount, "Type": "bind", "BindOptions": {"Propagation": "rprivate"}}
    return {**mount, "Type": "volume", "VolumeOptions": {"Labels": {CLUSTER: claim.cluster}}}


def _files(task: Task) -> Iterator[dict[str, Any]]:
    """Single files in memory on the node, of which the engine knows no more than where they are."""
    secrets = [(use.name, use.target) for use in task.spec.secrets if use.target is not None]
    templates = [(template_file(index), each.target) for index, each in enumerate(task.spec.templates)]
    for name, target in (*secrets, *templates):
        yield {
            "Type": "bind",
            "Source": f"{folder_of(task.id)}/{name}",
            "Target": target,
            "ReadOnly": True,
            "BindOptions": {"Propagation": "rprivate"},
        }


def template_file(index: int) -> str:
    """What the task's template of that number is called on its node: no secret's name begins with a digit."""
    return f"{index}.template"


def folder_of(task: str) -> str:
    """Where a task's files are kept on its node."""
    return f"{MEMORY}/{task}"


def container_of(item: Json) -> Container:
    """One entry of `GET /containers/json`. Raises KeyError, TypeError or ValueError on what is not one."""
    networks = (item.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = (network.get("IPAddress") or "" for _, network in sorted(networks.items()))
    return Container(
        id=item["Id"],
        name=_own_name(item.get("Names") or []),
        image=item["Image"],
        image_id=item["ImageID"],
        state=ContainerState(item["State"]),
        created_at=float(item["Created"]),
        identity=identity_of(item.get("Labels") or {}),
        host_ports=_host_ports(item.get("Ports") or []),
        address=next((address for address in addresses if address), ""),
    )


def _own_name(names: list[str]) -> str:
    """The name without its slash; `/other/alias` is what a link calls it."""
    return next((name[1:] for name in names if name.count("/") == 1), "")


def _host_ports(ports: list[Json]) -> tuple[int, ...]:
    return tuple(sorted({port["PublicPort"] for port in ports if "PublicPort" in port}))
