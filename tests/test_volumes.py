"""An archive of a volume: told whole from broken, told equal from changed, and never half in its place."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.errors import CubeError, InputError
from cube.manager.volumes import refuse_used
from cube.model.job import TaskSpec, Volume
from cube.model.task import Slot, State, Task
from cube.model.volume import StoredVolume, VolumeUse
from cube.volume.archive import archives_in, checked, forget_older, keep, path_of, still_same
from cube.volume.tree import holds_anything, packed, read_tree, unpacked

FILES = {"data/a": b"one", "data/sub/b": b"two" * 100_000, "data/z": bytes(40_000)}


def tar(files: Mapping[str, bytes] = FILES, **facts: int) -> bytes:
    """As an engine packs a volume."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as made:
        root = tarfile.TarInfo("data/")
        root.type = tarfile.DIRTYPE
        made.addfile(root)
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for fact, value in facts.items():
                setattr(entry, fact, value)
            made.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def pieces(data: bytes, size: int = 1000) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def plain(files: Mapping[str, bytes] = FILES, **facts: int) -> list[bytes]:
    return pieces(tar(files, **facts))


def zipped(files: Mapping[str, bytes] = FILES) -> list[bytes]:
    written: list[bytes] = []
    assert list(packed(plain(files), written.append)) == plain(files)
    return written


class TestATree:
    def test_tells_how_much_is_in_it(self) -> None:
        tree = read_tree(plain())
        assert (tree.files, tree.size) == (3, sum(map(len, FILES.values())))

    @settings(deadline=None, max_examples=25)
    @given(st.integers(30, 5000), st.integers(1, 9))
    def test_is_the_same_however_it_was_packed_and_cut(self, size: int, level: int) -> None:
        packs = pieces(gzip.compress(tar(), level), size)
        assert read_tree(unpacked(packs)) == read_tree(pieces(tar(), size)) == read_tree(plain())

    @pytest.mark.parametrize("fact", ["mode", "uid", "gid", "mtime"])
    def test_is_another_one_where_any_attribute_is(self, fact: str) -> None:
        assert read_tree(plain(FILES, **{fact: 0o77})) != read_tree(plain())

    @pytest.mark.parametrize("files", [{**FILES, "data/a": b"One"}, {"data/a": b"one"}, {}])
    def test_is_another_one_where_any_content_is(self, files: Mapping[str, bytes]) -> None:
        assert read_tree(plain(files)) != read_tree(plain())

    @pytest.mark.parametrize("lost", [1, 8, 100, 500])
    def test_is_refused_where_the_archive_is_cut_short(self, lost: int) -> None:
        with pytest.raises(CubeError, match="it is cut short"):
            read_tree(unpacked([b"".join(zipped())[:-lost]]))

    @pytest.mark.parametrize("lost", [512, 1024 + 9000, 40_000, 100_000])
    def test_is_refused_where_the_engine_left_out_the_rest(self, lost: int) -> None:
        whole = tar({**FILES, "data/z": b"z" * 40_000})
        left = whole[: len(whole.rstrip(b"\0")) + 1024 - lost]
        with pytest.raises(CubeError, match="not whole"):
            read_tree(pieces(left))

    @pytest.mark.parametrize("name", ["etc/passwd", "data/../etc/passwd", "database/x"])
    def test_is_refused_where_something_lies_outside_of_the_volume(self, name: str) -> None:
        with pytest.raises(CubeError, match="no archive of a volume"):
            read_tree(plain({name: b""}))

    def test_is_refused_where_it_is_no_gzip(self) -> None:
        with pytest.raises(CubeError, match="no gzip"):
            read_tree(unpacked([tar()]))

    def test_may_be_in_a_gzip_of_several_parts(self) -> None:
        first, second = tar()[:5000], tar()[5000:]
        assert read_tree(unpacked([gzip.compress(first) + gzip.compress(second)])) == read_tree(plain())

    def test_of_a_volume_without_anything_holds_nothing(self) -> None:
        assert not holds_anything(plain({}))
        assert holds_anything(plain({"data/a": b""}))


class TestAnArchive:
    def test_has_the_sum_that_sha256sum_would_write_beside_it(self, tmp_path: Path) -> None:
        path = path_of(tmp_path / "new", "db", "node1", 0.0)
        kept = keep(plain(), path)
        assert path.name == "db@node1@19700101T000000Z.tar.gz"
        assert path.with_name(path.name + ".sha256").read_text() == f"{kept.sha256}  {path.name}\n"
        assert hashlib.sha256(path.read_bytes()).hexdigest() == kept.sha256
        assert path.stat().st_mode & 0o777 == 0o600
        assert checked(path) == kept.tree == read_tree(plain())
        assert b"".join(still_same(path)) == path.read_bytes()

    def test_is_known_by_its_name_the_oldest_first(self, tmp_path: Path) -> None:
        for at in (3e9, 1e9, 2e9):
            keep(plain(), path_of(tmp_path, "db", "n.1", at))
        (tmp_path / "db@node1@20260101T000000Z.tar.gz").touch()  # has no sum
        (tmp_path / "notes.tar.gz").touch()
        found = archives_in(tmp_path)
        assert [each.at for each in found] == [1e9, 2e9, 3e9]
        assert {(each.volume, each.node) for each in found} == {("db", "n.1")}
        assert archives_in(tmp_path / "none") == ()

    @pytest.mark.parametrize(("keep_last", "left"), [(1, [4e9]), (2, [3e9, 4e9]), (9, [1e9, 2e9, 3e9, 4e9])])
    def test_makes_older_ones_go_but_those_of_its_own_volume_and_node_alone(
        self, tmp_path: Path, keep_last: int, left: Sequence[float]
    ) -> None:
        for of in (("db", "node2"), ("db2", "node1")):
            keep(plain(), path_of(tmp_path, *of, 1.0))
        for at in (2e9, 1e9, 3e9, 5e9, 4e9):
            newest = keep(plain(), path_of(tmp_path, "db", "node1", at)).path
        gone = forget_older(newest, keep_last)
        found = archives_in(tmp_path)
        mine = [each.at for each in found if (each.volume, each.node) == ("db", "node1")]
        assert mine == [*left, 5e9]
        assert len(found) == len(mine) + 2
        assert len(gone) == 5 - len(mine)
        assert len(list(tmp_path.iterdir())) == 2 * len(found)

    def test_that_breaks_off_leaves_nothing_behind_p9(self, tmp_path: Path) -> None:
        def lost() -> Iterator[bytes]:
            yield from plain()[:3]
            raise CubeError("connection lost")

        with pytest.raises(CubeError, match="connection lost"):
            keep(lost(), path_of(tmp_path, "db", "node1", 0.0))
        assert list(tmp_path.iterdir()) == []

    def test_that_was_killed_goes_with_the_next_and_one_under_way_stays(self, tmp_path: Path) -> None:
        dead = tmp_path / "db@node1@20200101T000000Z.tar.gz.part"
        dead.write_bytes(b"half")
        living = path_of(tmp_path, "db", "node1", 5.0)

        def beside() -> Iterator[bytes]:
            yield from plain()[:1]
            keep(plain(), path_of(tmp_path, "db", "node1", 6.0))
            yield from plain()[1:]

        keep(beside(), living)
        assert not dead.exists()
        assert len(archives_in(tmp_path)) == 2

    def test_is_refused_where_one_bit_of_it_has_changed(self, tmp_path: Path) -> None:
        path = keep(plain(), path_of(tmp_path, "db", "node1", 0.0)).path
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(InputError):
            checked(path)
        with pytest.raises(InputError, match="checksum"):
            list(still_same(path))

    def test_that_is_whole_and_another_one_than_its_sum_says_is_refused(self, tmp_path: Path) -> None:
        path = keep(plain(), path_of(tmp_path, "db", "node1", 0.0)).path
        path.write_bytes(b"".join(zipped({"data/a": b"another"})))
        with pytest.raises(InputError, match="does not have the bytes that its checksum names"):
            checked(path)

    def test_without_its_sum_is_refused_with_the_cure(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.tar.gz"
        path.write_bytes(b"".join(zipped()))
        with pytest.raises(InputError, match=r"sha256sum mine\.tar\.gz > mine\.tar\.gz\.sha256"):
            checked(path)

    def test_that_finds_no_room_says_so(self) -> None:
        with pytest.raises(CubeError, match="cannot be read or written"):
            keep(plain(), Path("/proc/none/x.tar.gz"))


def volume_of(*uses: VolumeUse) -> StoredVolume:
    return StoredVolume(node="node1", name="db", cluster="c", size=1, uses=uses)


def task_on(node: str, state: State) -> Task:
    return Task(
        id="a" * 32,
        slot=Slot(job="shop", group="db", index=0),
        version=1,
        spec=TaskSpec(image="x", volumes=(Volume(source="db", target="/data"),)),
        state=state,
        order=1,
        created_at=1.0,
        changed_at=1.0,
        node=node,
    )


@pytest.mark.parametrize(
    ("uses", "tasks", "who"),
    [
        ((VolumeUse(container="other", slot=None, is_alive=True),), (), "other"),
        ((), (task_on("node1", State.SCHEDULED),), r"shop/db\[0\]"),
        ((), (task_on("node2", State.RUNNING), task_on("node1", State.FAILED)), None),
    ],
)
def test_a_volume_is_used_by_what_runs_with_it_and_by_what_is_to_run(
    uses: Sequence[VolumeUse], tasks: Sequence[Task], who: str | None
) -> None:
    if who is None:
        refuse_used(volume_of(), tasks, uses)
    else:
        with pytest.raises(InputError, match=f"volume db is in use: by {who}"):
            refuse_used(volume_of(), tasks, uses)
