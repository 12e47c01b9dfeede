"""Two managers share a state at a server, and the nodes; the one that leads is killed in a rollout."""

import json
import subprocess
import sys
from collections import Counter
from contextlib import closing

import pytest

from cube.store.address import Server
from cube.store.store import Store, open_store
from tests.lab.desk import SLEEPER, Desk, wait_until
from tests.postgres import Cluster
from tests.stage import free_port

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

COUNT = 4

ROLLOUT = f"{SLEEPER}    update: {{{{max_parallel: 1, min_healthy_time: 1s}}}}\n"


def begin_manager(desk: Desk, place: Server) -> tuple[subprocess.Popen[str], str]:
    """A manager with that state, once it listens, and where."""
    url = f"127.0.0.1:{free_port()}"
    words = ("start", "--no-tokens", "--listen", url, "--every", "5s", "--state", place.url)
    manager = desk.begin("manager", *words)
    return manager, f"http://{url}"


def ask(desk: Desk, url: str, *words: str) -> subprocess.Popen[str]:
    """A command through that manager, under way."""
    command = [sys.executable, "-m", "cube.cli.main", "--manager", url, *words]
    asked = subprocess.Popen(
        command, cwd=desk.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    desk.begun.append(asked)
    return asked


def versions(desk: Desk) -> list[str]:
    """The version of each container that runs, from the nodes' own engines."""
    asked = ("docker", "ps", "--format", '{{.Label "cube.version"}}')
    return sorted(word for node in range(len(desk.nodes)) for word in desk.asked(node, *asked))


def events(store: Store) -> list[str]:
    return [event.reason for event in store.events()]


def shares(place: Server) -> list[int]:
    """How many nodes each manager looks after."""
    with closing(open_store(place)) as store:
        return sorted(Counter(store.shares.held().values()).values())


def test_a_manager_that_is_killed_in_a_rollout_is_followed_by_another_that_ends_it_p10(
    desk: Desk, postgres: Cluster
) -> None:
    """P9, P10, P11: kill -9 of the leader; nothing runs twice, and nothing that was begun is lost."""
    place = postgres.place()
    leader, url = begin_manager(desk, place)
    _, other = begin_manager(desk, place)
    first = ask(desk, url, "deploy", desk.write(ROLLOUT, count=COUNT))
    assert first.wait(90) == 0, first.communicate()[0]
    wait_until(lambda: shares(place) == [1, 2])
    assert shares(place) == [1, 2]
    ask(desk, url, "deploy", desk.write(ROLLOUT, count=COUNT, mark="2"))
    wait_until(lambda: "2" in versions(desk))
    leader.kill()
    assert "1" in versions(desk), "the rollout was over before the leader was killed"
    wait_until(lambda: shares(place) == [3])
    assert shares(place) == [3], "what the killed one looked after is not the other's"
    wait_until(lambda: versions(desk) == ["2"] * COUNT)
    assert versions(desk) == ["2"] * COUNT
    settled = ask(desk, other, "status", "sleeper", "-o", "json")
    assert [task["state"] for task in json.loads(settled.communicate(timeout=30)[0])] == ["Running"] * COUNT
    with closing(open_store(place)) as store:
        wait_until(lambda: "the rollout of version 2 succeeded: everything is in place" in events(store))
        assert "the rollout of version 2 succeeded: everything is in place" in events(store)
        assert store.check() == ()
