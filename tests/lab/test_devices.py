"""A device of a real node: one task has it, its container sees it, and no other task does."""

from dataclasses import replace

import pytest

from tests.lab.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

DEVICE = "/dev/cube-tape"

TAPE = """
job: tape
groups:
  main:
    count: {count}
    image: cube-busybox:1
    command: [sleep, "100000"]
    memory: 16MiB
    devices: {{tape: 1}}
    constraints: ["node.name = node1"]
    stop: {{grace: 1s}}
    env: {{MARK: "{mark}"}}
"""


def with_a_tape(desk: Desk) -> Desk:
    """The same lab; its first node has a tape, and the inventory says so."""
    desk.on(0, "sh", "-c", f"test -e {DEVICE} || mknod {DEVICE} c 1 3")
    inventory = desk.folder / "tape.yml"
    declared = f"  vars:\n    cube_devices: {{tape: [{DEVICE}]}}\n"
    inventory.write_text(desk.inventory.read_text().replace("  vars:\n", declared, 1))
    return replace(desk, inventory=inventory)


def test_it_is_one_tasks_alone_until_that_has_gone_p3(desk: Desk) -> None:
    here = with_a_tape(desk)
    refused = here.cube("deploy", here.write(TAPE, count=2), code=1)
    assert "tape: 1 asked, 0 free" in refused.stdout
    assert here.cube("exec", "tape/main[0]", "--", "test", "-c", DEVICE).returncode == 0
    here.cube("scale", "tape", "main=1")
    assert "version 3 is in place" in here.cube("deploy", here.write(TAPE, count=1, mark="new")).stdout
    (container,) = here.containers_on(0)
    assert (
        here.on(0, "docker", "inspect", "-f", "{{(index .HostConfig.Devices 0).PathOnHost}}", container)
        == DEVICE
    )
