"""docs/walk.md, every file and every command of it, on three real nodes; what cron runs is not waited for."""

import os
import re
import shutil
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import DockerClient

from cube.lab.debian import debian_image
from tests.certificate import certified
from tests.lab.beside import constantly_asked
from tests.lab.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet"), pytest.mark.timeout(300)]

ROOT = Path(__file__).parent.parent.parent
CRONTAB = """\
#!/bin/sh
case $1 in -l) cat "$HOME/crontab" ;; -) cat >"$HOME/crontab" ;; esac
"""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(page: str) -> Iterator[tuple[str, str]]:
    """The files of the page, by name (cron's table, too), and its commands, under `$`; in their order."""
    for kind, text in BLOCK.findall(page):
        if kind == "console":
            yield from (("$", line.removeprefix("$ ")) for line in text.splitlines())
        elif kind == "cron":
            yield "crontab", text
        elif text.startswith("# "):
            name, _, content = text.removeprefix("# ").partition("\n")
            yield name, content


def project(desk: Desk) -> None:
    """What the page says to have, or to copy, before it begins."""
    folder = desk.folder
    (folder / "jobs" / "site").mkdir(parents=True)
    (folder / "templates").mkdir()
    shutil.copytree(ROOT / "jobs" / "ingress", folder / "jobs" / "ingress")
    shutil.copy(ROOT / "templates" / "haproxy.cfg.j2", folder / "templates")
    shop = certified(folder, "shop", *(node.address for node in desk.nodes))
    shop.certificate.rename(folder / "ca.pem")
    (folder / "shop.pem").write_bytes((folder / "ca.pem").read_bytes() + shop.key.read_bytes())
    (folder / "bin").mkdir()
    (folder / "bin" / "crontab").write_text(CRONTAB)
    (folder / "bin" / "crontab").chmod(0o700)
    (folder / "password").write_text("correct horse battery staple")
    (folder / "inventories").mkdir()


def typed(desk: Desk, command: str) -> None:
    """A person types that into a shell of this folder, and it succeeds."""
    path = f"{desk.folder / 'bin'}:{Path(sys.executable).parent}:{os.defpath}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=desk.folder,
        env={"PATH": path, "HOME": str(desk.folder), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"


def page_of(address: str, trusting: ssl.SSLContext) -> str:
    """The site over TLS."""
    with urllib.request.urlopen(f"https://{address}/", timeout=10, context=trusting) as answer:
        return str(answer.read().decode())


def test_the_walk_ends_with_a_site_that_lost_no_request_p19(desk: Desk, engine: DockerClient) -> None:
    project(desk)
    debian = debian_image(engine, cache=Path.home() / ".cache" / "cube", say=print)
    page = (ROOT / "docs" / "walk.md").read_text()
    for said, here in (
        ("cube-lab-node1", desk.nodes[0].container),
        ("{context: ingress}", f"{{context: ingress, args: {{BASE: {debian}}}}}"),
        ("/srv/shop", str(desk.folder)),
    ):
        assert said in page
        page = page.replace(said, here)
    lines = list(steps(page))
    update = lines.index(("$", "sed -i s/one/two/ jobs/site/Dockerfile"))
    play(desk, lines[:update])
    addresses = [node.address for node in desk.nodes]
    nightly(desk)
    trusting = ssl.create_default_context(cafile=str(desk.folder / "ca.pem"))
    assert "one" in page_of(addresses[0], trusting)
    with (
        constantly_asked([(address, 80) for address in addresses[:2]]) as answers,
        constantly_asked(
            [(address, 443) for address in addresses[:2]], clients=4, each=10.0, trusting=trusting
        ) as by_tls,
    ):
        play(desk, lines[update : update + 2])
        assert "two" in page_of(addresses[1], trusting)
        play(desk, lines[update + 2 :])
    assert "one" in page_of(addresses[2], trusting)
    assert (answers.bad, answers.rate > 100) == ([], True)
    assert (by_tls.bad, by_tls.rate > 10) == ([], True)
    kept = desk.on(1, "sh", "-c", "wc -l < /var/lib/docker/volumes/db-data/_data/log")
    assert int(kept) > 0


def nightly(desk: Desk) -> None:
    """What cron would run by now, each line once, and two archives are kept: one was typed."""
    table = (desk.folder / "crontab").read_text().splitlines()
    assert [line.split()[:5] for line in table] == [["0", "3", "*", "*", "*"], ["*"] * 5]
    for line in table:
        typed(desk, line.split(maxsplit=5)[5])
    assert len(list(desk.folder.glob("backups/*/db-data@node1@*.tar.gz"))) == 2


def play(desk: Desk, lines: list[tuple[str, str]]) -> None:
    """Write each file and type each command; the inventory is the lab's."""
    for name, text in lines:
        if name == "$":
            typed(desk, text)
        elif name == "inventories/prod.yml":
            (desk.folder / name).write_text(desk.inventory.read_text())
        else:
            (desk.folder / name).write_text(text)
