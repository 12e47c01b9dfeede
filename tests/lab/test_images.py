"""Images from the operator's engine to real nodes: what crosses the wire, and what is there in the end."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from cube.cli.load import load_cluster
from cube.image.own import OwnEngine
from cube.image.pack import PART, Pack
from cube.image.shelf import Shelf
from cube.lab import faults
from cube.manager.fleet import open_workers
from cube.model.image import Image
from cube.worker.engine import EngineError
from cube.worker.worker import Worker
from tests.imagery import layer
from tests.lab.desk import Desk, wait_until
from tests.lab.machine import seen, start, task_of
from tests.lab.workshop import Workshop

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

MB = 1_000_000

ARRIVING = "/var/lib/docker/tmp"
"""Where an engine keeps an archive that is being loaded."""


def pushed(desk: Desk, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """What `cube image push` answers for each node."""
    return {row["node"]: row for row in desk.data("image", "push", *words, code=code)}


@contextmanager
def worker_of(desk: Desk, node: str) -> Iterator[Worker]:
    """The manager's hand on that node."""
    cluster = load_cluster(desk.inventory)
    with open_workers(cluster, owner="store-1", epoch=1, state_dir=desk.folder) as workers:
        yield workers[node]


def id_on(desk: Desk, node: int, name: str) -> str:
    return desk.on(node, "docker", "inspect", "--format", "{{.Id}}", name)


class TestAPush:
    def test_brings_the_image_to_every_node_where_it_runs_and_again_sends_nothing(
        self, desk: Desk, workshop: Workshop
    ) -> None:
        name = workshop.make("1", layer({"app/mark": b"brought"}), Cmd=["/bin/cat", "/app/mark"])
        assert set(pushed(desk, name)) == {"node1", "node2", "node3"}
        for number in range(3):
            assert desk.on(number, "docker", "run", "--rm", name) == "brought"
            assert id_on(desk, number, name) == workshop.id_of(name)
        assert [(row["pushed"], row["bytes"]) for row in pushed(desk, name).values()] == [(False, 0)] * 3

    def test_sends_only_the_layers_that_a_node_lacks(self, desk: Desk, workshop: Workshop) -> None:
        large = layer({"app/data": os.urandom(4 * MB)})
        first = workshop.make("1", large, layer({"app/v": b"1"}))
        second = workshop.make("2", large, layer({"app/v": b"2"}))
        rows = pushed(desk, first, "node1")
        assert (rows["node1"]["layers"], rows["node1"]["bytes"] > 4 * MB) == (2, True), "all but the base"
        rows = pushed(desk, second, "node1,node2")
        assert (rows["node1"]["layers"], rows["node1"]["bytes"] < 2000) == (1, True)
        assert (rows["node2"]["layers"], rows["node2"]["bytes"] > 4 * MB) == (2, True)

    def test_of_a_name_that_means_another_image_now_moves_it(self, desk: Desk, workshop: Workshop) -> None:
        name = workshop.make("1", layer({"app/mark": b"1"}))
        pushed(desk, name, "node1")
        workshop.make("1", layer({"app/mark": b"2"}))
        assert pushed(desk, name, "node1")["node1"]["pushed"]
        assert id_on(desk, 0, name) == workshop.id_of(name)

    def test_to_a_node_that_is_gone_is_told_and_the_others_get_it_p2_p12(
        self, desk: Desk, workshop: Workshop
    ) -> None:
        faults.kill(desk.engine, desk.nodes[1])
        name = workshop.make("1", layer({"app/mark": b"1"}))
        rows = pushed(desk, name, code=3)
        assert "node2" in rows["node2"]["error"]
        assert [id_on(desk, number, name) for number in (0, 2)] == [workshop.id_of(name)] * 2

    def test_that_is_interrupted_leaves_nothing_half_and_a_second_one_goes_on_where_it_was_p9(
        self, desk: Desk, workshop: Workshop
    ) -> None:
        large = [layer({f"app/{name}": os.urandom(PART)}) for name in ("one", "two")]
        name = workshop.make("1", *large, layer({"app/end": b"1"}))

        def interrupt(sent: int, size: int) -> None:
            if sent > size * 0.75:
                raise KeyboardInterrupt

        with Shelf(OwnEngine()) as shelf, worker_of(desk, "node1") as worker:
            with pytest.raises(KeyboardInterrupt):
                worker.push(shelf.cargo(name), interrupt)
            wait_until(lambda: not desk.on(0, "ls", ARRIVING))
            assert desk.on(0, "ls", ARRIVING) == desk.on(0, "docker", "images", "-q", workshop.name) == ""
        row = pushed(desk, name, "node1")["node1"]
        assert (row["layers"], row["bytes"] < 1.1 * PART) == (2, True), (
            "the first large layer was there already"
        )
        assert id_on(desk, 0, name) == workshop.id_of(name)
        assert desk.on(0, "docker", "images", "-q", "--filter", "label=cube.part") == ""

    def test_ends_at_once_with_ctrl_c_and_says_130(self, desk: Desk, workshop: Workshop) -> None:
        name = workshop.make("1", layer({"app/data": os.urandom(16 * MB)}))
        words = desk.command("image", "push", name)
        running = subprocess.Popen(words, cwd=desk.folder, text=True, stderr=subprocess.PIPE)
        desk.begun.append(running)
        wait_until(lambda: desk.on(0, "ls", ARRIVING))
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=20)
        assert (running.returncode, "Traceback" in errors) == (130, False)

    def test_of_an_image_that_nobody_has_is_refused_before_anything_is_touched(self, desk: Desk) -> None:
        done = desk.cube("image", "push", "nowhere:7", code=2)
        assert "no image 'nowhere:7'" in done.stderr

    def test_sends_the_whole_where_layers_went_away_in_between(self, desk: Desk, workshop: Workshop) -> None:
        """As it does to an engine that takes no less."""
        lower = (layer({"app/a": b"1"}), layer({"app/b": b"1"}))
        first = workshop.make("1", *lower)
        second = workshop.make("2", *lower, layer({"app/c": b"1"}))
        pushed(desk, first, "node1")
        with Shelf(OwnEngine()) as shelf, worker_of(desk, "node1") as worker:
            cargo = shelf.cargo(second)

            def pack_once_they_are_gone() -> Pack:
                desk.on(0, "sh", "-c", f"docker rmi {first} || true")
                return cargo.pack()

            done = worker.push(replace(cargo, pack=pack_once_they_are_gone), lambda _sent, _size: None)
        assert done.layers == 4
        assert id_on(desk, 0, second) == workshop.id_of(second)


class TestAnImageThatHasAnotherIdOnItsNode:
    """As between an engine on containerd and one that is not."""

    OURS = f"sha256:{'a' * 64}"

    @pytest.fixture
    def worker(self, desk: Desk, workshop: Workshop) -> Iterator[Worker]:
        name = workshop.make("1", layer({"app/mark": b"1"}))
        with Shelf(OwnEngine()) as shelf, worker_of(desk, "node1") as worker:
            here = shelf.cargo(name)
            cargo = replace(here, recipe=replace(here.recipe, id=self.OURS))
            assert [worker.push(cargo, lambda _sent, _size: None).is_new for _ in range(2)] == [True, False]
            yield worker

    def found(self, worker: Worker, workshop: Workshop) -> Image | None:
        listed = seen(worker).images or ()
        return next((image for image in listed if image.id == workshop.id_of(f"{workshop.name}:1")), None)

    def test_keeps_the_id_that_it_has_here_too_and_tasks_start_by_it(
        self, desk: Desk, worker: Worker, workshop: Workshop
    ) -> None:
        found = self.found(worker, workshop)
        assert found is not None
        assert (found.names, found.pins) == ((f"{workshop.name}:1",), (self.OURS,))
        by_pin = task_of(worker, image=f"{workshop.name}:gone", pinned=self.OURS)
        start(worker, by_pin)
        assert desk.on(0, "docker", "exec", by_pin.container_name, "cat", "/app/mark") == "1"

    def test_goes_with_its_last_name_and_not_while_a_container_was_made_from_it(
        self, desk: Desk, worker: Worker, workshop: Workshop
    ) -> None:
        name = f"{workshop.name}:1"
        desk.on(0, "docker", "create", "--name", "held", name)
        with pytest.raises(EngineError, match="refused"):
            worker.remove_image(name)
        found = self.found(worker, workshop)
        assert found is not None
        assert (found.names, found.pins) == ((name,), (self.OURS,))
        desk.on(0, "docker", "rm", "held")
        worker.remove_image(name)
        assert self.found(worker, workshop) is None


JOB = """
job: brought
groups:
  main:
    count: 2
    image: {image}
    memory: 16MiB
    stop: {{grace: 1s}}
    update: {{max_parallel: 2, min_healthy_time: 0s}}
"""


class TestADeploy:
    def test_pushes_what_nodes_lack_before_it_touches_what_runs_and_runs_those_very_bytes_everywhere(
        self, desk: Desk, workshop: Workshop
    ) -> None:
        name = workshop.make("1", layer({"app/mark": b"1"}))
        file = desk.write(JOB, image=name)
        assert f"> push {name} on node1: brought/main[0] needs it there" in desk.cube("plan", file).stdout
        done = desk.cube("deploy", file).stdout
        assert done.index(f"begun  {name} is on its way to ") < done.index("push ") < done.index("start ")
        assert "job brought: 0 changes; 2 running" in desk.cube("deploy", file).stdout
        first, marks = workshop.id_of(name), desk.containers()
        workshop.make("1", layer({"app/mark": b"2"}))
        done = desk.cube("deploy", file).stdout
        assert done.rindex("push ") < done.index("start ") < done.index("stop ")
        assert not set(desk.containers()) & set(marks)
        assert (
            f"groups.main.pinned: {first} -> {workshop.id_of(name)}" in desk.cube("history", "brought").stdout
        )
        assert marked(desk) == {"2"}
        desk.cube("rollback", "brought")
        assert marked(desk) == {"1"}, "the first one's bytes, although the name means others by now"

    def test_and_a_sweep_bring_back_an_image_that_somebody_removed(
        self, desk: Desk, workshop: Workshop
    ) -> None:
        name = workshop.make("1", layer({"app/mark": b"removed"}))  # no other test has it
        desk.cube("deploy", desk.write(JOB, image=name))
        (container,) = desk.containers_on(0)
        desk.on(0, "sh", "-c", f"docker rm -f {container}; docker rmi {name}")
        desk.cube("reconcile")
        assert len(desk.containers()) == 2
        reasons = [event["reason"] for event in desk.data("events", "--job", "brought")]
        assert reasons.count(f"pushed: {name}") == 3

    def test_from_a_machine_without_the_image_says_what_to_do(
        self, desk: Desk, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = workshop.make("1", layer({"app/mark": b"1"}))
        monkeypatch.setenv("CUBE_ENGINE", str(desk.folder / "none.sock"))
        done = desk.cube("deploy", desk.write(JOB, image=name), code=1)
        assert f"cube image push {name} node" in done.stdout


def marked(desk: Desk) -> set[str]:
    """What the running containers find in their image."""
    return {
        desk.on(number, "docker", "exec", name, "cat", "/app/mark")
        for number in range(3)
        for name in desk.containers_on(number)
    }


def test_a_prune_takes_the_images_of_old_versions_from_every_node_and_nothing_else_p5(
    desk: Desk, workshop: Workshop
) -> None:
    names = [workshop.make(tag, layer({"app/mark": f"pruned {tag}".encode()})) for tag in ("1", "2", "3")]
    for name in names:
        desk.cube("deploy", desk.write(JOB, image=name))
    before = {row["image"] for row in desk.data("image", "ls")}
    assert {"cube-busybox:1", *names} <= before
    planned = desk.data("image", "prune", "--keep", "2", "--plan")
    assert {row["image"] for row in planned} == {names[0]}
    assert {row["image"] for row in desk.data("image", "ls")} == before, "only a plan"
    desk.cube("image", "prune", "--keep", "2")
    assert {row["image"] for row in desk.data("image", "ls")} == before - {names[0]}
    assert f"push   {names[0]} on" in desk.cube("rollback", "brought", "1").stdout
    rows = desk.data("image", "rm", names[0], code=1)
    assert all("error" in row and not row["removed"] for row in rows), "containers were made from it"
    desk.cube("image", "rm", names[1])
    assert names[1] not in {row["image"] for row in desk.data("image", "ls")}
    assert "no node of 'all'" in desk.cube("image", "rm", "nowhere:7", code=2).stderr


def test_a_job_that_says_how_its_image_is_built_is_built_pushed_and_run_and_built_anew(
    desk: Desk, workshop: Workshop
) -> None:
    below, name = workshop.make("below"), f"{workshop.name}:built"
    (desk.folder / "app").mkdir()
    (desk.folder / "app" / "Dockerfile").write_text(f"FROM {below}\nCOPY mark /app/mark\n")
    file = desk.write(JOB.replace("memory", "build: {{context: app}}\n    memory"), image=name)
    for mark in ("1", "2"):
        (desk.folder / "app" / "mark").write_text(mark)
        desk.cube("deploy", file)
        assert marked(desk) == {mark}
    assert "job brought: 0 changes" in desk.cube("deploy", file).stdout, (
        "the same bytes come of the same files"
    )
    (desk.folder / "app" / "Dockerfile").write_text("FROM nowhere:7\n")
    assert "docker build exited" in desk.cube("deploy", file, code=1).stderr
    assert marked(desk) == {"2"}
