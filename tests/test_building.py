"""What a job's `build` asks of the `docker` command on the operator's machine."""

from pathlib import Path

import pytest

from cube.cli import building
from cube.errors import CubeError, InputError
from cube.manager.office import Office
from cube.model.job import Build
from cube.model.node import Cluster
from cube.spec.parse import parse
from tests.build import job, spec

OFFICE = Office(cluster=Cluster(name="test", nodes=()), state=":memory:", keys=Path())


def test_the_words_are_those_of_the_job_and_no_shell_reads_them(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    how = Build(context="app", dockerfile="in/Dockerfile", target="release", args={"A": "1; rm -rf /"})
    assert building.argv("web:1", how, tmp_path) == [
        "docker", "build", "--tag", "web:1", "--file", str(tmp_path / "app/in/Dockerfile"),
        "--target", "release", "--build-arg", "A=1; rm -rf /", "--", str(tmp_path / "app"),
    ]  # fmt: skip


def test_what_only_bytes_can_name_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be built"):
        building.argv("web@sha256:abc", Build(context="."), tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to build from") as raised:
        building.argv("web:1", Build(context="gone"), tmp_path)
    assert raised.value.where == str(tmp_path / "gone")


def test_a_machine_without_the_command_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CubeError, match="the command docker cannot be run"):
        building.build(job(task=spec("web:1"), build=Build(context=".")), tmp_path, OFFICE)


def test_it_is_written_in_the_group() -> None:
    text = "job: web\ngroups:\n  web:\n    image: web:1\n    build: {context: app, args: {A: x}}\n"
    (group,) = parse(text, "web.yml", {}).groups
    assert group.build == Build(context="app", args={"A": "x"})
