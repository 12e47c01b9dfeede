"""A PostgreSQL of the tests' own: its data and its socket in a temporary directory, and no TCP."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from urllib.parse import quote

import psycopg

from cube.store.address import Server

SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
}


class Cluster:
    """Places for states, each new, at one server; `folder` holds all of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    def place(self) -> Server:
        """A new and empty schema: a database of its own would take a hundred times as long."""
        self._made += 1
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA place{self._made}".encode())
        return Server(f"{self.url}&options=-csearch_path%3Dplace{self._made}")

    @property
    def url(self) -> str:
        """The database in which all of them are."""
        return f"postgresql:///postgres?user=cube&host={quote(str(self.folder), safe='')}"

    def restart(self) -> None:
        """End every connection, as a failing server does, and come back."""
        data, log = (str(self.folder / name) for name in ("data", "log"))
        _as_its_user(["pg_ctl", "restart", "-D", data, "-l", log, "-m", "fast", "-w", "-s"])


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A server that is there inside, and gone with all that it held afterwards."""
    # A socket's path has room for a hundred letters: the folders of tests are longer.
    folder = Path(mkdtemp(prefix="cube-pg-", dir="/tmp"))
    _own(folder)
    data = str(folder / "data")
    try:
        _as_its_user(["initdb", "-D", data, "-U", "cube", "-E", "UTF8", "--locale=C", "-A", "trust", "-N"])
        options = " ".join(f"-c {name}={value or repr('')}" for name, value in SETTINGS.items())
        log = str(folder / "log")
        _as_its_user(["pg_ctl", "start", "-D", data, "-o", f"{options} -k {folder}", "-l", log, "-w", "-s"])
        yield Cluster(folder)
    finally:
        _as_its_user(["pg_ctl", "stop", "-D", data, "-m", "immediate", "-s"], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _own(folder: Path) -> None:
    """It refuses to run as root: then it runs as the user whom its package has made."""
    if os.geteuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)


def _as_its_user(command: list[str], *, check: bool = True) -> None:
    user = "postgres" if os.geteuid() == 0 else None
    words = [_program(command[0]), *command[1:]]
    done = subprocess.run(
        words,
        check=False,
        user=user,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr


def _program(name: str) -> str:
    """Debian keeps them out of the way, in a folder for each version."""
    newest = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = str(newest[-1]) if newest else shutil.which(name)
    assert found, f"{name} is missing: run scripts/setup"
    return found
