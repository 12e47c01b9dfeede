"""The manager's page says what is so: its commands are run as they are printed, and print what is printed."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cube.book.event import read_event
from cube.book.job import job_of
from cube.cli.main import app
from cube.cli.options import MANAGER
from cube.errors import InputError, UnreachableError
from tests import cli_reference, test_monitoring
from tests.stage import free_port, staged
from tests.test_api import Api, api_over

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "manager.md").read_text()
EXAMPLE = ROOT / "jobs" / "task.json"

OURS = re.compile(r"cube |export ")
"""What a command begins with that is done for it: there is a manager, and who asks has a token."""

IMAGES = ("cube-demo:1", "app:1")
"""What the page runs, and what simulated machines run in its place."""

SHELL = "From a shell"
THERE = "127.0.0.1:7070"
VARYING = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")


@pytest.fixture
def api() -> Iterator[Api]:
    """Of a fleet of three nodes with which nothing has happened yet."""
    with staged() as stage, api_over(stage) as found:
        yield found


def blocks(heading: str) -> str:
    """All that the console shows in that section: commands, and what they print."""
    section = re.split(r"^#{2,3} ", PAGE.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return "".join(re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))


def played(console: str, api: Api, out: Path) -> tuple[str, str]:
    """What the console shows of the commands that go to the manager, and what it shows when they are run."""
    shown = [text for text in re.split(r"^(?=\$ )", console, flags=re.MULTILINE) if not OURS.match(text[2:])]
    commands = [text.removeprefix("$ ").partition("\n")[0] for text in filter(None, shown)]
    token, here = api.tokens["operate"], f"127.0.0.1:{api.port}"
    script = "\n".join(
        f"echo {shlex.quote(f'$ {command}')}\n{{ {command}\n}} >{out}/said; sed -e '$a\\' {out}/said"
        for command in commands
    )
    with_token = f'curl() {{ command curl -H "Authorization: Bearer {token}" "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", with_token + script.replace(THERE, here).replace(*IMAGES)],
        env={"CUBE_TOKEN": token, "CUBE_MANAGER": f"http://{here}", "PATH": "/usr/bin:/bin"},
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return "".join(shown), done.stdout.replace(here, THERE).replace(*IMAGES[::-1])


def test_what_is_asked_from_a_shell_is_answered_as_the_page_shows(api: Api, tmp_path: Path) -> None:
    """Events have other numbers here: whoever asks there made one token, and that was the first event."""
    made = api.stage.store.events(limit=1)[0].number
    console = re.sub(r"(Last-Event-ID: )(\d+)", lambda it: f"{it[1]}{int(it[2]) - 1 + made}", blocks(SHELL))
    shown, found = played(console, api, tmp_path)
    found = re.sub(r"^id: (\d+)", lambda it: f"id: {int(it[1]) + 1 - made}", found, flags=re.MULTILINE)
    assert VARYING.sub("ID", found) == VARYING.sub("ID", shown)


def test_what_a_client_of_the_book_asks_is_answered_as_the_page_shows(api: Api, tmp_path: Path) -> None:
    shown, found = played(blocks("The format of the book"), api, tmp_path)
    assert found == shown


def test_the_task_that_the_page_shows_is_the_example_and_can_be_run() -> None:
    text = EXAMPLE.read_text()
    assert f"```json\n{text}```" in PAGE
    event, place = read_event(text, str(EXAMPLE))
    assert job_of(event.Task, place).groups[0].spec.image == "cube-demo:1"


HERE = ("cube convert", "cube context", "cube lab", "cube state copy")


def typed() -> Iterator[tuple[str, list[str]]]:
    """Every command as somebody may type it; a word that it needs may be any, and `read` is a role, too."""
    for name, command in cli_reference.commands():
        words = name.split()[1:]
        for parameter in command.params:
            word = next(iter(getattr(parameter.type, "choices", ())), "read")
            option = [parameter.opts[0]] if parameter.param_type_name == "option" else []
            words += [*option, word] if parameter.required else []
        yield name, words
    yield "cube reconcile --watch", ["reconcile", "--watch"]


def test_what_goes_through_no_manager_is_what_the_page_says_and_for_that_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(MANAGER, f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("CUBE_TOKEN", "cube_any")
    refused: dict[str, str] = {}
    for name, words in typed():
        if name.startswith(HERE):
            continue
        error = CliRunner().invoke(app, words).exception
        if isinstance(error, InputError) and error.what == "this command does not go through a manager":
            refused[name] = error.why
        else:
            assert isinstance(error, UnreachableError), f"{name}: {error}"
    rows = re.findall(r"^\| (`cube .+`) \| (.+) \|$", PAGE, re.MULTILINE)
    assert refused == {name: why for names, why in rows for name in re.findall("`(.+?)`", names)}
    assert all(f"`{name}`" in PAGE for name in HERE)


def test_the_list_of_figures_is_what_the_manager_tells_and_what_that_means() -> None:
    rows = re.findall(r"^\| `(cube_\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == re.findall(r"^# HELP (cube_\w+) (.+)$", test_monitoring.text(), re.MULTILINE)
