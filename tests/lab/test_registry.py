"""Images from a registry that asks who is there: with a login that no node keeps, before an update begins."""

import re
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from secrets import token_hex

import pytest
import yaml

from tests.imagery import image, layer
from tests.lab.desk import Desk
from tests.registry import Registry, registry

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

JOB = """
job: private
groups:
  main:
    count: 3
    image: {image}
    max_per_node: 1
    memory: 16MiB
    stop: {{grace: 0s}}
    restart: {{attempts: 0}}
    reschedule: {{attempts: 0}}
    update: {{min_healthy_time: 0s, max_parallel: 3, order: stop-first}}
"""

PASSWORD = f"sparrow-{token_hex(8)}"
NAMES = [f"shop/private:{tag}" for tag in (1, 2)]


@pytest.fixture(name="shop")
def _shop(desk: Desk, base: bytes, tmp_path: Path) -> Iterator[Registry]:
    """A registry with a login, trusted by the nodes, that holds one image; nobody else has it."""
    host = str(IPv4Address(desk.nodes[0].address) - 1)  # the network's first address is this machine's
    with registry(tmp_path, host, user="nodes", password=PASSWORD) as found:
        for number in range(len(desk.nodes)):
            folder = f"/etc/docker/certs.d/{found.name}"
            desk.on(number, "sh", "-c", f"mkdir -p {folder}; echo '{found.trusted}' >{folder}/ca.crt")
        for name in NAMES:
            _publish(desk, f"{found.here}/{name}", base)
        yield found
        for number in range(len(desk.nodes)):
            desk.on(number, "sh", "-c", f"rm -r {folder}; docker ps -aq | xargs -r docker rm -f")
            desk.on(
                number, "sh", "-c", f"docker images -q {found.name}/shop/private | xargs -r docker rmi -f"
            )


def _publish(desk: Desk, name: str, base: bytes, mark: str = "") -> None:
    layers = (base, layer({"app/mark": f"{name}{mark}".encode()}))
    desk.engine.images.load(image(name, layers, Cmd=["sleep", "9999"]))
    login = {"username": "nodes", "password": PASSWORD}
    for line in desk.engine.images.push(name, stream=True, decode=True, auth_config=login):
        assert "error" not in line, line
    desk.engine.images.remove(name)


def knowing(desk: Desk, shop: Registry) -> Desk:
    """The desk, with an inventory that says who asks that registry."""
    written = yaml.safe_load(desk.inventory.read_text())
    written["all"]["vars"]["cube_registries"] = {shop.name: {"user": "nodes", "secret": "shop"}}
    inventory = desk.folder / desk.inventory.name
    inventory.write_text(yaml.safe_dump(written))
    (desk.folder / "secrets").mkdir()
    (desk.folder / "secrets" / f"{desk.inventory.stem}.yml").write_text("shop: {env: SHOP_PASSWORD}\n")
    return replace(desk, inventory=inventory)


def test_an_image_is_pulled_with_a_login_that_no_node_and_no_event_keeps(
    desk: Desk, shop: Registry, base: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = knowing(desk, shop)
    file = desk.write(JOB, image=f"{shop.name}/{NAMES[0]}")
    monkeypatch.setenv("SHOP_PASSWORD", "sparrow-of-another")
    refused = desk.cube("deploy", file, code=1)
    assert "cannot be pulled: " in refused.stdout
    assert "unauthorized" in refused.stdout
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    done = desk.cube("deploy", file)
    assert len(desk.containers()) == 3
    assert len(re.findall(r"begun .* is on its way to node\d", done.stdout)) == 3
    assert len(re.findall(r"start .* on node\d  ok  \S+ in [\d.]+ s", done.stdout)) == 3
    outputs = [
        refused,
        done,
        desk.cube("events", "-o", "json"),
        desk.cube("history", "private", "-o", "json"),
    ]
    said = "".join(each.stdout + each.stderr for each in outputs)
    kept = "".join(
        path.read_bytes().decode("latin-1") for path in (desk.folder / ".cube").rglob("*") if path.is_file()
    )
    assert "sparrow" not in said + kept
    for number in range(3):
        places = "/root /etc /run /tmp /var/log /var/lib/docker --exclude-dir=overlay2"
        assert desk.on(number, "sh", "-c", f"grep -rlI sparrow {places} 2>&- || true") == ""
    _updates_once_every_node_has_fetched_it(desk, shop, monkeypatch)
    _publish(desk, f"{shop.here}/{NAMES[1]}", base, mark="moved")
    _a_tag_that_moved_on_means_what_it_meant_until_the_next_deploy(desk, new=f"{shop.name}/{NAMES[1]}")


def _updates_once_every_node_has_fetched_it(
    desk: Desk, shop: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, new = desk.containers(), desk.write(JOB, image=f"{shop.name}/{NAMES[1]}")
    monkeypatch.setenv("SHOP_PASSWORD", "sparrow-of-another")
    refused = desk.cube("deploy", new, code=1).stdout
    assert f"fetch  {shop.name}/{NAMES[1]} on node1  failed" in refused
    assert (refused.count("unauthorized"), refused.count("failed  (3 times)")) == (3, 3), refused
    assert desk.containers() == before, f"what runs is stopped for an image that is not there: {refused}"
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    done = desk.cube("deploy", new).stdout
    assert done.rindex("fetch ") < done.index("stop ") < done.index("start ")
    assert len(re.findall(r"begun .* is on its way to node\d", done)) == 3
    assert len(re.findall(r"fetch .* on node\d  ok  \S+ in [\d.]+ s", done)) == 3
    events = desk.data("events", "--job", "private")
    fetched = [event for event in events if event["reason"].startswith("fetched: ")]
    came = [(int(event["detail"]["bytes"]) > 0, event["detail"]["layers"]) for event in fetched]
    assert came == [(True, "1")] * 3
    assert not set(desk.containers()) & set(before)


def _a_tag_that_moved_on_means_what_it_meant_until_the_next_deploy(desk: Desk, new: str) -> None:
    before = _images(desk)
    assert len(before) == 1, "one version, one image"
    desk.cube("stop", "private")
    desk.on(0, "sh", "-c", f"docker images -q {new.rpartition(':')[0]} | xargs docker rmi -f")
    desk.cube("rollback", "private", "4")
    assert _images(desk) == before
    assert desk.cube("deploy", desk.write(JOB, image=new)).stdout.count("start ") == 3
    assert len(_images(desk) | before) == 2


def _images(desk: Desk) -> set[str]:
    """What the containers of all nodes run from."""
    script = "docker ps -q | xargs docker inspect -f '{{.Image}}'"
    return {desk.on(number, "sh", "-c", script).strip() for number in range(len(desk.nodes))}
