"""What matters more takes room on real nodes, typed as a person types it."""

import os
from dataclasses import replace

import pytest

from tests.lab.desk import Desk, wait_until

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

WHOLE = """
job: {name}
priority: {priority}
groups:
  main:
    count: {count}
    image: cube-busybox:1
    command: [sleep, "100000"]
    cpu: {cpu}
    memory: 32MiB
    architecture: [amd64, arm64]
    stop: {{grace: 1s}}
"""


def giving_way(desk: Desk) -> Desk:
    """The same lab, in whose inventory tasks may have to give way."""
    inventory = desk.folder / "giving-way.yml"
    text = desk.inventory.read_text()
    inventory.write_text(text.replace("  vars:\n", "  vars:\n    cube_preemption: true\n", 1))
    return replace(desk, inventory=inventory)


def job(desk: Desk, name: str, *, priority: int, count: int) -> str:
    """A job of tasks that each take all the CPU of a node."""
    path = desk.folder / f"{name}.yml"
    path.write_text(WHOLE.format(name=name, priority=priority, count=count, cpu=os.cpu_count()))
    return str(path)


def test_one_task_gives_way_to_what_matters_more_and_both_say_so(desk: Desk) -> None:
    nodes = len(desk.nodes)
    desk.cube("deploy", job(desk, "batch", priority=30, count=nodes))
    shop = job(desk, "shop", priority=80, count=1)
    assert "fits on none" in desk.cube("deploy", shop, code=1).stdout

    here = giving_way(desk)
    wait_until(lambda: "preempted by shop/main[0]" in here.cube("plan", shop).stdout)
    done = here.cube("deploy", shop)
    assert done.stdout.count("  stop") == 1
    assert "preempted by shop/main[0]" in here.cube("events").stdout
    assert "scheduler: tight" in here.cube("why", "shop/main[0]").stdout
