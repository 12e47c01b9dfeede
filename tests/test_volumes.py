"""What a volume's archive holds: whole or broken, equal or changed; who uses a volume, and which is left."""

import gzip
import io
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.errors import CubeError, InputError
from cube.manager.leftovers import is_used_again
from cube.manager.volumes import refuse_used
from cube.model.job import TaskSpec, Volume
from cube.model.task import Slot, State, Task
from cube.model.volume import LeftVolume, StoredVolume, VolumeUse
from cube.store.address import StatePlace
from cube.store.store import open_store
from cube.volume.delta import Delta, delta, read_listing
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


class TestAVolumeThatATaskHasLeft:
    LEFT = LeftVolume(node="node1", volume="db", job="shop", version=3, until=1e9)

    def test_is_remembered_until_it_is_removed_and_its_job_tells_both(self, place: StatePlace) -> None:
        with closing(open_store(place)) as store:
            store.left.keep(self.LEFT, "kept for a while", now=1.0, actor="ann")
            store.left.keep(replace(self.LEFT, until=2e9), "kept for longer", now=2.0, actor="ann")
            assert store.left.all() == {("node1", "db"): replace(self.LEFT, until=2e9)}
            store.left.end(self.LEFT, "removed", now=3.0, actor="cube")
            assert store.left.all() == {}
            told = [(event.slot.job, event.version, event.reason) for event in store.events()]
            assert [each[2] for each in told] == ["kept for a while", "kept for longer", "removed"]
            assert {each[:2] for each in told} == {("shop", 3)}

    @pytest.mark.parametrize(
        ("facts", "homes", "expected"),
        [
            ({}, {"node2"}, False),
            ({}, {"node1"}, True),
            ({"uses": (VolumeUse(container="x", slot=None, is_alive=False),)}, set(), True),
            ({"is_read": True}, {"node2"}, False),
            ({"is_half": True}, {"node2"}, True),
        ],
    )
    def test_stays_where_anything_uses_it_again(
        self, facts: Mapping[str, Any], homes: set[str], expected: bool
    ) -> None:
        assert is_used_again(replace(volume_of(), **facts), homes) is expected


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


def listing(**facts: str) -> dict[bytes, bytes]:
    """By path, where `_` is a slash: kind, mode, owners, size, time, time of last change, inode, target."""
    told = {name.replace("_", "/").encode(): text.encode() for name, text in facts.items()}
    return {b"": b"d 755 0 0 4096 1.0 1.0 1 ", **told}


OLD = "f 644 0 0 {size} 1.0 1.0 {inode} "
NEW = "f 644 0 0 {size} 1.0 2.0 {inode} "
FOLDER = "d 755 0 0 4096 1.0 1.0 9 "


class TestADelta:
    def test_is_nothing_where_nothing_has_changed_though_the_copy_has_other_inodes(self) -> None:
        before = listing(a=OLD.format(size=5, inode=2))
        copied = listing(a="f 644 0 0 5 1.0 3.0 77 ")
        assert delta(before, before, copied) == Delta(gone=(), stale=(), size=0)

    def test_tells_a_file_whose_time_and_size_were_put_back_by_its_time_of_change(self) -> None:
        before = listing(sub=FOLDER, sub_a=OLD.format(size=5, inode=2), b=OLD.format(size=1, inode=3))
        now = {**before, b"sub/a": NEW.format(size=5, inode=2).encode()}
        assert delta(before, now, before) == Delta(gone=(), stale=(b"sub", b"sub/a"), size=5)

    def test_counts_a_file_of_two_names_once_and_copies_both(self) -> None:
        before, now = ({**listing(), b"a": facts, b"b": facts} for facts in (
            OLD.format(size=5, inode=2).encode(), NEW.format(size=5, inode=2).encode()
        ))  # fmt: skip
        assert delta(before, now, before) == Delta(gone=(), stale=(b"", b"a", b"b"), size=5)

    def test_removes_what_has_vanished_the_folder_for_all_that_was_in_it(self) -> None:
        before = listing(x=FOLDER, x_y=FOLDER, x_y_z=OLD.format(size=5, inode=2))
        assert delta(before, listing(), before) == Delta(gone=(b"x",), stale=(b"",), size=0)

    def test_removes_what_came_and_went_while_the_copy_was_made(self) -> None:
        copied = listing(brief=OLD.format(size=5, inode=2))
        assert delta(listing(), listing(), copied).gone == (b"brief",)

    def test_removes_what_is_of_another_kind_now_and_copies_that(self) -> None:
        before, now = (
            listing(a=FOLDER, a_b=OLD.format(size=5, inode=2)),
            listing(a=NEW.format(size=2, inode=4)),
        )
        assert delta(before, now, before) == Delta(gone=(b"a",), stale=(b"", b"a"), size=2)

    def test_copies_what_the_copy_has_not_whatever_the_times_say(self) -> None:
        now = listing(a=OLD.format(size=5, inode=2))
        assert delta(now, now, listing()).stale == (b"", b"a")

    @pytest.mark.parametrize("told", [b"", b"a", b"a\0", b"a\0facts", b"a\0facts\0b"])
    def test_is_not_made_from_half_a_list(self, told: bytes) -> None:
        with pytest.raises(CubeError, match="not whole"):
            read_listing([told])
