"""How a group is reached in Kubernetes: a Service for its ports, an Ingress for requests from outside."""

from collections.abc import Iterator
from typing import Any

from cube.model.ingress import Ingress, Tls
from cube.model.job import Group, Port

Manifest = tuple[str, str, dict[str, Any]]
"""Its version, its kind, and what it says."""


def traffic(name: str, group: Group, labels: dict[str, str]) -> Iterator[Manifest]:
    """Its Service, where others reach it, and its Ingress, where it takes requests; both by that name."""
    wanted = None if group.ingress is None else group.ingress.port
    if ports := [_service_port(port) for port in group.spec.ports if port.public or port.name == wanted]:
        yield "v1", "Service", {"selector": labels, "ports": ports}
    if group.ingress is not None:
        yield "networking.k8s.io/v1", "Ingress", _ingress(name, group.ingress)


def port_name(name: str) -> str:
    """Kubernetes takes fifteen characters."""
    return name[:15].rstrip("-")


def _service_port(port: Port) -> dict[str, Any]:
    return {"name": port_name(port.name), "port": port.container, "protocol": port.protocol.upper()}


def _ingress(name: str, ingress: Ingress) -> dict[str, Any]:
    backend = {"service": {"name": name, "port": {"name": port_name(ingress.port)}}}
    http = {"paths": [{"path": ingress.path, "pathType": "Prefix", "backend": backend}]}
    rules = [{"host": host, "http": http} for host in ingress.hosts] or [{"http": http}]
    # Which certificate is for whom is that of the cluster's own issuer, or of its controller.
    tls = {} if ingress.tls is Tls.OPTIONAL else {"tls": [{"hosts": list(ingress.hosts)}]}
    return {"rules": rules, **tls}
