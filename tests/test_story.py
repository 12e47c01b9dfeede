"""`cube events`: what happened, and what happens next."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cube.cli import story
from cube.cli.options import Output
from cube.manager.office import Office
from cube.model.node import Cluster
from cube.store.store import Store, open_store
from tests.build import NOW, job, node

ALL = story.Chosen(job=None, node=None, since=None, until=None)


@pytest.fixture
def place(tmp_path: Path) -> Office:
    cluster = Cluster(name="test", nodes=(node("node1"),))
    return Office(cluster=cluster, state=tmp_path / "test.db", keys=tmp_path, scheduler="spread")


@pytest.fixture
def store(place: Office) -> Iterator[Store]:
    made = open_store(place.state)
    yield made
    made.close()


def told_while(
    place: Office, store: Store, chosen: story.Chosen, monkeypatch: pytest.MonkeyPatch, happens: str
) -> None:
    """Follow the events; in the first pause a job of that name is deployed, in the second Ctrl-C is typed."""
    pauses = iter((True, False))

    def pause(_seconds: float) -> None:
        if not next(pauses):
            raise KeyboardInterrupt
        store.put_job(job(happens), now=NOW, actor="ann", reason="deployed")

    monkeypatch.setattr("cube.cli.story.time.sleep", pause)
    story.tell(place, chosen, 50, Output.TABLE, follow=True)


def test_who_follows_is_told_what_comes_and_nothing_from_before_the_time_that_was_asked_for(
    place: Office, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store.put_job(job("old"), now=NOW - 1000, actor="ann", reason="deployed")
    recent = story.Chosen(job=None, node=None, since=NOW - 10, until=None)
    told_while(place, store, recent, monkeypatch, "new")
    told = capsys.readouterr().out
    assert "new" in told
    assert "old" not in told


def test_who_follows_is_told_nothing_twice(
    place: Office, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store.put_job(job("old"), now=NOW - 1000, actor="ann", reason="deployed")
    told_while(place, store, ALL, monkeypatch, "new")
    told = capsys.readouterr().out
    assert (told.count(" old "), told.count(" new ")) == (1, 1)
