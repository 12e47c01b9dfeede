"""The connection room without a node: words, routes, key files, deadlines, and peers that are no sshd."""

import contextlib
import os
import socket
import subprocess
import threading
import time  # noqa: TID251 - deadlines are kept in real time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.connection import ConnectionFailed, HostKeyRefused, after
from cube.connection.deadline import Watchdog
from cube.connection.dialer import Dialer, Trust
from cube.connection.identity import load_key
from cube.connection.known_hosts import HostKey
from cube.connection.route import load_config, route
from cube.connection.script import RUN_WORDS, after_mark, login_command, words
from cube.errors import InputError
from cube.model.node import Access, Hop
from cube.model.observation import Cause

PINNED = str(HostKey(kind="ssh-ed25519", blob=b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + b"k" * 32))
SHELLS = [shell for shell in ("dash", "bash", "busybox") if Path(f"/bin/{shell}").exists()]

arguments = st.lists(st.binary(max_size=30).map(lambda raw: os.fsdecode(raw.replace(b"\0", b""))), min_size=1)


@pytest.mark.parametrize("shell", SHELLS)
@given(argv=arguments, rest=st.binary(max_size=100))
@settings(max_examples=30)
def test_p16_every_byte_of_an_argument_arrives_and_none_is_parsed(
    shell: str, argv: list[str], rest: bytes
) -> None:
    program = [f"/bin/{shell}", *(["sh"] if shell == "busybox" else []), "-c", RUN_WORDS]
    stdin = words(["sh", "-c", 'printf "%s\\0" "$@"; cat; exit 7', "sh", *argv]) + rest
    done = subprocess.run(program, input=stdin, capture_output=True, check=False)
    assert done.stdout == b"".join(os.fsencode(word) + b"\0" for word in argv) + rest
    assert done.returncode == 7


@given(cut=st.integers(0, 200))
@settings(max_examples=20)
def test_p3_a_vector_that_was_cut_short_is_not_run(cut: int) -> None:
    whole = words(["echo", "ran", "x" * 50])
    stdin = whole[: min(cut, len(whole) - 1)]
    done = subprocess.run(["sh", "-c", RUN_WORDS], input=stdin, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (125, b"")


def test_a_killed_program_answers_as_in_a_shell() -> None:
    done = subprocess.run(["sh", "-c", RUN_WORDS], input=words(["sh", "-c", "kill -9 $$"]), check=False)
    assert done.returncode == 137


@pytest.mark.parametrize("argv", [[], ["echo", "a\0b"]])
def test_what_is_no_command_is_refused(argv: list[str]) -> None:
    with pytest.raises(InputError):
        words(argv)


def test_the_mark_tells_the_script_from_what_a_login_prints() -> None:
    command = login_command("echo 'it'\"'\"'s me'; echo oops >&2", "MARK")
    done = subprocess.run(["bash", "-c", f"echo welcome; {command}"], capture_output=True, check=True)
    assert after_mark(done.stdout, "MARK") == b"it's me\n"
    assert after_mark(done.stderr, "MARK") == b"oops\n"
    assert after_mark(b"This account is not available.\n", "MARK") is None


CONFIG = """
Match exec "touch {trap}"
  User trapped
Match host exec.example.org
  User fine
Include more/*.conf
CanonicalizeHostname yes
Host web
  HostName 10.0.0.7
  Port 2222
  User deploy
  IdentityFile ~/.ssh/web
  ProxyJump jumper@bastion:2200,[::2]:23
Host proxied
  ProxyCommand nc %h %p
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.conf").write_text("Host included\n  Port 4444\nHost bastion\n  User ignored\n")
    file = tmp_path / "config"
    file.write_text(CONFIG.format(trap=tmp_path / "trap"))
    return file


def test_ssh_config_fills_what_the_inventory_leaves_open(config: Path) -> None:
    first, second, node = route(Access(address="web"), load_config(config))
    assert (node.host, node.port, node.user) == ("10.0.0.7", 2222, "deploy")
    assert node.identities == (Path("~/.ssh/web").expanduser(),)
    assert (first.host, first.port, first.user) == ("bastion", 2200, "jumper")
    assert (second.host, second.port) == ("::2", 23)


def test_the_inventory_has_the_first_word(config: Path) -> None:
    access = Access(address="web", port=1, user="me", identity_file="/key", jumps=(Hop(address="other"),))
    jump, node = route(access, load_config(config))
    assert (node.host, node.port, node.user, node.identities) == ("10.0.0.7", 1, "me", (Path("/key"),))
    assert jump.host == "other"


def test_p16_a_command_in_ssh_config_is_never_run(config: Path, tmp_path: Path) -> None:
    assert route(Access(address="else", user=None), load_config(config))[0].user != "trapped"
    assert not (tmp_path / "trap").exists()
    assert route(Access(address="exec.example.org"), load_config(config))[0].user == "fine"
    with pytest.raises(InputError, match="ProxyCommand"):
        route(Access(address="proxied"), load_config(config))


def test_included_files_are_read_and_circles_refused(config: Path, tmp_path: Path) -> None:
    assert route(Access(address="included"), load_config(config))[0].port == 4444
    (tmp_path / "more" / "b.conf").write_text(f"Include {config}\n")
    with pytest.raises(InputError, match="circles"):
        load_config(config)


def test_fabric_s_configuration_decides_what_inventory_and_ssh_config_leave_open(
    config: Path, tmp_path: Path
) -> None:
    (tmp_path / ".fabric.yml").write_text(
        "user: deploy\nport: 2200\nconnect_kwargs: {key_filename: /keys/fleet}\n"
    )
    (plain,) = route(Access(address="plain"), load_config(None, tmp_path))
    assert (plain.user, plain.port, plain.identities) == ("deploy", 2200, (Path("/keys/fleet"),))
    (declared,) = route(Access(address="plain", user="ann", port=22), load_config(None, tmp_path))
    assert (declared.user, declared.port) == ("ann", 22)
    assert route(Access(address="included"), load_config(config, tmp_path))[0].port == 4444


def test_a_broken_fabric_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".fabric.yml").write_text("user: [")
    with pytest.raises(InputError, match="Fabric"):
        load_config(None, tmp_path)


def keygen(file: Path, *options: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-f", str(file), *options], check=True, stdin=subprocess.DEVNULL)
    return file


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "fifo", 0o600)
    return folder / "fifo"


def readable_by_all(folder: Path) -> Path:
    file = keygen(folder / "open", "-t", "ed25519", "-N", "")
    file.chmod(0o644)
    return file


def written(text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        file = folder / "key"
        file.write_text(text)
        file.chmod(0o600)
        return file

    return write


UNUSABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "none", "No such file"),
    "a folder": (lambda folder: folder, "Is a directory"),
    "a pipe": (fifo, "not a regular file"),
    "open to all": (readable_by_all, "others may read it"),
    "encrypted": (lambda folder: keygen(folder / "k", "-t", "ed25519", "-N", "secret"), "encrypted"),
    "encrypted PEM": (lambda f: keygen(f / "k", "-t", "rsa", "-m", "PEM", "-N", "secret"), "encrypted"),
    "public": (
        lambda folder: keygen(folder / "k", "-t", "ed25519", "-N", "").with_suffix(".pub"),
        "public key",
    ),
    "PuTTY's": (written("PuTTY-User-Key-File-3: ssh-ed25519\n"), "PuTTY"),
    "garbage": (written("hello"), "not a private key"),
    "empty": (written(""), "not a private key"),
    "cut": (written("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n"), "not a private key"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_key_file_that_cannot_be_used_says_why(case: str, tmp_path: Path) -> None:
    make, why = UNUSABLE[case]
    with pytest.raises(ConnectionFailed, match=why) as caught:
        load_key("web1", make(tmp_path))
    assert caught.value.cause is Cause.KEY_FILE


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
def test_every_common_kind_of_key_file_is_read(kind: str, form: str, tmp_path: Path) -> None:
    load_key("web1", keygen(tmp_path / "key", "-t", kind, "-m", form, "-N", ""))


def test_p1_the_watchdog_ends_what_outlives_its_deadline_and_nothing_else() -> None:
    watchdog, ended = Watchdog(), threading.Event()
    with (
        watchdog.bound(lambda: pytest.fail("ended too early"), after(60), where="web1", what="long"),
        pytest.raises(ConnectionFailed, match="web1: short timed out"),
        watchdog.bound(ended.set, after(0.05), where="web1", what="short"),
    ):
        assert ended.wait(10)
    watchdog.close()


def test_a_deadline_that_has_passed_begins_nothing() -> None:
    watchdog = Watchdog()
    with (
        pytest.raises(ConnectionFailed),
        watchdog.bound(lambda: pytest.fail("aborted"), after(-1), where="web1", what="call"),
    ):
        pytest.fail("begun")
    watchdog.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@contextlib.contextmanager
def answering(server: socket.socket, answer: Callable[[socket.socket], None]) -> Iterator[list[int]]:
    """Each connection gets the answer; the list grows with every one."""
    seen: list[int] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = server.accept()
                seen.append(1)
                with peer:
                    answer(peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def failure_of(port: int, *, seconds: float, key: Path, address: str = "127.0.0.1") -> ConnectionFailed:
    """How connecting fails, once it is sure that no thread and no file is left behind."""
    access = Access(address=address, port=port, user="root", host_key=PINNED, identity_file=str(key))
    threads, files = threading.active_count(), open_files()
    started = time.monotonic()
    with Dialer(Trust()) as dialer, pytest.raises(ConnectionFailed) as caught:
        dialer.connect("web1", access, deadline=after(seconds))
    assert time.monotonic() - started < seconds + 2
    assert threading.active_count() == threads
    assert open_files() == files
    assert caught.value.where == "web1"
    assert caught.value.cure
    return caught.value


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keygen(tmp_path_factory.mktemp("key") / "id", "-t", "ed25519", "-N", "")


def test_p1_f4_a_peer_that_says_nothing(listener: socket.socket, key: Path) -> None:
    failure = failure_of(listener.getsockname()[1], seconds=1, key=key)
    assert failure.cause is Cause.SILENT


def test_a_port_that_is_not_ssh_is_named_with_what_it_says(listener: socket.socket, key: Path) -> None:
    def web(peer: socket.socket) -> None:
        peer.recv(100)
        peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with answering(listener, web) as seen:
        failure = failure_of(listener.getsockname()[1], seconds=5, key=key)
    assert failure.cause is Cause.SILENT
    assert "HTTP/1.1 400" in failure.why
    assert len(seen) == 1


def test_f8_a_throttled_handshake_is_tried_again_within_the_deadline(
    listener: socket.socket, key: Path
) -> None:
    with answering(listener, lambda _: None) as seen:
        failure = failure_of(listener.getsockname()[1], seconds=2, key=key)
    assert failure.cause is Cause.THROTTLED
    assert 1 < len(seen) <= 8


def test_f10_a_penalty_is_not_made_worse(listener: socket.socket, key: Path) -> None:
    with answering(listener, lambda peer: peer.sendall(b"Not allowed at this time\r\n")) as seen:
        failure = failure_of(listener.getsockname()[1], seconds=5, key=key)
    assert failure.cause is Cause.THROTTLED
    assert len(seen) == 1


def test_a_port_where_nobody_listens(key: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert failure_of(unused.getsockname()[1], seconds=5, key=key).cause is Cause.REFUSED


def test_a_name_that_does_not_exist(key: Path) -> None:
    assert failure_of(22, seconds=5, key=key, address="no-such-host.invalid").cause is Cause.NAME


def test_p14_without_a_pin_not_one_byte_is_sent(listener: socket.socket, key: Path) -> None:
    access = Access(address="127.0.0.1", port=listener.getsockname()[1], identity_file=str(key))
    with (
        answering(listener, lambda _: None) as seen,
        Dialer(Trust()) as dialer,
        pytest.raises(HostKeyRefused, match="node trust") as caught,
    ):
        dialer.connect("web1", access, deadline=after(5))
    assert caught.value.cause is Cause.NO_HOST_KEY
    assert seen == []
