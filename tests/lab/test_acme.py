"""`tls: acme` on real nodes: a proxy proves to an authority that the host is its, and gets a certificate."""

import shutil
import socket
import ssl
from contextlib import closing
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import yaml

from cube.lab.debian import debian_image
from tests.certificate import Pair, certified
from tests.lab.desk import Desk, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

ROOT = Path(__file__).parents[2]

API = """
job: api
groups:
  main:
    image: cube-demo:1
    env: {VERSION: api}
    memory: 32MiB
    ports: {http: {container: 8080, public: true}}
    ingress: {host: api.example, tls: acme}
    stop: {grace: 0s, drain: 0s}
"""

AUTHORITY = """
{
	http_port 9080
	https_port 9443
	auto_https disable_redirects
	pki {
		ca local {
			root {
				cert /etc/root.pem
				key /etc/root.key
			}
		}
	}
}

https://ca.example {
	tls internal
	acme_server
}
"""


@pytest.fixture
def root(desk: Desk) -> Pair:
    """The authority's own certificate and key, where templates lie."""
    shutil.copytree(ROOT / "templates", desk.folder / "templates")
    shutil.copytree(ROOT / "jobs", desk.folder / "jobs")
    (desk.folder / "templates" / "authority.j2").write_text(AUTHORITY)
    return certified(desk.folder / "templates", "root", "192.0.2.1")


@pytest.mark.timeout(240)
def test_a_proxy_gets_the_certificate_of_its_host_from_an_authority_and_keeps_it(
    desk: Desk, root: Pair
) -> None:
    """The authority is Caddy, too: it asks for proof at port 80 or 443 of the host, over the wire."""
    write(desk, "authority", authority(desk))
    write(desk, "proxy", proxy(desk))
    (desk.folder / "jobs" / "api.yml").write_text(API)
    for name in ("api", "authority", "proxy"):
        desk.cube("deploy", f"jobs/{name}.yml")
    outer = desk.nodes[1].address

    with closing(HTTPConnection(outer, 80, timeout=10)) as plain:
        plain.request("GET", "/page", headers={"Host": "api.example"})
        answer = plain.getresponse()
    assert (answer.status, answer.getheader("Location")) == (308, "https://api.example/page")
    wait_until(lambda: certificate(outer, root) is not None)
    before = certificate(outer, root)
    assert before is not None, desk.cube("logs", "proxy").stdout
    assert "version api" in page(outer, root)

    desk.cube("stop", "proxy")
    desk.cube("deploy", "jobs/proxy.yml")
    wait_until(lambda: certificate(outer, root) is not None)
    assert certificate(outer, root) == before, "it is in the volume"


def authority(desk: Desk) -> dict[str, Any]:
    """The job of an authority on the first node, which finds the host on the second."""
    job = caddy(desk, "authority", node=0, knows={"api.example": desk.nodes[1].address})
    group = job["groups"]["caddy"]
    group["ports"] = {"https": {"container": 9443, "host": 9443, "public": True}}
    group["templates"] = {
        "/etc/Caddyfile": {"source": "authority.j2"},
        "/etc/root.pem": {"source": "root.pem"},
        "/etc/root.key": {"source": "root.key"},
    }
    del group["health"]
    del group["volumes"]
    return job


def proxy(desk: Desk) -> dict[str, Any]:
    """The job of jobs/caddy.yml on the second node, with the outer ports, and an authority of one's own."""
    job = caddy(desk, "proxy", node=1, knows={"ca.example": desk.nodes[0].address})
    group = job["groups"]["caddy"]
    group["ports"]["http"]["host"], group["ports"]["https"]["host"] = 80, 443
    group["env"] = {
        "ACME_CA": "https://ca.example:9443/acme/local/directory",
        "ACME_CA_ROOT": "/etc/authority.pem",
    }
    group["templates"]["/etc/authority.pem"] = {"source": "root.pem"}
    return job


def caddy(desk: Desk, name: str, *, node: int, knows: dict[str, str]) -> dict[str, Any]:
    """The job of jobs/caddy.yml by another name, as one task on that node, which knows these hosts."""
    job: dict[str, Any] = yaml.safe_load((desk.folder / "jobs" / "caddy.yml").read_text())
    job |= {"job": name, "type": "service"}
    debian = debian_image(desk.engine, cache=Path.home() / ".cache" / "cube", say=print)
    group = job["groups"]["caddy"]
    group["build"]["args"] = {"BASE": debian}
    group |= {"constraints": [f"node.name = {desk.nodes[node].name}"], "extra_hosts": knows}
    group["update"] = {"min_healthy_time": "0s"}
    return job


def write(desk: Desk, name: str, job: dict[str, Any]) -> None:
    (desk.folder / "jobs" / f"{name}.yml").write_text(yaml.safe_dump(job))


def certificate(address: str, root: Pair) -> bytes | None:
    """What `api.example` shows there, if the authority has signed it."""
    with closing(_asking(address, root)) as asking:
        try:
            asking.connect()
        except OSError:
            return None
        return asking.sock.getpeercert(binary_form=True)


def page(address: str, root: Pair) -> str:
    with closing(_asking(address, root)) as asking:
        asking.request("GET", "/")
        return asking.getresponse().read().decode()


class _Asking(HTTPSConnection):
    """Asks one address for another name."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        super().__init__("api.example", timeout=5, context=context)
        self._address, self._trust = address, context

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, 443), self.timeout)
        self.sock = self._trust.wrap_socket(self.sock, server_hostname=self.host)


def _asking(address: str, root: Pair) -> _Asking:
    return _Asking(address, ssl.create_default_context(cafile=str(root.certificate)))
