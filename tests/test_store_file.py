"""The state file: private, on a local disk, Cube's own, whole; else refused with the way back."""

import contextlib
import itertools
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cube.errors import CubeError, InputError
from cube.model.job import Group, Job, TaskSpec
from cube.store import copy, place, schema
from cube.store.store import Store, open_store
from cube.store.trouble import Explained

BODY = "x" * 2000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a state file may lie."""
    return tmp_path / "state" / "cube.db"


def make(path: Path, jobs: int = 1) -> str:
    """A store with that many jobs; its owner."""
    store = open_store(path)
    fill(store, jobs)
    owner = store.owner
    store.close()
    return owner


def fill(store: Store, jobs: int, *, first: int = 0) -> None:
    for number in range(first, first + jobs):
        group = Group(name="g", spec=TaskSpec(image="app:1", env={"BODY": BODY}))
        store.put_job(Job(name=f"job{number}", groups=(group,)), now=1.0, actor="ann", reason="")


def refused(path: Path, *, because: str) -> InputError:
    with pytest.raises(InputError, match=because) as caught:
        open_store(path)
    assert caught.value.cure
    assert str(path) in str(caught.value)
    return caught.value


class TestPlace:
    @pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
    def test_is_private_whatever_the_umask(self, path: Path, umask: int) -> None:
        before = os.umask(umask)
        try:
            make(path)
        finally:
            os.umask(before)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_a_directory_that_is_there_keeps_its_mode(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        make(tmp_path / "cube.db")
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755

    def test_a_symbolic_link_is_refused(self, path: Path) -> None:
        make(path)
        link = path.with_name("link.db")
        link.symlink_to(path)
        refused(link, because="symbolic link")

    def test_a_hard_link_is_refused_under_both_names(self, path: Path) -> None:
        make(path)
        other = path.with_name("other.db")
        other.hardlink_to(path)
        refused(path, because="second name")
        refused(other, because="second name")

    def test_a_file_that_others_may_read_is_refused(self, path: Path) -> None:
        make(path)
        path.chmod(0o644)
        refused(path, because="others may read")

    def test_a_directory_is_refused(self, tmp_path: Path) -> None:
        refused(tmp_path, because="not a regular file")

    def test_a_directory_that_is_a_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("")
        refused(tmp_path / "state" / "cube.db", because="Not a directory")

    def test_a_file_of_somebody_else_is_refused(self, tmp_path: Path) -> None:
        status = tmp_path / "cube.db"
        status.touch(0o600)
        found = place.refuse_file(status.stat(), user=os.geteuid() + 1)
        assert found is not None
        assert "belongs to the user" in found[0]

    def test_one_directory_under_two_names_is_one_state(self, path: Path, tmp_path: Path) -> None:
        owner = make(path)
        (tmp_path / "alias").symlink_to(path.parent)
        store = open_store(tmp_path / "alias" / path.name)
        assert (store.owner, store.path) == (owner, path)
        store.close()

    def test_a_missing_one_is_made_only_if_asked(self, path: Path) -> None:
        with pytest.raises(InputError, match="No such file"):
            open_store(path, create=False)
        assert not path.parent.exists()


MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
42 27 0:52 / /home/ann\\040lee rw,relatime shared:1 - nfs4 server:/home rw,vers=4.2
43 27 0:53 / /mnt/box rw - fuse.sshfs ann@box:/ rw
"""


@pytest.mark.parametrize(
    ("device", "filesystem"),
    [((254, 0), "ext4"), ((0, 52), "nfs4"), ((0, 53), "fuse.sshfs"), ((8, 1), None)],
)
def test_the_filesystem_is_found_by_its_device(device: tuple[int, int], filesystem: str | None) -> None:
    assert place.filesystem_of(MOUNTS, os.makedev(*device)) == filesystem
    assert (filesystem in place.NETWORK_FILESYSTEMS) == (device[0] == 0)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def shuffle(path: Path) -> None:
    """Overwrite what follows the first page."""
    with path.open("r+b") as file:
        file.seek(4096 + 100)
        file.write(os.urandom(path.stat().st_size - 4096 - 100))


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def without_mark(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id = 1")
    connection.close()


def bad_row(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("""UPDATE jobs SET body = '{"name": 3}'""")
    connection.close()


class TestDamage:
    @pytest.mark.parametrize("damage", [cut, shuffle, garbage, without_mark])
    def test_is_refused_with_the_way_back_and_left_as_it_is(
        self, path: Path, damage: Callable[[Path], None]
    ) -> None:
        """P5, P9: F55."""
        make(path, jobs=20)
        damage(path)
        found = path.read_bytes()
        assert "backup" in refused(path, because="damaged").cure
        assert path.read_bytes() == found

    def test_in_a_row_is_found_when_it_is_read(self, path: Path) -> None:
        make(path)
        bad_row(path)
        store = open_store(path)
        with pytest.raises(InputError, match="damaged"):
            store.jobs()
        store.close()

    def test_an_emptied_file_begins_a_new_state_with_another_owner(self, path: Path) -> None:
        """P5: what the old state started is foreign to the new one, so nothing of it is stopped."""
        owner = make(path)
        path.write_bytes(b"")
        assert make(path, jobs=0) != owner

    def test_another_programs_database_is_refused(self, path: Path) -> None:
        path.parent.mkdir()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE precious (id)")
        connection.close()
        path.chmod(0o600)
        refused(path, because="another program's database")

    @pytest.mark.parametrize("afterwards", [lambda _path: None, make])
    def test_a_file_that_vanished_while_it_was_open_takes_no_change(
        self, path: Path, afterwards: Callable[[Path], object]
    ) -> None:
        make(path)
        store = open_store(path)
        path.unlink()
        afterwards(path)
        with pytest.raises(CubeError, match="deleted or replaced"):
            fill(store, 1, first=5)
        store.close()

    def test_a_bug_in_a_statement_is_called_one(self) -> None:
        with pytest.raises(CubeError, match="refused a statement"), Explained("x"):
            sqlite3.connect(":memory:").execute("SELECT nothing")


def slip_in(path: Path, moment: int) -> bool:
    """Make a state while another connection makes it too, just before our statement number `moment`."""
    path.parent.mkdir(exist_ok=True)
    ours, theirs = (sqlite3.connect(path, isolation_level=None, timeout=0) for _ in range(2))
    statements = itertools.count()

    def trace(_statement: str) -> None:
        if next(statements) == moment:
            with contextlib.suppress(sqlite3.OperationalError):
                schema.migrate(theirs, where="theirs", save=lambda _: None)

    ours.set_trace_callback(trace)
    schema.migrate(ours, where="ours", save=lambda _: None)
    ours.set_trace_callback(None)
    assert ours.execute("SELECT count(*) FROM identity").fetchone() == (1,)
    ours.close()
    theirs.close()
    return next(statements) > moment


class TestVersions:
    def test_a_newer_state_is_refused_by_an_older_cube(self, path: Path) -> None:
        """B45."""
        make(path)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
        assert refused(path, because="newer Cube").exit_code == 2

    @pytest.mark.parametrize(
        "dump", sorted(Path("tests/cases/store").glob("v*.sql")), ids=lambda dump: dump.stem
    )
    def test_a_state_of_every_released_version_opens_with_all_it_held(self, path: Path, dump: Path) -> None:
        path.parent.mkdir()
        with sqlite3.connect(path) as connection:
            connection.executescript(dump.read_text())
        connection.close()
        path.chmod(0o600)
        store = open_store(path)
        assert [(job.name, job.version) for job in store.jobs()] == [("web", 2)]
        assert [task.state for task in store.tasks()] == ["Running", "Pending"]
        assert len(store.events()) == 4
        assert store.check() == ()
        store.close()

    def test_a_step_is_one_transaction_after_a_copy(self, path: Path) -> None:
        """B45: an interrupted migration leaves the state as it was, and a second try ends it."""
        make(path)
        saved: list[int] = []

        def broken(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE half (id)")
            raise KeyboardInterrupt

        def whole(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE half (id)")

        for step in (broken, whole):
            connection = sqlite3.connect(path, isolation_level=None)
            try:
                steps = (*schema.MIGRATIONS, step)
                schema.migrate(connection, where="here", save=saved.append, migrations=steps)
            except KeyboardInterrupt:
                assert not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half'").fetchone()
            finally:
                connection.close()
        assert saved == [len(schema.MIGRATIONS)] * 2
        refused(path, because="newer Cube")

    def test_two_that_make_one_file_at_once_make_one_state(self, path: Path) -> None:
        """P9: the other one is quicker, before every single statement of ours in turn."""
        for moment in itertools.count():
            if not slip_in(path.with_name(f"{moment}.db"), moment):
                break
        assert moment > 10

    def test_the_copy_lies_beside_the_state(self, path: Path) -> None:
        make(path)
        store = open_store(path)
        for _ in range(2):
            with store._change():
                copy.before_migration(path, 1)
        store.close()
        saved = path.with_name("cube.db.v1")
        assert stat.S_IMODE(saved.stat().st_mode) == 0o600
        assert sorted(found.name for found in path.parent.iterdir()) == ["cube.db", "cube.db.v1"]
        open_store(saved).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is made by mount")
def test_a_full_disk_says_so_and_loses_nothing(tmp_path: Path) -> None:
    """P9, P11: F53."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=True)
    try:
        store = open_store(disk / "cube.db")
        with pytest.raises(CubeError, match="cannot be written") as caught:
            fill(store, 1000)
        assert "room" in caught.value.cure
        written = len(store.jobs())
        assert store.check() == ()
        subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
        fill(store, 1, first=5000)
        assert len(store.jobs()) == written + 1
        store.close()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_run_that_finds_nothing_to_do_never_loads_sqlite_utils(path: Path) -> None:
    """It takes 85 ms: a sixth of what such a run may take in all."""
    make(path)
    script = (
        "import sys; from pathlib import Path; from cube.model.action import Plan;"
        "from cube.model.observation import Cause, Unknown;"
        "from cube.store.lock import hold; from cube.store.rows import Sweep;"
        "from cube.store.store import open_store;"
        f"store = open_store(Path({str(path)!r}));"
        "held = hold(store, command='reconcile'); held.__enter__();"
        "store.put_observations([Unknown(node='n', at=1.0, cause=Cause.LOST, why='', cure='')]);"
        "store.jobs(), store.current_tasks(), store.events();"
        "store.record_plan(Plan(), now=1.0, actor='a');"
        "store.put_sweep(Sweep(started=1.0, finished=2.0, result='')); held.__exit__(None, None, None);"
        "sys.exit('sqlite_utils' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_state_that_is_made_leaves_no_copy_of_nothing_behind(path: Path) -> None:
    """P9: a kill between two steps of its making is one more beginning."""
    open_store(path).close()
    assert [found.name for found in path.parent.iterdir() if ".v" in found.name] == []
