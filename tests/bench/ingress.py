"""`make bench-ingress`: requests that an update loses, by Cube and by Docker Swarm, behind the same proxy.

Writes docs/benchmarks/ingress.json and the last section of docs/templates.md. In the environment, RUNS
(default 5) is how often everything is repeated; with fewer than 5 nothing is written.
"""

import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from cube.lab.debian import debian_image
from cube.manager.served import Served
from cube.manager.templates import rendered
from cube.model.job import Template
from cube.model.node import Cluster
from cube.spec.parse import parse
from tests import build
from tests.bench import contestants as who
from tests.bench.contestants import Kit
from tests.bench.facts import own_facts
from tests.bench.fleet import EMPTY, fleet
from tests.bench.ingress_report import Update, as_json, as_section, with_section
from tests.bench.measure import run
from tests.lab.beside import KEPT, NEW, constantly_asked

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
ENOUGH = 5
CALM = 2.0
"""Seconds under load before the update, and after it."""

DOOR, PORT, COUNT = 8000, 20000, 3
"""The port of the proxies; that of the service on each node, in Swarm; how many tasks it has."""

JOB = f"""\
job: web
groups:
  web:
    count: {COUNT}
    image: cube-demo:1
    env: {{VERSION: "{{{{ var.mark }}}}"}}
    memory: 32MiB
    ports: {{http: {{container: 8080, public: true}}}}
    health: {{http: /health, port: http, interval: 1s, timeout: 1s}}
    stop: {{grace: 10s}}
    ingress: {{}}
"""

_PROXY = (
    f"docker run -d --name proxy -p {DOOR}:{DOOR} -v /haproxy.cfg:/haproxy.cfg "
    "cube-haproxy:1 -W -db -f /haproxy.cfg"
)
_SERVICE = (
    f"docker service create --no-resolve-image --quiet --name web --replicas {COUNT} "
    f"--replicas-max-per-node 1 --publish mode=host,target=8080,published={PORT} cube-demo:1"
)
_UPDATE = "docker service update --no-resolve-image --quiet --env-add VERSION=2 web"

Rival = Callable[[Kit], AbstractContextManager[Callable[[], None]]]
"""Has everything run, and gives what carries out the update."""


def main() -> None:
    """Let the contestants take turns, print the table, and write it down."""
    runs = int(os.environ.get("RUNS", str(ENOUGH)))
    found: list[Update] = []
    with (
        tempfile.TemporaryDirectory(prefix="cube-bench-") as folder,
        fleet("bench-ingress", 3, Path(folder)) as lab,
    ):
        kit = Kit(cube=Path(sys.executable).with_name("cube"), peers=Path(), fleet=lab)
        for name in ("jobs", "templates"):
            shutil.copytree(ROOT / name, lab.folder / name)
        for turn in range(runs):
            for name, rival in list(RIVALS.items())[:: 1 if turn % 2 == 0 else -1]:
                found.append(_one(name, rival, kit))
    print("\n" + as_section(found))
    if runs >= ENOUGH:
        facts = own_facts()
        (DOCS / "benchmarks" / "ingress.json").write_text(as_json(found, facts))
        page = DOCS / "templates.md"
        page.write_text(with_section(page.read_text(), as_section(found, facts.machine)))
        print("written: docs/templates.md, docs/benchmarks/ingress.json")


def _one(name: str, rival: Rival, kit: Kit) -> Update:
    """One update under load, and everything as it was before."""
    kit.fleet.everywhere(EMPTY)
    load = os.getloadavg()[0]
    try:
        with rival(kit) as update:
            places = [(node.address, DOOR) for node in kit.fleet.lab.nodes]
            _wait_for([f"http://{address}:{door}/" for address, door in places])
            with (
                constantly_asked(places, clients=6, kept=NEW) as new,
                constantly_asked(places, clients=6, kept=KEPT) as kept,
            ):
                time.sleep(CALM)
                begun = time.monotonic()
                update()
                seconds = time.monotonic() - begun
                time.sleep(CALM)
            _check_is_new(places[0])
    finally:
        kit.fleet.everywhere(EMPTY)
    done = Update(
        contestant=name,
        seconds=seconds,
        rate=new.rate + kept.rate,
        asked_new=new.good + len(new.bad),
        lost_new=len(new.bad),
        asked_kept=kept.good + len(kept.bad),
        lost_kept=len(kept.bad),
        load=load,
    )
    print(f"{name:<14} {seconds:6.1f} s  {done.rate:4.0f}/s  {new.bad[:3]} {kept.bad[:3]} {done}", flush=True)
    return done


def _wait_for(pages: list[str]) -> None:
    over = time.monotonic() + 60
    for page in pages:
        while not _page(page):
            if time.monotonic() > over:
                raise SystemExit(f"bench: nobody serves {page}")
            time.sleep(0.2)


def _page(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def _check_is_new(place: tuple[str, int]) -> None:
    pages = {_page(f"http://{place[0]}:{place[1]}/").partition(" on ")[0] for _ in range(2 * COUNT)}
    if pages != {"Hello from Cube: demo version 2"}:
        raise SystemExit(f"bench: not updated: {pages}")


@contextmanager
def _cube(kit: Kit) -> Iterator[Callable[[], None]]:
    kit.forget()
    kit.write("web.yml", JOB)

    def cube(*words: str) -> None:
        run(kit.command(kit.cube, *words, "-i", kit.fleet.lab.inventory))

    cube("deploy", "web.yml", "--var", "mark=1")
    debian = debian_image(kit.fleet.engine, cache=Path.home() / ".cache" / "cube", say=print)
    cube("deploy", "jobs/ingress.yml", "--var", f"debian={debian}")
    yield lambda: cube("deploy", "web.yml", "--var", "mark=2")


@contextmanager
def _swarm(kit: Kit) -> Iterator[Callable[[], None]]:
    run(kit.command(kit.cube, "image", "push", "cube-haproxy:1", "all", "-i", kit.fleet.lab.inventory))
    who.join_swarm(kit.fleet)
    first = kit.fleet.lab.nodes[0]
    try:
        run(kit.command(*kit.fleet.ssh(first.address, _SERVICE)))
        configuration = _same_proxy(kit)
        kit.fleet.everywhere(f"cat > /haproxy.cfg <<'END'\n{configuration}\nEND\n")
        kit.fleet.everywhere(_PROXY)

        def update() -> None:
            run(kit.command(*kit.fleet.ssh(first.address, _UPDATE)))

        yield update
    finally:
        kit.fleet.everywhere("docker swarm leave --force || true")


def _same_proxy(kit: Kit) -> str:
    """What Cube makes of its template for a service with one task on each node."""
    tasks = [
        {"name": f"web-{number}", "address": node.address, "ports": {"http": PORT}, "canary": False}
        for number, node in enumerate(kit.fleet.lab.nodes)
    ]
    job = parse(JOB, "web.yml", {"var": {"mark": "1"}})
    template = Template(
        target="/haproxy.cfg",
        source="haproxy.cfg.j2",
        text=(ROOT / "templates" / "haproxy.cfg.j2").read_text(),
    )
    served = Served(tasks={"web/web": tasks}, jobs=(job,))
    node = build.node("node1")
    return rendered(Cluster(name="bench", nodes=(node,)), node, lambda: served, build.task(), template)


RIVALS: dict[str, Rival] = {"cube": _cube, "Docker Swarm": _swarm}


if __name__ == "__main__":
    main()
