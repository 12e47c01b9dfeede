"""known_hosts is read as OpenSSH reads it, and a key that is pinned stays pinned."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.connection.known_hosts import HostKey, load, parse, parse_key, pin, pins
from cube.errors import CubeError, InputError

KIND = "ssh-ed25519"


def key(seed: int, kind: str = KIND) -> HostKey:
    """A key that is none, but has the shape of one."""
    body = bytes((seed,)) * 32
    return HostKey(kind=kind, blob=len(kind).to_bytes(4, "big") + kind.encode() + b"\0\0\0\x20" + body)


ONE, TWO = key(1), key(2)


@pytest.mark.parametrize(
    ("line", "host", "port", "accepted"),
    [
        (f"web1 {ONE}", "web1", 22, True),
        (f"web1 {ONE} a comment of words", "web1", 22, True),
        (f"web1  {KIND}\t{ONE.base64}", "web1", 22, True),
        (f"WEB1 {ONE}", "web1", 22, True),
        (f"web1 {ONE}", "WEB1", 22, True),
        (f"web1 {ONE}", "web1", 2222, False),
        (f"[web1]:2222 {ONE}", "web1", 2222, True),
        (f"[web1]:2222 {ONE}", "web1", 22, False),
        (f"web1,10.0.0.1 {ONE}", "10.0.0.1", 22, True),
        (f"*.example.org,!bad.example.org {ONE}", "good.example.org", 22, True),
        (f"*.example.org,!bad.example.org {ONE}", "bad.example.org", 22, False),
        (f"web? {ONE}", "web12", 22, False),
        (f"[::1]:2222 {ONE}", "::1", 2222, True),
        (f"@cert-authority * {ONE}", "web1", 22, False),
        (f"# web1 {ONE}", "web1", 22, False),
        (f"|1|bm90|aGFzaA== {ONE}", "web1", 22, False),
        (f"|1|broken {ONE}", "web1", 22, False),
    ],
)
def test_a_line_pins_the_hosts_that_it_names_and_no_others(
    line: str, host: str, port: int, *, accepted: bool
) -> None:
    lines, bad = parse(line)
    assert bad == []
    assert pins(lines, host, port).admits(ONE) is accepted


@pytest.mark.parametrize(
    "bad",
    [
        "web1 ssh-ed25519",
        "web1 ssh-ed25519 AAAA",
        "web1 ssh-ed25519 not!base64",
        f"web1 ssh-rsa {ONE.base64}",
        f"@nonsense web1 {ONE}",
        "\udcff\udcfe",
        "garbage",
    ],
)
def test_p14_a_bad_line_is_named_and_hides_no_other(bad: str) -> None:
    lines, complaints = parse(f"before {ONE}\n\n{bad}\nafter {TWO} caf\udce9\n")
    assert [complaint.number for complaint in complaints] == [3]
    assert pins(lines, "before", 22).admits(ONE)
    assert pins(lines, "after", 22).admits(TWO)


def test_p14_a_revoked_key_is_refused_even_where_another_line_accepts_it() -> None:
    lines, _ = parse(f"web1 {ONE}\n@revoked * {ONE}\nweb1 {TWO}\n")
    known = pins(lines, "web1", 22)
    assert not known.admits(ONE)
    assert known.admits(TWO)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen hashes the names")
def test_hashed_names_are_found_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"web1 {ONE}\n[web2]:2222 {ONE}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    assert "web1" not in file.read_text()
    assert pins(load([file]), "web1", 22).admits(ONE)
    assert pins(load([file]), "web2", 2222).admits(ONE)
    pin(file, "web2", 2222, TWO)
    assert pins(load([file]), "web2", 2222).accepted == (TWO,)
    assert pins(load([file]), "web1", 22).admits(ONE)


def test_the_fingerprint_is_the_one_that_ssh_keygen_prints() -> None:
    text = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl github"
    assert parse_key(text).fingerprint == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"


@pytest.mark.parametrize("text", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "SHA256:abc", "-----BEGIN"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_key(text)


names = st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True)
ports = st.integers(1, 65535)
foreign = st.lists(
    st.text(st.characters(exclude_categories=["Cs", "Zl", "Zp", "Cc"]), max_size=40), max_size=5
)


@given(host=names, port=ports, other=names, lines=foreign)
def test_pinning_is_remembered_and_touches_nothing_else(
    host: str, port: int, other: str, lines: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("pins") / "deeper" / "known_hosts"
    pin(file, f"x{other}", port, TWO)
    before = file.read_text() + "\n".join(["# mine", *lines]) + "\n"
    file.write_text(before)
    pin(file, host, port, ONE)
    pin(file, host, port, TWO)
    pin(file, host, port, ONE)
    assert pins(load([file]), host, port).accepted[-1:] == (ONE,)
    if host != f"x{other}":
        assert file.read_text().startswith(before)
        assert pins(load([file]), f"x{other}", port).admits(TWO)


def test_the_file_is_private_and_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "known_hosts"
    real.write_text(f"web2 {TWO}\n")
    link.symlink_to(real)
    pin(link, "web1", 22, ONE)
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".")] == []


def test_what_a_killed_process_left_half_written_is_used_up_by_the_next_p9(tmp_path: Path) -> None:
    left = tmp_path / ".known_hosts-new"
    left.write_text("web9 ssh-ed255")
    pin(tmp_path / "known_hosts", "web1", 22, ONE)
    assert [file.name for file in tmp_path.iterdir()] == ["known_hosts"]
    assert (tmp_path / "known_hosts").read_text() == f"web1 {ONE}\n"


def test_keys_that_are_pinned_at_once_are_all_pinned(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: pin(file, f"web{number}", 22, ONE), range(40)))
    assert len(load([file])) == 40
    assert [found.name for found in tmp_path.iterdir()] == ["known_hosts"]


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CubeError, match=r"known hosts|pin the host key"):
        pin(tmp_path / "file" / "known_hosts", "web1", 22, ONE)


def test_a_missing_file_knows_nobody(tmp_path: Path) -> None:
    assert load([tmp_path / "none"]) == []
