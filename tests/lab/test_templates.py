"""Files from templates on real nodes: as they are to be at every turn, told of, and put back."""

import json
import shutil
import socket
import ssl
import time  # noqa: TID251 - real nodes take real time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest
from docker import DockerClient

from cube.lab.debian import debian_image
from tests.certificate import certified
from tests.lab.beside import NEW, constantly_asked
from tests.lab.desk import Desk, wait_until

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

WEB = """
job: web
groups:
  main:
    count: {count}
    image: cube-demo:1
    env: {{VERSION: "{mark}"}}
    memory: 32MiB
    ports: {{http: {{container: 8080, public: true}}}}
    health: {{http: /health, port: http, interval: 1s, timeout: 1s, grace: 5s}}
    stop: {{grace: 0s, drain: 0s}}
    update: {{min_healthy_time: 0s, max_parallel: {most}}}
"""

API = """
job: api
groups:
  by-host:
    image: cube-demo:1
    env: {VERSION: api}
    memory: 32MiB
    ports: {http: {container: 8080, public: true}}
    ingress: {host: api.example}
    stop: {grace: 0s, drain: 0s}
  by-path:
    count: 0
    image: cube-demo:1
    ports: {http: {container: 8080, public: true}}
    ingress: {path: /v1}
"""

READERS = """
job: readers
groups:
  by-signal:
    image: cube-busybox:1
    command: [sh, -c, "trap 'cp /list /tmp/told' HUP; while :; do sleep 0.1; done"]
    memory: 16MiB
    stop: {grace: 0s}
    templates: {/list: {source: list.j2, on_change: {signal: SIGHUP}}}
  by-command:
    image: cube-busybox:1
    command: [sleep, "100000"]
    memory: 16MiB
    stop: {grace: 0s}
    templates: {/list: {source: list.j2, on_change: {exec: [cp, /list, /tmp/told]}}}
  by-restart:
    image: cube-busybox:1
    command: [sh, -c, "cp /list /tmp/told; exec sleep 100000"]
    memory: 16MiB
    stop: {grace: 0s}
    update: {min_healthy_time: 0s}
    templates: {/list: list.j2}
  by-variable:
    image: cube-busybox:1
    command: [sh, -c, "env | grep ^WEB= >/tmp/told; exec sleep 100000"]
    memory: 16MiB
    stop: {grace: 0s}
    restart: {attempts: 3, delay: 0s}
    update: {min_healthy_time: 0s}
    templates: {/run/services: {source: services.j2, env: true}}
  by-name:
    image: cube-busybox:1
    command: [sleep, "100000"]
    memory: 16MiB
    stop: {grace: 0s}
    discover: {shop: web/main}
"""

SERVICES = "WEB={% for each in service('web') %}{{ each.address }}:{{ each.port }} {% endfor %}\n"

LIST = "{% for each in service('web') %}{{ each.node }} {{ each.address }}:{{ each.port }}\n{% endfor %}"


def reader(desk: Desk, group: str) -> tuple[int, str]:
    """The node and the name of the container of that group."""
    return next(
        (number, name)
        for number in range(len(desk.nodes))
        for name in desk.containers_on(number)
        if name.startswith(f"cube-readers-{group}-")
    )


def told(desk: Desk, group: str, file: str = "/tmp/told") -> list[str]:
    number, name = reader(desk, group)
    return desk.asked(number, "docker", "exec", name, "cat", file)


def serving(desk: Desk) -> list[str]:
    """What the list is to be, by what `cube status` says."""
    addresses = {node.name: node.address for node in desk.nodes}
    rows = json.loads(desk.cube("status", "web", "-o", "json").stdout)
    return [f"{row['node']} {addresses[row['node']]}:{row['ports'].partition('=')[2]}" for row in rows]


def test_a_list_of_tasks_follows_them_is_told_of_and_is_put_back(desk: Desk) -> None:
    (desk.folder / "templates").mkdir()
    (desk.folder / "templates" / "list.j2").write_text(LIST)
    (desk.folder / "templates" / "services.j2").write_text(SERVICES)
    (desk.folder / "readers.yml").write_text(READERS)
    desk.cube("deploy", "readers.yml")
    assert told(desk, "by-signal", "/list") == []

    desk.cube("deploy", desk.write(WEB, count=2, most=2))
    before = serving(desk)
    assert len(before) == 2
    groups = ("by-signal", "by-command", "by-restart")
    for group in groups:
        wait_until(lambda group=group: told(desk, group) == before)  # type: ignore[misc]
        assert (group, told(desk, group)) == (group, before)
    assert "no change" in desk.cube("plan").stdout
    events = json.dumps(desk.data("events", "--job", "readers"))
    assert "its files are new: told by SIGHUP: /list is another file now" in events

    done = desk.cube("deploy", desk.write(WEB, count=2, most=2, mark="2"))
    steps = [line.split()[:2] for line in done.stdout.splitlines()]
    stop = steps.index(["stop", "web/main[0]"])
    assert ["refresh", "readers/by-signal[0]"] in steps[steps.index(["start", "web/main[0]"]) : stop]
    for group in groups:
        wait_until(lambda group=group: told(desk, group) == serving(desk))  # type: ignore[misc]
        assert (group, told(desk, group)) == (group, serving(desk))
    variable = [f"WEB={' '.join(line.split()[1] for line in serving(desk))}"]
    wait_until(lambda: told(desk, "by-variable") == variable)
    events = json.dumps(desk.data("events", "--job", "readers"))
    assert "told by restart: /run/services is another file now" in events
    number, name = reader(desk, "by-variable")
    desk.on(number, "docker", "kill", name)
    desk.cube("reconcile")
    wait_until(lambda: told(desk, "by-variable") == variable)
    assert told(desk, "by-variable") == variable

    names = [f"{line.split()[1].partition(':')[0]}\tshop" for line in serving(desk)]
    assert told(desk, "by-name", "/etc/hosts")[3:] == names
    number, name = reader(desk, "by-name")
    port = serving(desk)[0].rpartition(":")[2]
    page = desk.asked(number, "docker", "exec", name, "wget", "-qO-", f"http://shop:{port}/")
    assert page[0].startswith("Hello from Cube: demo version 2")

    number, name = reader(desk, "by-command")
    desk.on(number, "sh", "-c", "for file in /run/cube/*/0.template; do echo strange > $file; done")
    desk.on(number, "docker", "exec", name, "rm", "/tmp/told")
    other, _ = reader(desk, "by-signal")
    desk.on(other, "sh", "-c", "rm -rf /run/cube/*")
    named, name = reader(desk, "by-name")
    desk.on(named, "sh", "-c", "rm -rf /run/cube/*")
    desk.cube("reconcile")
    wait_until(lambda: told(desk, "by-name", "/etc/hosts")[3:] == names)
    assert desk.asked(named, "docker", "exec", name, "stat", "-c", "%h", "/etc/hosts") == [
        "1"
    ]  # no dead file
    for group in groups:
        assert told(desk, group, "/list") == serving(desk)
    if number not in (other, named):
        assert told(desk, "by-command") == serving(desk)
    assert "no change" in desk.cube("plan").stdout


@pytest.fixture
def debian(desk: Desk, engine: DockerClient) -> str:
    """What the proxies' images are made from; their jobs and templates are copied from the repository."""
    for name in ("templates", "jobs"):
        shutil.copytree(ROOT / name, desk.folder / name)
    return debian_image(engine, cache=Path.home() / ".cache" / "cube", say=print)


@pytest.mark.timeout(240)
def test_behind_a_proxy_no_change_loses_a_request_p19(desk: Desk, debian: str) -> None:
    """The examples of docs/templates.md, as they are in the repository: HAProxy, and Caddy beside it."""
    web = WEB.replace("drain: 0s", "drain: 4s") + "    ingress: {{}}\n"
    desk.cube("deploy", desk.write(web, count=3, most=3))
    (desk.folder / "api.yml").write_text(API)
    desk.cube("deploy", "api.yml")
    for proxy in ("ingress", "caddy"):
        desk.cube("deploy", f"jobs/{proxy}.yml", "--var", f"debian={debian}")
    places = [(node.address, 8000) for node in desk.nodes[1:]]
    by_caddy = [(address, 8080) for address, _ in places]
    with (
        constantly_asked(places) as answers,
        constantly_asked(by_caddy, clients=4, kept=NEW) as others,
    ):
        desk.cube("deploy", desk.write(web, count=3, most=3, mark="2"))
        desk.cube("rollback", "web")
        desk.cube("scale", "web", "main=2")
        desk.cube("node", "drain", "node1")
    assert desk.containers_on(0) == []
    assert answers.bad == []
    assert others.bad == []
    assert answers.rate > 200
    assert min(drains(desk)) >= 4
    pages = [asked_for(places[0], "/", host) for host in ("api.example", "shop.example")]
    assert ["version api" in pages[0], "version 1" in pages[1]] == [True, True]
    assert asked_for(places[0], "/v1/nothing", "shop.example") == "503"
    done = desk.cube("maintenance", "web", "on", "--retry-after", "10m")
    assert "end it with: cube maintenance web off" in done.stdout
    pages = [asked_for(place, "/", "shop.example") for place in places]
    pages += [asked_for(by_caddy[0], "/", "shop.example")]
    assert pages == ["503, Retry-After 600: Back soon"] * 3
    assert "version api" in asked_for(by_caddy[0], "/", "api.example")
    assert asked_for(by_caddy[0], "/v1/nothing", "shop.example") == "503"
    assert "web is in maintenance" in desk.cube("status").stdout
    seen = ("docker", "run", "--rm", "--network=host", "cube-busybox:1", "wget", "-qO-")
    figures = desk.asked(1, *seen, "http://127.0.0.1:8404/metrics")
    assert any(line.startswith('haproxy_backend_http_responses_total{proxy="web.main"') for line in figures)
    desk.cube("maintenance", "web", "off")
    assert "version 1" in asked_for(by_caddy[0], "/", "shop.example")
    assert " web.main/web-main-" in desk.cube("logs", "ingress").stdout, "each request is a line"
    (desk.folder / "api.yml").write_text(API.replace("api.example", "api.example, tls: acme"))
    assert "HAProxy gets no certificates itself" in desk.cube("deploy", "api.yml", code=2).stderr
    assert asked_for(places[0], "/slow?seconds=4", "api.example") == "slow from now on\n"
    for place, proxy in ((places[0], "ingress"), (by_caddy[0], "caddy")):
        assert "version api" in asked_while(partial(desk.cube, "stop", proxy), place, "api.example")


HTTPS = """
    env: {CERTIFICATE: /run/certificates/}
    secrets: {shop: /run/certificates/shop.pem, blog: /run/certificates/blog.pem}
"""


@pytest.mark.timeout(150)
def test_haproxy_gives_canaries_their_share_keeps_to_a_cookie_and_shows_each_host_its_certificate(
    desk: Desk, debian: str
) -> None:
    pairs = {f"{name}.example": certified(desk.folder, name, f"{name}.example") for name in ("shop", "blog")}
    (desk.folder / "secrets").mkdir()
    for pair in pairs.values():
        whole = desk.folder / "secrets" / pair.certificate.name
        whole.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    (desk.folder / "secrets" / f"{desk.inventory.stem}.yml").write_text(
        "shop: {file: secrets/shop.pem}\nblog: {file: secrets/blog.pem}\n"
    )
    job = desk.folder / "jobs" / "ingress.yml"
    https = "    ports:\n      https: {container: 8443, host: 8443, public: true}\n"
    job.write_text(job.read_text().replace("    ports:\n", https) + HTTPS)
    web = WEB.replace("max_parallel:", "canary: 1, max_parallel:")
    web += "    ingress: {{sticky: true, canary_weight: 60}}\n"
    desk.cube("deploy", desk.write(web, count=3, most=3))
    desk.cube("deploy", "jobs/ingress.yml", "--var", f"debian={debian}")
    desk.cube("deploy", desk.write(web, count=3, most=3, mark="2"))

    door = (desk.nodes[1].address, 8000)
    met = [answered(door) for _ in range(300)]
    canaries = sum("version 2" in page for page, _ in met)
    assert 135 < canaries < 225, "180, more or less by five times the deviation of mere chance"
    kept = {cookie.partition(";")[0]: page for page, cookie in met}
    assert len(kept) == 4, "three old tasks and the canary"
    for cookie, page in kept.items():
        assert {answered(door, cookie)[0] for _ in range(10)} == {page}
    for host, pair in pairs.items():
        trusting = ssl.create_default_context(cafile=str(pair.certificate))
        with (
            socket.create_connection((door[0], 8443), 10) as plain,
            trusting.wrap_socket(plain, server_hostname=host) as by_tls,
        ):
            assert by_tls.version()


def answered(place: tuple[str, int], cookie: str = "") -> tuple[str, str]:
    """The page that one gets who has that cookie, and the cookie that comes with it."""
    with closing(HTTPConnection(*place, timeout=10)) as connection:
        connection.request("GET", "/", headers={"Cookie": cookie} if cookie else {})
        answer = connection.getresponse()
        return answer.read().decode(), answer.getheader("Set-Cookie") or ""


def drains(desk: Desk) -> list[float]:
    """How many seconds each task of `web` served on after the last proxy had been told, until its end."""
    events = desk.data("events")
    told = [
        event["time"] for event in events if event["reason"].startswith("its files are new: told by SIGUSR2")
    ]
    ends = [
        event["time"] for event in events if event["slot"]["job"] == "web" and event["target"] == "Completed"
    ]
    return [end - max(at for at in told if at < end) for end in ends]


def asked_while(acting: Callable[[], object], place: tuple[str, int], host: str) -> str:
    """What a request is answered that has arrived before."""
    with ThreadPoolExecutor(1) as beside:
        page = beside.submit(asked_for, place, "/", host)
        time.sleep(0.5)
        acting()
        return page.result()


def asked_for(place: tuple[str, int], path: str, host: str) -> str:
    """The page; the status where it is another than 200, and when to come back to what."""
    connection = HTTPConnection(*place, timeout=10)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    page = answer.read().decode()
    connection.close()
    if back := answer.getheader("Retry-After"):
        return f"{answer.status}, Retry-After {back}: {page.partition('<h1>')[2].partition('<')[0]}"
    return page if answer.status == HTTPStatus.OK else str(answer.status)
