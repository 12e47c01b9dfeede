"""The state at a server: who works on it, for how long that holds, and what is never shown."""

import os
import signal
import subprocess
import sys
import time  # noqa: TID251 - other processes take their time
from collections.abc import Iterator

import psycopg
import pytest

from cube.errors import CubeError, InputError, LockedError
from cube.model.job import Group, Job, TaskSpec
from cube.store.address import Server, place_of
from cube.store.lock import hold
from cube.store.postgres import Postgres
from cube.store.postgres_schema import NEWEST
from cube.store.schema import MIGRATIONS
from cube.store.store import Store, open_store
from tests.postgres import Cluster

TERM = 2.0
JOB = Job(name="web", groups=(Group(name="app", spec=TaskSpec(image="app:1"), count=1),))

HOLDER = """
import sys
from cube.errors import LockedError
from cube.model.job import Group, Job, TaskSpec
from cube.store.address import Server
from cube.store.lock import hold
from cube.store.postgres import Postgres
from cube.store.store import open_store

Postgres.term = float(sys.argv[2])
store = open_store(Server(sys.argv[1]))
with hold(store, command="cube deploy web") as epoch:
    print(epoch, flush=True)
    sys.stdin.readline()
    print(store.may_act(), flush=True)
    try:
        job = Job(name="late", groups=(Group(name="app", spec=TaskSpec(image="app:1"), count=1),))
        store.put_job(job, now=1.0, actor="late", reason="")
        print("recorded", flush=True)
    except LockedError as error:
        print(error.what, flush=True)
"""


@pytest.fixture
def server(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A new place, where leases are short."""
    monkeypatch.setattr(Postgres, "term", TERM)
    return postgres.place()


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    """A store there."""
    store = open_store(server)
    yield store
    store.close()


@pytest.fixture
def holder(server: Server, store: Store) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lease by now, and writes once it reads a line."""
    command = [sys.executable, "-c", HOLDER, server.url, str(TERM)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    yield process
    process.kill()
    process.communicate()


def put(store: Store) -> Job:
    return store.put_job(JOB, now=1.0, actor="ann", reason="deployed")


class TestLease:
    def test_a_second_cube_is_told_who_is_at_work_p12(
        self, store: Store, holder: subprocess.Popen[str]
    ) -> None:
        named = rf"`cube deploy web` of \S+ \(pid {holder.pid} on \S+\) has it since 20"
        with pytest.raises(LockedError, match=named), hold(store, command="cube scale"):
            pytest.fail("two at work")

    def test_one_that_lives_keeps_it_for_longer_than_a_lease(self, store: Store) -> None:
        other = open_store(place_of(_url(store)))
        with hold(store, command="cube deploy"):
            with pytest.raises(LockedError), hold(other, command="cube stop", wait=2 * TERM):
                pytest.fail("two at work")
            assert put(store).version == 1
        other.close()

    def test_one_that_ends_gives_it_back_at_once(self, store: Store) -> None:
        for _ in range(3):
            with hold(store, command="cube deploy") as epoch:
                assert (epoch, store.may_act()) == (1, True)
        assert (store.lease(), store.may_act()) == (None, False)

    def test_a_look_does_not_end_it(self, store: Store) -> None:
        with hold(store, command="cube deploy"):
            with store.moment():
                assert store.jobs() == ()
            assert store.may_act()

    def test_within_one_process_too(self, store: Store) -> None:
        with hold(store, command="cube deploy"):
            with pytest.raises(LockedError), hold(store, command="cube stop"):
                pytest.fail("two at work")
            assert (put(store).version, store.may_act()) == (1, True)

    def test_a_killed_holder_is_followed_within_the_lease_by_a_higher_epoch_p9(
        self, store: Store, holder: subprocess.Popen[str]
    ) -> None:
        os.kill(holder.pid, signal.SIGKILL)
        began = time.monotonic()
        with hold(store, command="cube reconcile", wait=60) as epoch:
            assert epoch == store.epoch == 2
        assert time.monotonic() - began < 30

    def test_one_that_was_stopped_and_followed_acts_and_records_no_more(
        self, store: Store, holder: subprocess.Popen[str]
    ) -> None:
        os.kill(holder.pid, signal.SIGSTOP)
        with hold(store, command="cube reconcile", wait=60) as epoch:
            assert epoch == 2
            os.kill(holder.pid, signal.SIGCONT)
            told, _ = holder.communicate("go on\n", timeout=30)
            assert told.splitlines() == ["False", "the state was taken over"]
            assert store.lease() is not None
        assert store.jobs() == ()

    def test_one_that_was_followed_may_come_after_its_follower(self, server: Server, store: Store) -> None:
        other = open_store(server)
        with hold(store, command="cube deploy"):
            store._connection.execute("UPDATE lease SET until = 0")
            with hold(other, command="cube reconcile") as epoch:
                assert epoch == 2
            with pytest.raises(LockedError, match="taken over"):
                put(store)
        with hold(store, command="cube deploy") as epoch:
            assert (epoch, put(store).version) == (2, 1)
        other.close()


class TestServer:
    def test_one_that_comes_back_is_used_again(self, postgres: Cluster, store: Store) -> None:
        put(store)
        postgres.restart()
        with pytest.raises(CubeError, match="server cannot do it"):
            store.jobs()
        assert [job.name for job in store.jobs()] == ["web"]

    def test_a_transaction_that_it_ended_is_not_gone_on_with(self, postgres: Cluster, store: Store) -> None:
        def raise_the_epoch() -> None:
            with store._change() as connection:
                postgres.restart()
                connection.execute("UPDATE identity SET epoch = 7")

        with pytest.raises(CubeError, match="server cannot do it"):
            raise_the_epoch()
        assert store.epoch == 1

    def test_one_that_is_not_there_says_so_in_time_p1(self) -> None:
        with pytest.raises(CubeError, match="server cannot do it"):
            open_store(Server("postgresql:///none?host=/nowhere"))

    @pytest.mark.parametrize("url", ["postgresql:///x?nothing=1", "postgresql://ann:s3cret@["])
    def test_a_url_that_is_none_is_bad_input(self, url: str) -> None:
        with pytest.raises(InputError, match="cannot be used") as caught:
            open_store(Server(url))
        assert "s3cret" not in str(caught.value)

    def test_a_state_that_is_not_there_is_not_made(self, server: Server) -> None:
        with pytest.raises(InputError, match="no state"):
            open_store(server, create=False)

    def test_another_programs_tables_are_refused(self, server: Server) -> None:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE accounts (id BIGINT)")
        with pytest.raises(InputError, match="accounts"):
            open_store(server)

    def test_a_newer_cubes_state_is_refused(self, server: Server, store: Store) -> None:
        store._connection.execute("UPDATE schema_version SET version = version + 1")
        with pytest.raises(InputError, match="newer Cube"):
            open_store(server)

    def test_an_older_cubes_state_is_brought_up_to_date(self, server: Server, store: Store) -> None:
        owner = store.owner
        for statement in (
            "DROP TABLE moves",
            "DROP TABLE tokens",
            "DROP TABLE maintenances",
            "DROP TABLE measures",
            "ALTER TABLE tasks DROP COLUMN devices",
            "ALTER TABLE cordons DROP COLUMN leave_data",
            "DROP TABLE managers",
            "DROP TABLE shares",
            "DROP TABLE left_volumes",
            "DROP TABLE notices",
            "ALTER TABLE looks DROP COLUMN news",
            "UPDATE schema_version SET version = 2",
        ):
            store._connection.execute(statement)
        again = open_store(server)
        assert (again.owner, again.moves(), again.tokens(), again.tasks()) == (owner, {}, (), ())
        again.close()

    def test_it_has_the_tables_and_columns_of_the_file(self, store: Store) -> None:
        file = open_store(":memory:")
        sql = """SELECT known.name, info.name
            FROM sqlite_master AS known, pragma_table_info(known.name) AS info WHERE known.type = 'table'"""
        kept = {tuple(row) for row in file._connection.execute(sql)}
        sql = """SELECT table_name, column_name FROM information_schema.columns
            WHERE table_schema = current_schema()"""
        found = {tuple(row) for row in store._connection.execute(sql)}
        its_own = {("lease", "token"), ("lease", "until"), ("moves", "rowid")}
        assert {each for each in found if each[0] != "schema_version"} == kept | its_own
        assert len(MIGRATIONS) == NEWEST
        file.close()

    def test_a_zero_byte_is_kept_as_its_picture(self, store: Store) -> None:
        store.tell_of_job("web", 1, now=1.0, actor="ann", reason="a\0b ? :c %s")
        assert store.events()[-1].reason == "a\u2400b ? :c %s"


class TestPassword:
    @pytest.mark.parametrize(
        ("url", "shown"),
        [
            ("postgresql://ann:s3cret@db/shop", "postgresql://ann@db/shop"),
            ("postgresql://db/shop?password=s3cret&user=ann", "postgresql://db/shop?user=ann"),
            ("postgresql:///shop?host=/run/pg", "postgresql:///shop?host=/run/pg"),
            ("postgresql://ann:s%33cret@one,two:5433/shop", "postgresql://ann@one,two:5433/shop"),
        ],
    )
    def test_is_not_shown_p15(self, url: str, shown: str) -> None:
        assert (str(Server(url)), "s3cret" in repr(Server(url))) == (shown, False)

    def test_is_in_no_error(self) -> None:
        with pytest.raises(CubeError) as caught:
            open_store(Server("postgresql://ann:s3cret@/shop?host=/nowhere&application_name=s3cret"))
        assert "s3cret" not in str(caught.value).replace("application_name=s3cret", "")


def _url(store: Store) -> str:
    return str(store.where)
