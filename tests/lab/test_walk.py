"""docs/walk.md, every file and every command of it, on three real nodes."""

import datetime as dt
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
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from docker import DockerClient

from cube.lab.debian import debian_image
from tests.lab.beside import constantly_asked
from tests.lab.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet"), pytest.mark.timeout(300)]

ROOT = Path(__file__).parent.parent.parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def steps(page: str) -> Iterator[tuple[str, str]]:
    """The files of the page, by name, and its commands, under `$`; in their order."""
    for kind, text in BLOCK.findall(page):
        if kind == "console":
            yield from (("$", line.removeprefix("$ ")) for line in text.splitlines())
        elif text.startswith("# "):
            name, _, content = text.removeprefix("# ").partition("\n")
            yield name, content


def a_certificate() -> bytes:
    """A certificate and its key, as a proxy reads them from one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shop.example")])
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - a client compares it with its own clock
    made = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now,
        not_valid_after=now + dt.timedelta(days=1),
    ).sign(key, hashes.SHA256())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*form)


def project(desk: Desk, engine: DockerClient) -> None:
    """What the page says to have, or to copy, before it begins."""
    folder = desk.folder
    (folder / "jobs" / "site").mkdir(parents=True)
    (folder / "templates").mkdir()
    shutil.copytree(ROOT / "jobs" / "ingress", folder / "jobs" / "ingress")
    shutil.copy(ROOT / "templates" / "haproxy.cfg.j2", folder / "templates")
    dockerfile = folder / "jobs" / "ingress" / "Dockerfile"
    debian = debian_image(engine, cache=Path.home() / ".cache" / "cube", say=print)
    dockerfile.write_text(dockerfile.read_text().replace("debian:12-slim", debian))
    saved = engine.containers.get(desk.nodes[0].container).exec_run(["docker", "save", "cube-demo:1"])
    assert isinstance(saved.output, bytes)
    engine.images.load(saved.output)
    (folder / "shop.pem").write_bytes(a_certificate())
    (folder / "password").write_text("correct horse battery staple")
    (folder / "inventories").mkdir()


def typed(desk: Desk, command: str) -> None:
    """A person types that into a shell of this folder, and it succeeds."""
    path = f"{Path(sys.executable).parent}:{os.defpath}"
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


def page_of(address: str) -> str:
    """The site over TLS; the certificate is one of our own."""
    unchecked = ssl._create_unverified_context()
    with urllib.request.urlopen(f"https://{address}/", timeout=10, context=unchecked) as answer:
        return str(answer.read().decode())


def test_the_walk_ends_with_a_site_that_lost_no_request_p19(desk: Desk, engine: DockerClient) -> None:
    project(desk, engine)
    lines = list(steps((ROOT / "docs" / "walk.md").read_text()))
    update = lines.index(("$", "sed -i s/one/two/ jobs/site/Dockerfile"))
    play(desk, lines[:update])
    addresses = [node.address for node in desk.nodes]
    assert "one" in page_of(addresses[0])
    with constantly_asked([(address, 80) for address in addresses[:2]]) as answers:
        play(desk, lines[update : update + 2])
        assert "two" in page_of(addresses[1])
        play(desk, lines[update + 2 :])
    assert "one" in page_of(addresses[2])
    assert (answers.bad, answers.rate > 100) == ([], True)
    kept = desk.on(1, "sh", "-c", "wc -l < /var/lib/docker/volumes/db-data/_data/log")
    assert int(kept) > 0


def play(desk: Desk, lines: list[tuple[str, str]]) -> None:
    """Write each file and type each command; the inventory is the lab's."""
    for name, text in lines:
        if name == "$":
            typed(desk, text)
        elif name == "inventories/prod.yml":
            (desk.folder / name).write_text(desk.inventory.read_text())
        else:
            (desk.folder / name).write_text(text)
