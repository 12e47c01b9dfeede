"""Which keys the Compose specification knows within each table: any other is a slip of somebody's."""

import difflib
from collections.abc import Iterator, Mapping

from cube.compose.tree import Finding
from cube.document.check import shown
from cube.document.reader import Document, Listing, Scalar, Table

SERVICE = "services.*"
"""Where a service stands."""

_DEVICE = "capabilities count device_ids driver options"
_FILE = "source target uid gid mode"
_ROLLOUT = "parallelism delay failure_action monitor max_failure_ratio order"
_LIMIT = "soft hard"

_KNOWN: Mapping[str, frozenset[str]] = {
    path: frozenset(keys.split())
    for path, keys in {
        "include": "path project_directory env_file",
        "volumes.*": "name external driver driver_opts labels",
        "networks.*": "name external driver driver_opts labels internal attachable enable_ipv4 enable_ipv6 "
        "ipam",
        "networks.*.ipam": "driver config options",
        "networks.*.ipam.config": "subnet ip_range gateway aux_addresses",
        "configs.*": "name external file environment content labels template_driver",
        "secrets.*": "name external file environment labels driver driver_opts template_driver",
        **{f"{kind}.*.external": "name" for kind in ("volumes", "networks", "configs", "secrets")},
        **{
            f"{SERVICE}.{path}": keys
            for path, keys in {
                "build": "context dockerfile dockerfile_inline target args tags labels platforms pull "
                "network cache_from cache_to no_cache no_cache_filter additional_contexts secrets ssh "
                "extra_hosts ulimits shm_size privileged entitlements isolation provenance sbom",
                "build.secrets": _FILE,
                "build.ulimits.*": _LIMIT,
                "configs": _FILE,
                "depends_on.*": "condition required restart",
                "deploy": "mode endpoint_mode replicas labels resources placement update_config "
                "rollback_config restart_policy",
                "deploy.placement": "constraints preferences max_replicas_per_node",
                "deploy.placement.preferences": "spread",
                "deploy.resources": "limits reservations",
                "deploy.resources.limits": "cpus memory pids",
                "deploy.resources.reservations": "cpus memory devices generic_resources",
                "deploy.resources.reservations.devices": _DEVICE,
                "deploy.restart_policy": "condition delay max_attempts window",
                "deploy.rollback_config": _ROLLOUT,
                "deploy.update_config": _ROLLOUT,
                "devices": "source target permissions",
                "env_file": "path format required",
                "extends": "service file",
                "gpus": _DEVICE,
                "healthcheck": "test interval timeout retries start_period start_interval disable",
                "logging": "driver options",
                "networks.*": "aliases ipv4_address ipv6_address link_local_ips mac_address driver_opts "
                "priority gw_priority interface_name use_service_name_alias",
                "ports": "target published host_ip protocol name mode app_protocol",
                "secrets": _FILE,
                "ulimits.*": _LIMIT,
                "volumes": "type source target read_only consistency bind volume tmpfs image",
                "volumes.bind": "propagation create_host_path selinux recursive",
                "volumes.image": "subpath",
                "volumes.tmpfs": "size mode",
                "volumes.volume": "nocopy subpath labels",
            }.items()
        },
    }.items()
}
"""By path, `*` for any name; the items of a list stand at the path of the list. All else is free."""


_WAY = frozenset(path[:end] for path in _KNOWN for end, sign in enumerate(path) if sign == ".")
"""What leads to those tables."""


def strange(document: Document, path: str) -> Iterator[Finding]:
    """Each key in it that Compose does not know; `path` is where it stands."""
    match document:
        case Listing(items=items):
            for item in items:
                yield from strange(item, path)
        case Table(entries=entries):
            for key, value in entries:
                if _is_known(key.text, path):
                    yield from strange(value, _below(path, key.text))
                elif not key.text.startswith("x-"):
                    yield _slip(key, path)


def without_strange(document: Document, path: str) -> Document:
    """The rest, also without what is somebody's own (`x-`): who reads it has to know of neither."""
    match document:
        case Listing(items=items, mark=mark, tag=tag):
            return Listing(tuple(without_strange(item, path) for item in items), mark, tag)
        case Table(entries=entries, mark=mark, tag=tag):
            known = (
                (key, without_strange(value, _below(path, key.text)))
                for key, value in entries
                if _is_known(key.text, path)
            )
            return Table(tuple(known), mark, tag)
        case Scalar():
            return document


def _is_known(key: str, path: str) -> bool:
    return path not in _KNOWN or key in _KNOWN[path]


def _below(path: str, key: str) -> str:
    """A path that leads nowhere where all that is below is free."""
    either = (f"{path}.{key}", f"{path}.*") if path else (key,)
    return next((found for found in either if found in _KNOWN or found in _WAY), "free")


def _slip(key: Scalar, path: str) -> Finding:
    known = _KNOWN[path]
    close = difflib.get_close_matches(key.text, known, n=1)
    advice = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(sorted(known))}"
    where = path.removeprefix(f"{SERVICE}.").replace(".*", "")
    return Finding(
        key.mark, f"{where}: Compose has no key {shown(key.text)} here; {advice}", f"{where}.{key.text}"
    )
