"""Files in the format of the book: the job that they become, and what is refused with its place."""

import json
import subprocess
import sys
from typing import Any

import pytest

from cube.book.event import read_event
from cube.book.job import document_of, job_of
from cube.compose.job_text import text_of
from cube.errors import InputError
from cube.model.job import Job, JobType, Port
from cube.model.policy import RestartMode
from cube.spec.parse import parse
from tests.stage import BOOK_EVENT, TASK

FILE = "task.json"


def written(event: Any = BOOK_EVENT, **task: Any) -> str:
    """An event whose task has those fields, one field a line."""
    return json.dumps({**event, "Task": {**event["Task"], **task}}, indent=1)


def read(text: str) -> Job:
    event, place = read_event(text, FILE)
    return job_of(event.Task, place)


def job(**task: Any) -> Job:
    return read(written(**task))


def test_a_task_becomes_a_job_of_its_own() -> None:
    found = job(Disk=2**30)
    (group,) = found.groups
    assert (found.name, group.name, group.count) == (f"task-{TASK}", "main", 1)
    assert group.spec.image == "app:1"
    assert (group.spec.resources.cpu, group.spec.resources.memory) == (100, 32 * 2**20)
    assert group.spec.resources.disk == 2**30
    assert group.spec.ports == (Port(name="p7777-tcp", container=7777, host=7777, public=True),)
    assert group.spec.health is not None
    assert (group.spec.health.path, group.spec.health.port) == ("/health", "p7777-tcp")
    assert group.spec.labels == {"book.name": "test-chapter-9.1", "book.restart": "always"}


@pytest.mark.parametrize(
    ("policy", "kind", "attempts"),
    [("", JobType.BATCH, 0), ("no", JobType.BATCH, 0), ("on-failure", JobType.BATCH, 5)],
)
def test_a_task_that_is_not_always_restarted_runs_to_its_end(
    policy: str, kind: JobType, attempts: int
) -> None:
    found = job(RestartPolicy=policy)
    assert (found.groups[0].type, found.groups[0].restart.attempts) == (kind, attempts)


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
def test_a_task_that_is_always_restarted_is_a_service(policy: str) -> None:
    found = job(RestartPolicy=policy)
    assert (found.groups[0].type, found.groups[0].restart.mode) == (JobType.SERVICE, RestartMode.DELAY)


def test_what_go_writes_for_nothing_is_nothing() -> None:
    found = job(ExposedPorts=None, PortBindings=None, HealthCheck="", Memory=0)
    assert (found.groups[0].spec.ports, found.groups[0].spec.health) == ((), None)
    assert found.groups[0].spec.resources.memory == 64 * 2**20


@pytest.mark.parametrize("name", ["{{ x }} {% y %} {# z", "naïve 🚀", "12", "true"])
def test_a_name_stays_what_it_is_here_and_through_a_manager(name: str) -> None:
    event, place = read_event(written(Name=name), FILE)
    found = job_of(event.Task, place)
    assert found.groups[0].spec.labels["book.name"] == name
    assert parse(text_of(document_of(event.Task, place)), "far", {}) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "task.json:1:2: this is not JSON: Expecting property name"),
        ('{"ID": 1,}', "task.json:1:10: this is not JSON"),
        ("", "task.json:1:1: this is not JSON"),
        ("job: web", "task.json:1:1: this is not JSON"),
        ("[" * 100_000, "task.json: this is not JSON"),
        ('{"State": 2, "State": 3}', "task.json:1:14: the key 'State' stands here twice"),
        (written(Name="🚀", Image="No Image"), "task.json:9:12: 'No Image' is no image"),
        ("[]", "task.json:1:1: write a table of keys and values"),
        (written({**BOOK_EVENT, "Surprise": 1}), "task.json:22:2: unknown key 'Surprise'; known are ID, S"),
        (written(Imagee="x"), "task.json:21:3: unknown key 'Imagee'; did you mean 'Image'?"),
        (written({**BOOK_EVENT, "State": 1}), "task.json:3:11: State 1 cannot be asked for; write 2 to run"),
        (written({**BOOK_EVENT, "State": 4}), "task.json:3:11: State 4 cannot be asked for; write 2 to run"),
        (written(State=5), "task.json:8:12: Input should be less than or equal to 4"),
        (written(Image="Not An Image"), "task.json:9:12: 'Not An Image' is no image"),
        (written(Cpu=float("nan")), "task.json:10:10: "),
        (written(HealthCheck="health"), "task.json:20:18: 'health' is no path"),
        (written(PortBindings={"7777/tcp": "22"}), "task.json:16:3: port 22 is "),
        (written(Name="a\nb"), "task.json:7:11: write one line"),
        (written(Name="\ud800"), "task.json:7:11: Input should be a valid string"),
        (written(ExposedPorts=None, PortBindings=None), "task.json:16:18: the task cannot be checked"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read(text)
    assert said in str(refused.value)


def test_every_problem_of_a_file_is_told_at_once() -> None:
    with pytest.raises(InputError) as refused:
        read('{"ID": "x", "State": 0, "Task": {}}')
    lines = str(refused.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "task.json:1:8",
        "task.json:1:22",
        *["task.json:1:25"] * 2,
    ]
    assert "the key 'Image' is missing" in lines[-1]


def test_reading_a_file_loads_nothing_of_the_manager_s_api() -> None:
    code = "import sys, cube.cli.main, cube.cli.submitting; print({'fastapi', 'uvicorn'} & {*sys.modules})"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "set()\n"
