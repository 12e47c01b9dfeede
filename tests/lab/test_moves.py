"""`cube rebalance` and `cube move` on real nodes, typed as a person types them."""

import signal

import pytest

from tests.lab.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

SLOW = """
job: slow
groups:
  main:
    count: 2
    image: cube-busybox:1
    command: [sleep, "100000"]
    memory: 32MiB
    stop: {grace: 1s}
    update: {min_healthy_time: SECONDS}
"""


def proven_after(desk: Desk, seconds: str) -> str:
    path = desk.folder / "slow.yml"
    path.write_text(SLOW.replace("SECONDS", seconds))
    return str(path)


def homes(desk: Desk) -> list[str]:
    return sorted(row["node"] for row in desk.data("status", "slow") if row["state"] == "Running")


def test_a_crowded_job_gets_the_node_that_came_back_and_serves_all_the_while_p19(desk: Desk) -> None:
    first, *others = (node.name for node in desk.nodes)
    for name in others:
        desk.cube("node", "cordon", name)
    desk.cube("deploy", proven_after(desk, "500ms"))
    assert homes(desk) == [first, first]
    for name in others:
        desk.cube("node", "uncordon", name)
    (planned,) = desk.data("rebalance", "--plan")
    done = desk.cube("rebalance", "--max-moves", "5")
    assert f"moved {planned['task']} from {first} to {planned['to']}" in done.stdout
    started, stopped = done.stdout.index("  start"), done.stdout.index("  stop")
    assert started < stopped
    assert homes(desk) == sorted([first, planned["to"]])
    assert f"gains {planned['gain']:.3f}" in desk.cube("why", planned["task"]).stdout
    assert desk.data("rebalance", "--plan") == []


def test_a_move_that_was_cut_short_is_finished_by_the_next_sweep_p9(desk: Desk) -> None:
    desk.cube("deploy", proven_after(desk, "4s"))
    before = homes(desk)
    task = next(row for row in desk.data("status", "slow") if row["state"] == "Running")
    there = next(node.name for node in desk.nodes if node.name not in before)
    moving = desk.begin("move", task["task"], "--to", there)
    moving.send_signal(signal.SIGINT)
    told, errors = moving.communicate(timeout=60)
    assert moving.returncode == 130, f"{told}{errors}"
    assert desk.cube("reconcile").stdout.count("moved slow/main") == 1
    assert homes(desk) == sorted([*[name for name in before if name != task["node"]], there])
