"""`cube manager start` with a certificate: a real handshake, and who does not take part in it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from cube.api.server import _refuse_unusable
from cube.errors import InputError, UnreachableError
from cube.manager.tokens import make_token
from cube.remote.link import Link
from cube.store.store import open_store
from tests.certificate import Pair, certified, encrypted
from tests.stage import free_port

INVENTORY = "all: {hosts: {node1: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n"


class Running(NamedTuple):
    port: int
    token: str
    certificate: Path
    other: Path

    def link(self, authority: Path | None) -> Link:
        return Link(url=f"https://127.0.0.1:{self.port}", token=self.token, authority=authority)


def command(folder: Path, listen: str, *words: str) -> list[str]:
    (folder / "inv.yml").write_text(INVENTORY)
    fixed = ("-i", str(folder / "inv.yml"), "--state", str(folder / "state.db"), "--listen", listen)
    return [sys.executable, "-m", "cube.cli.main", "manager", "start", *fixed, *words]


def secured(pair: Pair) -> tuple[str, ...]:
    return "--certificate", str(pair.certificate), "--key", str(pair.key)


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A whole manager of its own process, over a node that never answers."""
    folder = tmp_path_factory.mktemp("tls")
    pair, other = certified(folder, "manager", "127.0.0.1"), certified(folder, "other", "127.0.0.1")
    with closing(open_store(folder / "state.db")) as store:
        token = make_token(store, "ann", "operate", good_for=600, actor="ann")
    port = free_port()
    words = command(folder, f"127.0.0.1:{port}", *secured(pair))
    with subprocess.Popen(words, cwd=folder, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert f"https://127.0.0.1:{port}" in process.stdout.readline()
            yield Running(port, token, pair.certificate, other.certificate)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
    assert process.returncode == 0


def test_who_trusts_its_certificate_is_answered(manager: Running) -> None:
    assert manager.link(manager.certificate).get("/jobs") == []


def test_who_does_not_trust_it_sends_nothing(manager: Running) -> None:
    for authority in (manager.other, None):
        with pytest.raises(UnreachableError) as refused:
            manager.link(authority).get("/jobs")
        assert "CERTIFICATE_VERIFY_FAILED" in refused.value.why


def test_another_name_than_the_certificate_s_is_refused(manager: Running) -> None:
    far = Link(url=f"https://localhost:{manager.port}", token=manager.token, authority=manager.certificate)
    with pytest.raises(UnreachableError, match="localhost"):
        far.get("/jobs")


def test_websockets_go_through_the_same_tls(manager: Running) -> None:
    link = manager.link(manager.certificate)
    with pytest.raises(Exception, match="there is no task 'nobody'"), link.socket("/tasks/nobody/exec"):
        pass
    untrusting = manager.link(manager.other)
    with pytest.raises(UnreachableError, match="does not answer"), untrusting.socket("/tasks/nobody/exec"):
        pass


def test_what_is_said_in_the_clear_is_not_answered_p18(manager: Running) -> None:
    clear = Link(url=f"http://127.0.0.1:{manager.port}", token=manager.token)
    with pytest.raises(UnreachableError, match="does not answer"):
        clear.get("/jobs")


def test_it_is_never_public_in_the_clear_nor_with_what_is_no_certificate_p18(tmp_path: Path) -> None:
    (tmp_path / "no.pem").touch()
    broken = Pair(tmp_path / "no.pem", tmp_path / "no.pem")
    for words, told in (((), "public without TLS"), (secured(broken), "one of them is no PEM")):
        begun = command(tmp_path, f"0.0.0.0:{free_port()}", *words)
        done = subprocess.run(begun, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, told in done.stderr) == (2, True), done


def test_a_key_that_does_not_fit_or_has_to_be_unlocked_is_told_in_plain_words(tmp_path: Path) -> None:
    """Without a prompt: there may be nobody at the terminal."""
    ours, other = (certified(tmp_path, name, "127.0.0.1") for name in ("ours", "other"))
    for key, told in (
        (encrypted(ours, b"secret").key, "the key is encrypted"),
        (other.key, "the key is another one's"),
        (tmp_path / "missing", "No such file"),
    ):
        with pytest.raises(InputError, match=told):
            _refuse_unusable(ours.certificate, key)
