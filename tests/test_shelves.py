"""Archives on shelves: never half in their place, known by their names, and the same here and over SFTP.

What every shelf promises is tried on a folder of this machine, and on a lab node's real SFTP server.
"""

import hashlib
import os
import time  # noqa: TID251 - files have times
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Protocol

import pytest
from docker import DockerClient

from cube.connection import after
from cube.connection.dialer import Dialer, Trust
from cube.connection.ssh import Connection
from cube.errors import CubeError, InputError
from cube.lab.fleet import Lab, LabNode
from cube.manager.shelves import file_named, place_named
from cube.manager.volumes import back_up_one
from cube.model.node import Access
from cube.model.sftp import SftpPlace, sftp_place
from cube.simulator.machine import Machine
from cube.volume.archive import (
    archives_on,
    begun,
    checked,
    forget_older,
    free_name,
    keep,
    name_of,
    still_same,
)
from cube.volume.folder import Folder
from cube.volume.sftp import Sftp
from cube.volume.shelf import Shelf
from cube.volume.tree import read_tree
from tests.stage import Attended
from tests.test_volumes import plain, zipped

AN_HOUR = 3600


class Rack(Protocol):
    """A shelf, and a hand past it."""

    @property
    def shelf(self) -> Shelf: ...

    def put(self, name: str, data: bytes, *, age: float = 0) -> None: ...

    def mode(self, name: str) -> int: ...


class Here:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.shelf = Folder(path)

    def put(self, name: str, data: bytes, *, age: float = 0) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        (self._path / name).write_bytes(data)
        os.utime(self._path / name, (time.time() - age,) * 2)

    def mode(self, name: str) -> int:
        return (self._path / name).stat().st_mode & 0o777


class There:
    def __init__(self, connection: Connection, folder: str) -> None:
        self._connection, self._folder = connection, folder
        self.shelf = Sftp(connection, SftpPlace(host="there", path=folder))

    def _run(self, script: str, *words: str, stdin: bytes = b"") -> str:
        words = ("sh", "-ec", script, "sh", self._folder, *words)
        answer = self._connection.run_argv(words, stdin=stdin, deadline=after(20))
        assert answer.exit_status == 0, answer.stderr
        return answer.stdout.decode()

    def put(self, name: str, data: bytes, *, age: float = 0) -> None:
        script = 'mkdir -p "$1"; cat >"$1/$2"; touch -d "-$3 seconds" "$1/$2"'
        self._run(script, name, str(int(age)), stdin=data)

    def mode(self, name: str) -> int:
        return int(self._run('stat -c %a "$1/$2"', name), 8)


@pytest.fixture(scope="module")
def connection(engine: DockerClient, lab: Lab) -> Iterator[Connection]:
    node = lab.nodes[0]
    access = Access(
        address=node.address, port=node.port, user="root", identity_file=str(lab.key), host_key=node.host_key
    )
    with Dialer(Trust()) as dialer, dialer.connect("there", access, deadline=after(20)) as connected:
        yield connected


@pytest.fixture(params=["folder", pytest.param("sftp", marks=pytest.mark.lab)])
def rack(request: pytest.FixtureRequest, tmp_path: Path) -> Rack:
    if request.param == "folder":
        return Here(tmp_path / "backups" / "prod")
    return There(request.getfixturevalue("connection"), f"/srv/shelves/{tmp_path.name}")


def made(shelf: Shelf, name: str, data: Sequence[bytes] | None = None) -> str:
    keep(lambda: nullcontext(plain() if data is None else data), shelf, name)
    return name


def content(shelf: Shelf, name: str) -> bytes:
    return b"".join(shelf.read(name))


class TestAnArchiveOnAnyShelf:
    def test_has_the_sum_that_sha256sum_would_write_beside_it(self, rack: Rack) -> None:
        name = name_of("db", "node1", 0.0)
        kept = keep(lambda: nullcontext(plain()), rack.shelf, name)
        assert name == "db@node1@19700101T000000Z.tar.gz"
        assert kept.where == rack.shelf.where(name)
        assert content(rack.shelf, f"{name}.sha256").decode() == f"{kept.sha256}  {name}\n"
        assert hashlib.sha256(content(rack.shelf, name)).hexdigest() == kept.sha256
        assert rack.mode(name) == 0o600
        assert checked(rack.shelf, name) == kept.tree == read_tree(plain())
        assert b"".join(still_same(rack.shelf, name)) == content(rack.shelf, name)
        assert rack.shelf.sizes() == {name: kept.size, f"{name}.sha256": 64 + 2 + len(name) + 1}

    def test_that_is_begun_in_the_second_of_another_is_of_the_next_free_one(self, rack: Rack) -> None:
        def free() -> str:
            return free_name(rack.shelf, "db", "node1", 0.0)

        assert made(rack.shelf, free()) == name_of("db", "node1", 0.0)
        with rack.shelf.drafting(free()):
            assert free() == name_of("db", "node1", 2.0)
        assert free() == name_of("db", "node1", 2.0)
        assert free_name(rack.shelf, "db", "node2", 0.0) == name_of("db", "node2", 0.0)

    def test_is_known_by_its_name_the_oldest_first(self, rack: Rack) -> None:
        assert archives_on(rack.shelf) == ()
        for at in (3e9, 1e9, 2e9):
            made(rack.shelf, name_of("db", "n.1", at))
        rack.put("db@node1@20260101T000000Z.tar.gz", b"has no sum")
        for name in ("notes.tar.gz", "db@node1@20269901T000000Z.tar.gz"):
            rack.put(name, b"")
            rack.put(f"{name}.sha256", b"")
        found = archives_on(rack.shelf)
        assert [each.at for each in found] == [1e9, 2e9, 3e9]
        assert {(each.volume, each.node) for each in found} == {("db", "n.1")}

    def test_makes_older_ones_go_but_those_of_its_own_volume_and_node_alone(self, rack: Rack) -> None:
        for of in (("db", "node2"), ("db2", "node1")):
            made(rack.shelf, name_of(*of, 1.0))
        for at in (2e9, 1e9, 3e9, 5e9, 4e9):
            made(rack.shelf, name_of("db", "node1", at))
        gone = forget_older(rack.shelf, name_of("db", "node1", 4e9), 2)
        assert [each.at for each in gone] == [1e9, 2e9]
        assert [each.at for each in archives_on(rack.shelf)] == [1.0, 1.0, 3e9, 4e9, 5e9]
        assert len(rack.shelf.sizes()) == 2 * 5
        assert forget_older(rack.shelf, name_of("db", "node1", 3e9), 1) == ()

    def test_that_breaks_off_leaves_nothing_behind_p9(self, rack: Rack) -> None:
        @contextmanager
        def lost() -> Iterator[Iterator[bytes]]:
            def until_it_breaks() -> Iterator[bytes]:
                yield from plain()[:3]
                assert list(rack.shelf.sizes()) == [f"{name}.part"]
                raise CubeError("connection lost")

            yield until_it_breaks()

        name = name_of("db", "node1", 0.0)
        with pytest.raises(CubeError, match="connection lost"):
            keep(lost, rack.shelf, name)
        assert rack.shelf.sizes() == {}

    def test_that_was_killed_goes_with_the_next_and_one_under_way_stays(self, rack: Rack) -> None:
        def beside() -> AbstractContextManager[Iterator[bytes]]:
            def pieces() -> Iterator[bytes]:
                yield from plain()[:1]
                made(rack.shelf, name_of("db", "node1", 6.0))
                yield from plain()[1:]

            return nullcontext(pieces())

        rack.put("db@node1@20200101T000000Z.tar.gz.part", b"half", age=AN_HOUR)
        rack.put("db@node2@20200101T000000Z.tar.gz.part", b"of another node", age=AN_HOUR)
        with rack.shelf.alone() as is_alone:
            assert is_alone
        keep(beside, rack.shelf, name_of("db", "node1", 5.0))
        assert [name for name in rack.shelf.sizes() if "20200101" in name] == [
            "db@node2@20200101T000000Z.tar.gz.part"
        ]
        assert len(archives_on(rack.shelf)) == 2

    def test_is_refused_where_one_bit_of_it_has_changed(self, rack: Rack) -> None:
        name = made(rack.shelf, name_of("db", "node1", 0.0))
        data = bytearray(content(rack.shelf, name))
        data[len(data) // 2] ^= 1
        rack.put(name, bytes(data))
        with pytest.raises(InputError):
            checked(rack.shelf, name)
        with pytest.raises(InputError, match="checksum"):
            list(still_same(rack.shelf, name))

    def test_that_is_whole_and_another_one_than_its_sum_says_is_refused(self, rack: Rack) -> None:
        name = made(rack.shelf, name_of("db", "node1", 0.0))
        rack.put(name, b"".join(zipped({"data/a": b"another"})))
        with pytest.raises(InputError, match="does not have the bytes that its checksum names"):
            checked(rack.shelf, name)

    def test_without_its_sum_is_refused_with_the_cure(self, rack: Rack) -> None:
        rack.put("mine.tar.gz", b"".join(zipped()))
        with pytest.raises(InputError, match=r"sha256sum mine\.tar\.gz > mine\.tar\.gz\.sha256"):
            checked(rack.shelf, "mine.tar.gz")

    def test_that_somebody_else_writes_just_then_is_left_to_him(self, rack: Rack) -> None:
        with rack.shelf.drafting("x") as draft:
            draft.write(b"mine")
            with pytest.raises(CubeError), rack.shelf.drafting("x"):
                pass
        assert content(rack.shelf, "x") == b"mine"

    def test_is_kept_by_one_cube_at_a_time(self, rack: Rack) -> None:
        with rack.shelf.alone() as is_alone, rack.shelf.drafting("db@node1@20200101T000000Z.tar.gz"):
            assert is_alone
            with rack.shelf.alone() as is_alone_too:
                assert not is_alone_too
        with rack.shelf.alone() as is_alone_again:
            assert is_alone_again

    def test_of_many_pieces_arrives_as_it_was(self, rack: Rack) -> None:
        noise = os.urandom(3_000_000)
        with rack.shelf.drafting("noise") as draft:
            for at in range(0, len(noise), 50_000):
                draft.write(noise[at : at + 50_000])
        assert content(rack.shelf, "noise") == noise


def test_an_archive_that_finds_no_room_says_so_p9() -> None:
    with pytest.raises(CubeError, match="cannot be read or written"):
        made(Folder(Path("/proc/none")), "x.tar.gz")


@pytest.mark.lab
def test_an_archive_for_which_a_host_has_no_room_is_told_of_and_leaves_nothing_p9(
    engine: DockerClient, node: LabNode, connection: Connection
) -> None:
    """What a full disk refuses is only known from answers to writes that nobody waits for."""
    tmpfs = "mkdir -p /srv/tiny && mount -t tmpfs -o size=1m tmpfs /srv/tiny"
    shelf = Sftp(connection, SftpPlace(host="there", path="/srv/tiny"))
    container = engine.containers.get(node.container)
    try:
        assert container.exec_run(["sh", "-c", tmpfs])[0] == 0
        with pytest.raises(CubeError, match="cannot write /srv/tiny/x"), shelf.drafting("x") as draft:
            draft.write(os.urandom(1_500_000))
        assert shelf.sizes() == {}
    finally:
        container.exec_run(["umount", "/srv/tiny"])


class TestAPlace:
    @pytest.mark.parametrize(
        "url",
        [
            "sftp://keeper@vault.example:2222/srv/backups",
            "sftp://vault/srv/my%20backups",
            "sftp://vault/~/backups",
            "sftp://ann%40home@[fd00::1]/x",
        ],
    )
    def test_over_sftp_is_written_as_it_was_read(self, url: str) -> None:
        assert str(sftp_place(url)) == url

    def test_below_somebody_s_own_folder_is_relative_there(self) -> None:
        assert (sftp_place("sftp://vault/~/backups") / "prod").path == "backups/prod"

    @pytest.mark.parametrize(
        "url", ["sftp://", "sftp://host", "sftp:///x", "sftp://h:x/y", "sftp://h/x?y", "sftp://h/a%00"]
    )
    def test_that_is_none_is_refused(self, url: str) -> None:
        with pytest.raises(InputError, match="no place over SFTP"):
            sftp_place(url)

    def test_with_a_password_is_refused_and_the_password_is_not_repeated(self) -> None:
        with pytest.raises(InputError, match="no password") as refused:
            sftp_place("sftp://keeper:hunter2@vault/srv")
        assert "hunter2" not in str(refused.value)

    def test_of_another_kind_is_no_folder(self) -> None:
        with pytest.raises(InputError, match="in folders and over SFTP alone"):
            place_named("s3://bucket/x")

    def test_of_an_archive_is_its_folder_and_its_name(self) -> None:
        assert file_named("/srv/prod/a.tar.gz") == (Path("/srv/prod"), "a.tar.gz")
        place, name = file_named("sftp://vault/srv/prod/a.tar.gz")
        assert (str(place), name) == ("sftp://vault/srv/prod", "a.tar.gz")


def test_the_name_of_an_archive_tells_when_it_was_begun() -> None:
    assert begun(name_of("db", "node1", 1e9)) == 1e9
    assert begun("notes.tar.gz") is None


def test_of_many_who_keep_a_volume_in_the_same_second_each_has_an_archive_p12(tmp_path: Path) -> None:
    """All of them find the same name free; one gets it."""
    worker = Attended(Machine(name="node1", cluster="sim", owner="me"))
    worker.volumes.content["db"] = b"".join(plain())
    (volume,) = worker.volumes.all()
    shelf = Folder(tmp_path)
    with ThreadPoolExecutor(max_workers=8) as pool:
        kept = list(pool.map(lambda _: back_up_one(worker, volume, shelf, 0.0), range(8)))
    assert {each.name for each in kept} == {each.name for each in archives_on(shelf)}
    assert len(archives_on(shelf)) == 8
