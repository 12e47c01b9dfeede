"""Rollouts on real nodes, under load, watched from beside: the old serve until the new can."""

import subprocess

import pytest

from tests.lab.beside import under_load, watched
from tests.lab.desk import BOUND, Desk

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

COUNT = 3
SERVERS = """
job: web
groups:
  main:
    count: 3
    image: cube-demo:1
    env: {env}
    memory: 32MiB
    ports: {{http: {{container: 8080, public: true}}}}
    health: {{http: /health, port: http, interval: 1s, timeout: 1s, failures: 2}}
    restart: {{attempts: 0}}
    stop: {{grace: 1s}}
    update: {{order: start-first, min_healthy_time: 1s, healthy_deadline: 4s, auto_revert: {reverts}}}
"""


def write(desk: Desk, env: str, *, reverts: str = "false") -> str:
    return desk.write(SERVERS, env=env, reverts=reverts)


def versions(desk: Desk) -> list[str]:
    """What VERSION the running containers have, from their own engines."""
    script = "docker ps -q | xargs -r docker inspect -f '{{.Config.Env}}'"
    told = [desk.on(number, "sh", "-c", script) for number in range(len(desk.nodes))]
    return sorted(word[8:] for line in told for word in line.strip("[]\n").split() if word[:8] == "VERSION=")


def test_a_rolling_update_under_load_never_has_fewer_healthy_replicas_than_wanted_p19(desk: Desk) -> None:
    desk.cube("deploy", write(desk, "{VERSION: one}"))
    with watched(desk) as looks, under_load(desk, "web") as load:
        desk.cube("deploy", write(desk, "{VERSION: two}"))
    assert versions(desk) == ["two"] * COUNT
    assert looks.fewest() >= COUNT
    assert load.rate > 100
    assert load.lost == 0
    assert looks.longest_gap() < 1, "what is not looked at is not proven"


@pytest.mark.parametrize("reverts", ["false", "true"])
def test_an_update_to_a_sick_version_under_load_leaves_the_old_ones_serving_p19(
    desk: Desk, reverts: str
) -> None:
    desk.cube("deploy", write(desk, "{VERSION: one}"))
    file = write(desk, "{VERSION: two, UNHEALTHY: yes}", reverts=reverts)
    with watched(desk) as looks, under_load(desk, "web") as load:
        done = subprocess.run(
            desk.command("deploy", file), cwd=desk.folder, capture_output=True, text=True, timeout=BOUND,
            check=False,
        )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert versions(desk).count("one") == COUNT
    assert looks.fewest() >= COUNT
    assert load.lost == 0


def test_a_drain_under_load_never_has_fewer_healthy_replicas_than_wanted_p19(desk: Desk) -> None:
    desk.cube("deploy", write(desk, "{VERSION: one}"))
    with watched(desk) as looks, under_load(desk, "web") as load:
        desk.cube("node", "drain", "node1")
    assert desk.containers_on(0) == []
    assert looks.fewest() >= COUNT
    assert load.lost == 0


def test_a_stop_first_update_is_seen_to_have_fewer_so_that_the_watch_is_known_to_see_p19(desk: Desk) -> None:
    file = write(desk, "{VERSION: one}")
    desk.cube("deploy", file)
    later = write(desk, "{VERSION: two}")
    text = (desk.folder / "job.yml").read_text()
    (desk.folder / "job.yml").write_text(text.replace("start-first", "stop-first"))
    with watched(desk) as looks, under_load(desk, "web"):
        desk.cube("deploy", later)
    assert looks.fewest() == COUNT - 1
