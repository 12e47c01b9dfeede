"""Every key of a service that the Compose specification knows: how a job says it, or that none can."""

from collections.abc import Iterator, Mapping

from cube.compose import (
    building,
    deploy,
    devices,
    files,
    health,
    networks,
    ports,
    process,
    secrets,
    volumes,
    words,
)
from cube.compose.process import environment
from cube.compose.scene import Say, Scene, Told, alone, in_words, lost, odd, put
from cube.compose.tree import (
    is_null,
    items_of,
    listing,
    made,
    switch_of,
    text_of,
)
from cube.document.check import shown
from cube.document.reader import Document, Listing, Scalar, Table


def _same(path: str) -> Say:
    """As it is written."""
    return alone(lambda document: iter([put(path, document)]))


def _switch(path: str) -> Say:
    """True or false, whatever word stands for it."""
    return alone(
        lambda document: iter([put(path, in_words(document, lambda _: str(switch_of(document)).lower()))])
    )


def _texts(path: str) -> Say:
    """A list of texts."""
    return alone(lambda document: iter([put(path, listing(map(text_of, items_of(document)), document.mark))]))


def _size(path: str) -> Say:
    """An amount of bytes."""
    return alone(lambda document: iter([put(path, in_words(document, words.size))]))


def _nothing(_scene: Scene, _document: Document) -> Iterator[Told]:
    """It changes nothing that runs, or was done before."""
    return iter(())


def _otherwise(key: str, what: str) -> Say:
    """What Cube does in its own way."""
    return alone(lambda document: iter([] if _is_off(document) else [odd(document, what, key)]))


def _not(key: str, what: str) -> Say:
    """What Cube cannot do; what is written as off is not asked for."""
    return alone(lambda document: iter([] if _is_off(document) else [lost(document, f"{key}: {what}", key)]))


def _is_off(document: Document) -> bool:
    match document:
        case Scalar(text=text):
            return is_null(document) or text in ("", "false", "no", "0")
        case Listing(items=items):
            return not items
        case Table(entries=entries):
            return not entries


def _pull_policy(scene: Scene, document: Document) -> Iterator[Told]:
    word = {"if_not_present": "missing"}.get(text_of(document), text_of(document))
    if word in ("missing", "always", "never"):
        yield put("pull", made(word, document.mark))
    elif word != "build" or scene.at("build") is None:
        yield lost(document, f"pull_policy: Cube does not know {shown(word)}", "pull_policy")


def _attach(document: Document) -> Iterator[Told]:
    if not switch_of(document):
        yield odd(document, "cube deploy shows nobody's output; cube logs does, also this one's", "attach")


def _network_mode(document: Document) -> Iterator[Told]:
    if text_of(document) != "bridge":
        yield lost(document, "with the network of something else, a task could take it over", "network_mode")


def _platform(document: Document) -> Iterator[Told]:
    """`linux/arm64/v8`, or the machine alone."""
    parts = text_of(document).split("/")
    system, machine = parts[:2] if len(parts) > 1 else ("linux", parts[0])
    if system != "linux":
        yield lost(document, "platform: Cube's nodes run Linux", "platform")
    yield put("architecture", listing([machine], document.mark))


_NAMES = "Cube names its containers itself, cube-JOB-GROUP-INDEX-ID, and nobody finds them by this name"
_HOLD = "a task that could ask for it could take over the node"

_HERE: Mapping[str, Say] = {
    "image": _same("image"),
    "build": building.build,
    "command": alone(process.command),
    "entrypoint": alone(process.entrypoint),
    "env_file": process.env_file,
    "environment": environment,
    "user": alone(process.user),
    "working_dir": _same("working_dir"),
    "hostname": process.hostname,
    "group_add": _texts("group_add"),
    "label_file": process.label_file,
    "labels": alone(process.labels),
    "ports": alone(ports.ports),
    "volumes": volumes.volumes,
    "tmpfs": alone(process.tmpfs),
    "configs": files.configs,
    "secrets": secrets.secrets,
    "devices": alone(devices.devices),
    "gpus": alone(devices.gpus),
    "cap_add": _texts("cap_add"),
    "cap_drop": _texts("cap_drop"),
    "read_only": _switch("read_only"),
    "init": _switch("init"),
    "shm_size": _size("shm_size"),
    "ulimits": alone(process.ulimits),
    "extra_hosts": alone(process.extra_hosts),
    "security_opt": alone(process.security_opt),
    "logging": alone(process.logging),
    "stop_signal": alone(process.stop_signal),
    "stop_grace_period": alone(process.stop_grace_period),
    "healthcheck": alone(health.healthcheck),
    "depends_on": health.depends_on,
    "restart": deploy.restart,
    "scale": alone(deploy.count),
    "cpus": alone(deploy.cpus),
    "mem_limit": alone(deploy.mem_limit),
    "mem_reservation": deploy.mem_reservation,
    "pids_limit": alone(process.pids),
    "deploy": deploy.deploy,
    "networks": alone(networks.joined),
    "network_mode": alone(_network_mode),
    "pull_policy": _pull_policy,
    "platform": alone(_platform),
    "container_name": _otherwise("container_name", _NAMES),
    "links": _otherwise("links", networks.NONE),
    "domainname": process.domainname,
    "expose": _nothing,
    "attach": alone(_attach),
    "develop": _otherwise(
        "develop", "cube deploy watches no files; what is written here is docker compose's"
    ),
    "profiles": _nothing,
    "x-cube": _nothing,
}

_BEYOND: Mapping[str, str] = {
    **dict.fromkeys(("privileged", "device_cgroup_rules", "cgroup", "cgroup_parent"), _HOLD),
    **dict.fromkeys(("ipc", "pid", "uts", "userns_mode", "use_api_socket", "sysctls", "runtime"), _HOLD),
    **dict.fromkeys(("credential_spec", "isolation"), "Cube's tasks have no such devices"),
    **dict.fromkeys(
        ("tty", "stdin_open"),
        "nobody sits before a task; cube exec -t JOB/GROUP -- sh opens a terminal in one",
    ),
    **dict.fromkeys(("volumes_from", "external_links"), "Cube's tasks share nothing with other containers"),
    **dict.fromkeys(("dns", "dns_search", "dns_opt", "mac_address"), "a task has its engine's network"),
    **dict.fromkeys(
        ("pre_start", "post_start", "pre_stop"), "Cube runs no commands beside a task; write a service"
    ),
    **dict.fromkeys(("provider", "models"), "Cube runs containers only"),
    "annotations": "write 'labels'",
    "umask": "Cube leaves what new files may be to the image",
    "pull_refresh_after": "Cube pulls what is missing, always, or never: write 'pull_policy'",
    **dict.fromkeys(
        ("cpu_shares", "cpu_quota", "cpu_period", "cpu_count", "cpu_percent", "cpu_rt_runtime"),
        "write 'cpus', or deploy.resources",
    ),
    **dict.fromkeys(("cpu_rt_period", "cpuset", "blkio_config"), "write 'cpus', or deploy.resources"),
    **dict.fromkeys(
        ("mem_swappiness", "memswap_limit", "oom_kill_disable", "oom_score_adj", "storage_opt"),
        "a task has the memory that it reserves, and no swap beside it",
    ),
}

SAYS: Mapping[str, Say] = {**_HERE, **{key: _not(key, what) for key, what in _BEYOND.items()}}
"""In this order: what is put later takes the place of what was put before."""
