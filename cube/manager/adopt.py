"""Taking in a container that others started: the job file for it, and the change of hands.

Docker cannot label a container that runs, so it is replaced: stopped, kept under another name, and put back
where Cube's own does not come up.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from cube.errors import InputError
from cube.manager.manager import Manager
from cube.manager.report import Report
from cube.manager.turn import Run
from cube.model.job import Job
from cube.model.labels import CLUSTER, PREFIX
from cube.worker import engine
from cube.worker.container import Json
from cube.worker.engine import EngineError
from cube.worker.worker import Worker

ASIDE = "-before-cube"
"""What the name of a container ends in that Cube took the place of."""

PATIENCE = 60.0
"""Seconds that the engine may take to stop, rename or start it, beside the container's own grace."""

UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""What JSON writes as it is, and YAML would refuse, or take for a line break."""

NANOS = 10**6
"""Docker's units of CPU in a millicore."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The job file for a container, and what a person should know of it."""

    text: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A container that others started, as its node's engine tells it, and the job file for it."""

    worker: Worker
    found: Json
    draft: Draft

    @property
    def name(self) -> str:
        """What it was called before anybody adopted it."""
        return _own_name(self.found)


def candidate(workers: Mapping[str, Worker], node: str, container: str) -> Candidate:
    """That container. Raises InputError for a node or a container that is not there, or that Cube made."""
    worker = workers.get(node)
    if worker is None:
        raise InputError(f"there is no node {node!r}", cure=f"Known nodes: {', '.join(workers)}.")
    found = _inspect(worker, container) or _inspect(worker, container + ASIDE)
    if found is None:
        cure = f"See what runs there: cube ps {node} --all"
        raise InputError(f"there is no container {container!r}", where=node, cure=cure)
    if CLUSTER in (found["Config"].get("Labels") or {}):
        raise InputError(f"container {container} is Cube's already", where=node)
    path = f"/images/{quote(str(found['Image']), safe='')}/json"
    image: Json = engine.get_json(worker.open_channel(PATIENCE), path)
    return Candidate(worker=worker, found=found, draft=draft(found, image, node))


def draft(found: Json, image: Json, node: str) -> Draft:
    """The job file for an inspected container on that node, without what its image says already. Pure."""
    config, host = found["Config"], found["HostConfig"]
    name = job_name(_own_name(found))
    keys = {
        "image": config["Image"],
        **_differing(config, image.get("Config") or {}),
        "env": _env(config, image.get("Config") or {}),
        "cpu": f"{host['NanoCpus'] // NANOS}m" if host.get("NanoCpus") else None,
        "memory": str(host["Memory"]) if host.get("Memory") else "512MiB",
        "ports": _ports(host.get("PortBindings") or {}),
        "volumes": _volumes(found.get("Mounts") or ()),
        "labels": _labels(config, image.get("Config") or {}),
        "restart": _restart(host.get("RestartPolicy") or {}),
        "constraints": [f"node.name = {node}"],
    }
    lines = [f"job: {name}", "groups:", "  main:"]
    lines += [f"    {key}: {_written(value)}" for key, value in keys.items() if value]
    return Draft(text="\n".join(lines) + "\n", notes=tuple(_left_out(found)))


def job_name(container: str) -> str:
    """A job's name made from a container's: small letters, digits and `-`."""
    words = re.sub(r"[^a-z0-9]+", "-", container.lower()).strip("-")[:50].strip("-")
    is_usable = words[:1].isalpha() and words not in ("all", "cube") and not words.startswith("cube-")
    return words if is_usable else f"adopted-{words}".strip("-")


def _inspect(worker: Worker, container: str) -> Json | None:
    """All that the engine tells of the container; None: there is none. Raises UnreachableError."""
    try:
        return worker.inspect(container)
    except EngineError as error:
        if error.status != 404:
            raise
        return None


def _own_name(found: Json) -> str:
    return str(found["Name"]).lstrip("/").removesuffix(ASIDE)


def replace_with(job: Job, old: Candidate, manager: Manager, run: Run) -> Report:
    """Stop the container, keep it under another name, and deploy the job; where that fails, put it back.

    One that is kept already, for a run that was killed had come so far, is gone on with.
    """
    container = str(old.found["Id"])
    grace = int(old.found["Config"].get("StopTimeout") or 10)
    try:
        if _runs(old.worker, container):
            _stop(old.worker, container, grace)
        _name(old.worker, container, old.name + ASIDE)
        report = manager.deploy(job, run)
        if report.exit_code == 0:
            # Else the engine would start it again when the machine does, beside Cube's own.
            _post(old.worker, container, "update", {"RestartPolicy": {"Name": "no"}})
            return report
    except BaseException:
        give_back(job, old, manager, run)
        raise
    give_back(job, old, manager, run)
    return report


def give_back(job: Job, old: Candidate, manager: Manager, run: Run) -> None:
    """The container as it was: its name, and running; Cube's own goes first, for both want the same."""
    container = str(old.found["Id"])
    try:
        if manager.store.job(job.name) is not None:
            manager.remove(job.name, replace(run, until=time.time() + PATIENCE))
    finally:
        _name(old.worker, container, old.name)
        if not _runs(old.worker, container):
            _post(old.worker, container, "start", {})


def _stop(worker: Worker, container: str, grace: int) -> None:
    try:
        _post(worker, container, f"stop?t={grace}", {}, extra=grace)
    except BaseException:
        # The engine goes on with a stop that nobody waits for; this one waits for it, and starts it again.
        _post(worker, container, f"restart?t={grace}", {}, extra=grace)
        raise


def _runs(worker: Worker, container: str) -> bool:
    return bool(worker.inspect(container)["State"]["Running"])


def _name(worker: Worker, container: str, name: str) -> None:
    if worker.inspect(container)["Name"] != f"/{name}":
        _post(worker, container, f"rename?name={quote(name, safe='')}", {})


def _post(worker: Worker, container: str, what: str, body: Json, *, extra: float = 0.0) -> None:
    path = f"/containers/{quote(container, safe='')}/{what}"
    engine.post_json(worker.open_channel(PATIENCE + extra), path, body)


def _written(value: object) -> str:
    """A value as YAML, each text of it guarded from being taken for a template."""
    text = json.dumps(_guarded(value), ensure_ascii=False)
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _guarded(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _guarded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_guarded(item) for item in value]
    text = str(value)
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if re.search(r"\{[{%#]", text) else text


def _differing(config: Json, image: Json) -> Json:
    """What the container was given in place of the image's own."""
    own = {"entrypoint": "Entrypoint", "command": "Cmd", "user": "User"}
    return {key: config.get(name) for key, name in own.items() if config.get(name) != image.get(name)}


def _env(config: Json, image: Json) -> Json:
    given = [word for word in config.get("Env") or () if word not in (image.get("Env") or ())]
    return dict(word.partition("=")[::2] for word in given)


def _labels(config: Json, image: Json) -> Json:
    own = image.get("Labels") or {}
    labels = (config.get("Labels") or {}).items()
    return {
        name: text
        for name, text in labels
        if own.get(name) != text and not name.startswith((PREFIX, "com.docker."))
    }


def _ports(bindings: Json) -> Json:
    """A fixed port stays what it is; where the engine had chosen one, Cube does."""
    ports: dict[str, Json] = {}
    for key, bound in sorted(bindings.items()):
        number, _, protocol = key.partition("/")
        for host, is_public in sorted({(b.get("HostPort") or "", _is_public(b)) for b in bound or ()}):
            port = {"container": number, "protocol": protocol, "public": str(is_public).lower()}
            fixed = {"host": host} if host not in ("", "0") else {}
            ports[f"p{number}-{protocol}" + (f"-{host}" if fixed else "")] = {**port, **fixed}
    return ports


def _is_public(bound: Json) -> bool:
    return not str(bound.get("HostIp") or "").startswith(("127.", "::1"))


def _volumes(mounts: Sequence[Json]) -> list[str]:
    return [_volume(mount) for mount in mounts if mount["Type"] in ("bind", "volume")]


def _volume(mount: Json) -> str:
    source = mount["Name"] if mount["Type"] == "volume" else mount["Source"]
    return f"{source}:{mount['Destination']}" + ("" if mount.get("RW", True) else ":ro")


def _restart(policy: Json) -> Json:
    match policy.get("Name"):
        case "always" | "unless-stopped":
            return {"mode": "delay"}
        case "on-failure":
            return {"attempts": str(min(policy.get("MaximumRetryCount") or 1000, 1000))}
        case _:
            return {"attempts": "0"}


_BY_HAND = {
    "CapAdd": "cap_add", "CapDrop": "cap_drop", "ExtraHosts": "extra_hosts", "GroupAdd": "group_add",
    "ReadonlyRootfs": "read_only", "Tmpfs": "tmpfs", "Ulimits": "ulimits",
}  # fmt: skip
"""What a job file has words for, and others than Docker's."""


def _left_out(found: Json) -> Iterator[str]:
    host = found["HostConfig"]
    if not host.get("Memory"):
        yield "it has no memory limit; 512MiB is written: see that it is enough"
    if host.get("NetworkMode") not in (None, "", "default", "bridge"):
        yield f"its network {host['NetworkMode']} is left out: Cube's are on the engine's own bridge"
    for what in ("Privileged", "Devices", "PidMode", "Links"):
        if host.get(what):
            yield f"{what} is left out: a job file has nothing like it"
    for what, key in _BY_HAND.items():
        if host.get(what):
            yield f"{what} is left out: write '{key}' where it is needed"
