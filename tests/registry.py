"""A registry of images of the tests' own, as Debian packages it, with TLS and, where wanted, a login."""

import socket
import ssl
import subprocess
import time  # noqa: TID251 - a real process takes real time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import yaml

from tests.certificate import certified
from tests.stage import free_port

PROGRAM = Path(__file__).parent.parent / ".venv" / "bin" / "docker-registry"
"""Where scripts/setup puts it: a package that is installed would start a service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """`name` is what images' names begin with on nodes, `here` on this machine; `trusted` its certificate."""

    name: str
    here: str
    trusted: str


@contextmanager
def registry(folder: Path, address: str, *, user: str = "", password: str = "") -> Iterator[Registry]:
    """One that listens on every address of this machine, of which nodes know `address`."""
    port, pair = free_port(), certified(folder, "registry", address, "127.0.0.1")
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
        "http": {
            "addr": f":{port}",
            "secret": "none",
            "tls": {"certificate": str(pair.certificate), "key": str(pair.key)},
        },
    }
    if user:
        users = folder / "htpasswd"
        users.write_text(f"{user}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n")
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(users)}}
    (folder / "registry.yml").write_text(yaml.safe_dump(config))
    with (folder / "registry.log").open("wb") as log:
        words = [str(PROGRAM), "serve", str(folder / "registry.yml")]
        running = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        _wait(port)
        trusted = pair.certificate.read_text()
        yield Registry(name=f"{address}:{port}", here=f"127.0.0.1:{port}", trusted=trusted)
    finally:
        running.kill()
        running.wait()


def _wait(port: int) -> None:
    """Until it shakes hands."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    deadline = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as plain, context.wrap_socket(plain):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
