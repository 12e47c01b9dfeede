"""Backups by the clock: which volume is due on which node, and what is done about it where nothing can be."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cube.errors import InputError
from cube.manager.keeping import AGAIN, Keeper
from cube.manager.notify import kind_of
from cube.manager.office import Office
from cube.model.action import Note, Plan
from cube.model.job import Backup, Job, JobType, Schedule, Volume
from cube.model.node import Cluster
from cube.model.task import State, Task
from cube.reconciler.backups import is_due, wanted_backups
from cube.spec.parse import parse
from cube.store.rows import Restored
from cube.store.store import open_store
from tests.build import job, node, spec, task

AT_THREE = Backup(schedule=Schedule(cron="0 3 * * *"))
WRITES = spec(volumes=(Volume(source="data", target="/data"),))


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def keeper(backup: Backup = AT_THREE, **changes: Any) -> Job:
    return job("db", task=WRITES, backups={"data": backup}, **changes)


def running(index: int = 0, node: str = "node1", **changes: Any) -> Task:
    return task(index, job="db", node=node, spec=WRITES, **changes)


class TestABackup:
    def test_is_for_each_node_where_a_task_of_the_group_runs_and_one_for_all_of_a_node(self) -> None:
        tasks = [running(0), running(1), running(2, "node2"), running(3, "node3", state=State.COMPLETED)]
        assert [found.node for found in wanted_backups([keeper()], tasks)] == ["node1", "node2"]

    @pytest.mark.parametrize("kind", [JobType.BATCH, JobType.PERIODIC])
    def test_is_none_for_what_ends_by_itself(self, kind: JobType) -> None:
        assert not list(wanted_backups([keeper(type=kind)], [running()]))


class TestItIsDue:
    (WANTED,) = wanted_backups([keeper()], [running()])

    @pytest.mark.parametrize(
        ("newest", "now", "expected"),
        [
            (None, "2026-11-20T02:59", False),
            (None, "2026-11-20T03:00", True),
            ("2026-11-20T03:00:01", "2026-11-21T02:59", False),
            ("2026-11-20T03:00:01", "2026-11-21T03:00", True),
            ("2026-11-20T12:00", "2026-11-20T23:00", False),
            ("2026-10-01T03:00", "2026-11-20T12:00", True),
        ],
    )
    def test_once_a_time_has_come_since_the_newest_or_since_it_is_wanted(
        self, newest: str | None, now: str, expected: bool
    ) -> None:
        since = at("2026-11-20T01:00")
        assert is_due(self.WANTED, at(newest) if newest else None, since, at(now)) is expected


def test_one_that_failed_is_told_and_is_not_tried_again_at_once(tmp_path: Path) -> None:
    """Nothing can be kept below a file."""
    (tmp_path / "a-file").touch()
    wanted = keeper(replace(AT_THREE, folder=str(tmp_path / "a-file")))
    place = Office(
        cluster=Cluster(name="sim", nodes=(node("node1"),)), state=tmp_path / "cube.db", keys=tmp_path
    )
    deployed, now = at("2026-11-20T01:00"), at("2026-11-20T12:00")
    with closing(open_store(place.state)) as store:
        found = running(state=State.SCHEDULED)
        store.restore(
            Restored(owner="ann", epoch=1, jobs=(wanted,), tasks=(found,)), now=deployed, actor="ann"
        )
        begun = Note(task=found, target=State.RUNNING, reason="seen running")
        store.record_plan(Plan(actions=(begun,)), now=deployed, actor="ann")
        (made,) = Keeper().keep_due(place, now)
        why = "the archive cannot be read or written: Not a directory"
        assert str(made) == f"backup of data on node1 failed: {tmp_path}/a-file/sim: {why}"
        (event,) = [told for told in store.events(job="db") if told.actor == "backup"]
        assert (event.reason, kind_of(event)) == (str(made), "backup")
        assert not list(Keeper().due(store, event.at + 1))
        assert list(Keeper().due(store, event.at + AGAIN + 1))


class TestAJobFile:
    TEXT = """
job: db
groups:
  main:
    image: postgres:17
    volumes: [{{source: {source}, target: /data, backup: {{cron: "0 3 * * *", keep: 7}}}}]
"""

    def test_says_it_at_the_volume_and_it_is_no_matter_of_the_task(self) -> None:
        (group,) = parse(self.TEXT.format(source="data"), "db.yml", {}).groups
        assert group.backups == {"data": replace(AT_THREE, keep=7)}
        assert group.spec.volumes == (Volume(source="data", target="/data"),)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (TEXT.format(source="/srv/data"), "'backup' is for volumes with a name"),
            (TEXT.format(source="data") + "type: batch", "'backup' is for groups of services"),
            (TEXT.format(source="data").replace("0 3", "0 33"), "is no cron expression"),
            (
                TEXT.format(source="data").replace("keep", "to: sftp://ann:hunter2@vault/srv, keep"),
                "no password",
            ),
        ],
    )
    def test_that_asks_for_what_cannot_be_is_refused(self, text: str, says: str) -> None:
        with pytest.raises(InputError, match=says) as refused:
            parse(text, "db.yml", {})
        assert "hunter2" not in str(refused.value)

    def test_may_name_a_folder_of_another_machine(self) -> None:
        url = "sftp://ann@vault/srv/backups"
        text = self.TEXT.format(source="data").replace("keep: 7", f"to: {url}")
        (group,) = parse(text, "db.yml", {}).groups
        assert group.backups["data"].folder == url
