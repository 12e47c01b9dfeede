"""What the keys must be to each other that say who reaches a group, and whom it reaches."""

from collections.abc import Iterator

from cube.document.check import Problem, shown
from cube.model.ingress import Tls
from cube.spec.discovery import HOSTS
from cube.spec.schema import GroupSchema


def requests_reach_a_port(group: GroupSchema) -> Iterator[Problem]:
    """The port that they go to exists, is the only one where none is named, and listens for other nodes."""
    if group.ingress is None:
        return
    name = group.ingress.port
    if name is None and len(group.ports) != 1:
        yield Problem(("ingress",), f"name one of the group's {len(group.ports)} ports: 'port'", key=True)
    elif name is not None and name not in group.ports:
        yield Problem(("ingress", "port"), f"the group has no port {shown(name)}")
    else:
        port = group.ports[name or next(iter(group.ports))]
        if not port.public or port.protocol != "tcp":
            what = "a proxy reaches it only where it is 'public: true', and of TCP"
            yield Problem(("ingress",), what, key=True)


def an_ingress_can_be_as_it_says(group: GroupSchema) -> Iterator[Problem]:
    """What it asks for rests on something else that is asked for, too."""
    if (ingress := group.ingress) is None:
        return
    if ingress.hsts and ingress.tls == Tls.OPTIONAL:
        yield Problem(("ingress", "hsts"), "browsers that come by TLS alone need 'tls: required'")
    if ingress.tls == Tls.ACME and not ingress.host:
        yield Problem(("ingress", "tls"), "a certificate is for a host: name it with 'host'")
    if ingress.canary_weight is not None and not group.update.canary:
        yield Problem(("ingress", "canary_weight"), "it needs canaries: 'update: {canary: 1}'")


def names_have_one_meaning(group: GroupSchema) -> Iterator[Problem]:
    """What is discovered takes the place of the engine's own list of names."""
    if not group.discover:
        return
    for name in sorted(set(group.discover) & set(group.extra_hosts)):
        yield Problem(("discover", name), f"'extra_hosts' has {shown(name)} already", key=True)
    if "localhost" in group.discover:
        yield Problem(
            ("discover", "localhost"), "'localhost' is the task itself; choose another name", key=True
        )
    for name, address in group.extra_hosts.items():
        if address == "host-gateway":
            what = "only the engine knows this address; it does not go with 'discover'"
            yield Problem(("extra_hosts", name), what)
    mounted = {volume.target for volume in group.volumes} | set(group.templates)
    if HOSTS in mounted:
        yield Problem(("discover",), f"something else is mounted at {HOSTS}", key=True)
