"""The lab's pure parts: what a node is made of, and the inventory that leads to it."""

import tarfile
from io import BytesIO
from pathlib import Path

import pytest
import yaml

from cube.errors import InputError
from cube.lab.fleet import Lab, LabNode, LabSpec
from cube.lab.image import build_context
from cube.lab.inventory import inventory_text
from cube.lab.keys import keep_pair, make_pair
from cube.lab.machine import grantable_capabilities, host_options


def spec(*, cpu: int | None = None, memory: int | None = None) -> LabSpec:
    return LabSpec(name="lab", nodes=1, inventory=Path("/x/lab.yml"), cpu=cpu, memory=memory)


def node(number: int) -> LabNode:
    return LabNode(
        name=f"node{number}",
        number=number,
        container=f"cube-lab-node{number}",
        address=f"10.213.0.{number + 1}",
        port=22,
        datacenter=f"dc{2 - number % 2}",
        rack="r1",
        host_key="ssh-ed25519 AAAA",
        state="running",
    )


def test_a_capability_that_the_host_lacks_is_not_asked_for() -> None:
    every_but_sys_resource = "Name:\tpython\nCapBnd:\t000001fffeffffff\n"
    held = grantable_capabilities(every_but_sys_resource)
    assert "SYS_ADMIN" in held
    assert "SYS_RESOURCE" not in held


def test_an_old_host_lends_its_cgroups_and_a_new_one_gives_a_namespace() -> None:
    old = host_options(spec(), cgroup_version="1", capabilities=[])
    new = host_options(spec(), cgroup_version="2", capabilities=[])
    assert (old["CgroupnsMode"], "/sys/fs/cgroup:/sys/fs/cgroup:rw" in old["Binds"]) == ("host", True)
    assert (new["CgroupnsMode"], "/sys/fs/cgroup:/sys/fs/cgroup:rw" in new["Binds"]) == ("private", False)


def test_limits_reach_the_engine_in_its_units() -> None:
    options = host_options(spec(cpu=1500, memory=2**30), cgroup_version="1", capabilities=[])
    assert (options["NanoCpus"], options["Memory"]) == (1_500_000_000, 2**30)


def test_the_inventory_has_every_node_once_with_its_pinned_key() -> None:
    lab = Lab(name="lab", inventory=Path("/x/lab.yml"), nodes=(node(1), node(2)))
    content = yaml.safe_load(inventory_text(lab))["all"]
    assert list(content["hosts"]) == ["node1", "node2"]
    assert content["hosts"]["node1"]["cube_host_key"] == "ssh-ed25519 AAAA"
    assert content["vars"]["ansible_ssh_private_key_file"] == "/x/lab/id_ed25519"
    assert {name: list(group["hosts"]) for name, group in content["children"].items()} == {
        "dc1": ["node1"],
        "dc2": ["node2"],
    }


def test_a_node_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InputError, match="its nodes are: node1, node2"):
        Lab(name="lab", inventory=Path("/x/lab.yml"), nodes=(node(1), node(2))).node("node3")


def test_the_image_depends_on_the_content_of_its_files_alone() -> None:
    context = build_context()
    assert context == build_context()
    with tarfile.open(fileobj=BytesIO(context)) as tar:
        assert "Dockerfile" in tar.getnames()


def test_a_key_is_kept_once_made_and_never_printed(tmp_path: Path) -> None:
    made = keep_pair(tmp_path / "lab" / "id_ed25519")
    assert keep_pair(tmp_path / "lab" / "id_ed25519") == made
    assert made != make_pair()
    assert "PRIVATE" not in repr(made)
