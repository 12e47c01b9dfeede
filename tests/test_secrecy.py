"""P15: what Cube tells of itself quotes no secret, whatever goes wrong; and no value is lost or changed."""

import logging
import subprocess
import sys
import tempfile
import threading
from http import HTTPStatus
from pathlib import Path

import pytest
import yaml

from cube.api.server import without_words
from cube.cli import main
from cube.cli.editing import edited
from cube.errors import CubeError, InputError, bug
from cube.manager.operations import Operations, Request
from cube.vault.entry import checked_value
from cube.vault.place import VaultPlace
from cube.vault.sealed import own_recipient, table
from cube.vault.vault import MAX_BYTES, Vault
from tests.api_examples import filled
from tests.stage import staged
from tests.test_api import ENDLESS, EVERY, api_over

CANARY = "canary-77c1"

AS_ELSEWHERE = {
    ENDLESS: "the events, of which another route tells",
    "/live/{kind}": "the parts of the page",
    "/assets/{file}": "files of the package",
    "/tasks/{id}": "a task of the book's own shape, which has no secrets",
    "/api/v1/tasks/{id}/exec": "a socket",
    "/api/v1/images/push": "a socket",
    "/api/v1/images/lend": "a socket",
}
"""What is not asked: it has no end, or none of a job's words, or says what others say."""


def raised() -> Exception:
    """What nobody foresaw: an error that quotes the whole text it was given, on top of another."""
    try:
        try:
            yaml.safe_load(f"pw: {CANARY}: @")
        except yaml.YAMLError:
            f"{CANARY}\udcff".encode()
    except UnicodeEncodeError as error:
        return error
    raise AssertionError


def test_p15_a_bug_is_told_by_its_kind_and_its_place_and_never_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_how: object) -> None:
        raise raised()

    monkeypatch.setattr(main, "app", fail)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        main.main()
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join(20)
    said = capsys.readouterr().err
    (log,) = tmp_path.iterdir()
    assert (end.value.code, CANARY in said + log.read_text()) == (70, False)
    assert said.count(f"bug in Cube: UnicodeEncodeError at {__file__}:") == 2, "of the thread, too"
    assert "ScannerError" in log.read_text(), "and what it followed upon"


def test_p15_a_manager_tells_a_bug_without_its_words_to_who_asked_and_to_its_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_asked: object) -> None:
        raise raised()

    with staged() as stage:
        operation = Operations(stage.service, stage.manager).begin(
            Request(what="deploy", actor="ann", timeout=5), fail
        )
        operation.wait(20)
    assert "UnicodeEncodeError at " in str(operation.error)
    assert CANARY not in str(operation.error)
    capsys.readouterr()


def test_p15_the_log_of_the_api_has_calls_and_no_words(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("uvicorn.error")
    log.addFilter(without_words)
    try:
        log.error("Exception in ASGI application", exc_info=raised())
    finally:
        log.removeFilter(without_words)
    assert "UnicodeEncodeError" in caplog.text
    assert CANARY not in caplog.text


def test_p15_no_route_of_the_api_or_the_page_answers_with_a_secret() -> None:
    """Of a job that runs with one as a file and as a variable, beside a variable that is no secret."""
    vault = Vault(
        sealed=lambda: {"db": CANARY, "loud": CANARY}, sources=dict, environment={}, key=lambda: b"k"
    )
    group = "{image: 'app:1', env: {PLAIN: seen-by-all}, secrets: {db: /run/db, loud: {env: LOUD}}}"
    with staged(vault=vault) as stage, api_over(stage) as api:
        source = f"job: shop\ngroups: {{main: {group}}}"
        ended = api.done(api.ask("POST", "/api/v1/jobs", {"source": source}))
        stage.machines["node1"].volumes.content["shop-data"] = b"tar"
        (task, *_) = stage.store.current_tasks()
        known = {"/node/{name}": "/node/node1", "/task/{name}": f"/task/{task.id}"}
        asked = {
            path: api.ask("GET", filled(api, known.get(path, path)))
            for method, path in EVERY
            if method == "GET" and path not in AS_ELSEWHERE
        }
    assert ended["exit_code"] == 0, ended
    told = {path: f"{answer.headers}{answer.text}" for path, answer in asked.items()}
    assert [path for path, text in told.items() if CANARY in text] == []
    assert [path for path, text in told.items() if "seen-by-all" in text], "what is no secret is shown"
    assert [path for path, answer in asked.items() if answer.status != HTTPStatus.OK] == []


def test_a_bug_that_was_never_raised_has_no_place() -> None:
    assert str(bug(ValueError(CANARY))) == "this is a bug in Cube: ValueError"


@pytest.mark.parametrize(
    ("value", "says"),
    [(CANARY.encode() + b"\xff", "it is no text"), (b"", "it is empty"), (b"x" * (MAX_BYTES + 1), "256 KiB")],
)
def test_what_cannot_be_sealed_as_it_is_is_refused_and_not_quoted(value: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says) as refusal:
        checked_value("db", value)
    assert CANARY not in str(refusal.value)


def secret(folder: Path, *words: str, stdin: bytes = b"") -> subprocess.Popen[bytes]:
    """`cube secret` at work in that folder, as in a shell without a locale."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cube.cli.main", "secret", *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(Path.cwd())},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(stdin)
    process.stdin.close()
    process.stdin = None
    return process


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    (tmp_path / "inv.yml").write_text("all: {hosts: {node1: {ansible_host: 192.0.2.1}}}\n")
    return tmp_path


def kept_in(folder: Path) -> VaultPlace:
    return VaultPlace(
        folder=folder / "secrets", cluster="inv", identity=folder / ".config/cube/age.key",
        keys=folder / ".cube",
    )  # fmt: skip


def test_of_many_who_set_a_secret_at_once_none_is_lost_and_one_key_is_made(folder: Path) -> None:
    wanted = {f"r{number}": f"{CANARY}-{number}" for number in range(3)}
    all_at_once = [
        secret(folder, "set", name, "-i", "inv.yml", stdin=f"{value}\n".encode())
        for name, value in wanted.items()
    ]
    refused = secret(folder, "set", "big", "-i", "inv.yml", stdin=b"x" * (MAX_BYTES + 9))
    bytes_ = secret(folder, "set", "bytes", "-i", "inv.yml", stdin=f"{CANARY}".encode() + b"\xff\n")
    said = [process.communicate(timeout=60)[1].decode() for process in (*all_at_once, refused, bytes_)]
    assert [process.returncode for process in (*all_at_once, refused, bytes_)] == [0, 0, 0, 2, 2], said
    assert ("256 KiB" in said[-2], "it is no text" in said[-1], CANARY in "".join(said)) == (
        True,
        True,
        False,
    )
    assert kept_in(folder).opened() == wanted


def test_a_change_waits_for_the_one_before_and_is_made_to_what_that_left(tmp_path: Path) -> None:
    place, begun = kept_in(tmp_path), threading.Event()

    def add() -> None:
        begun.set()
        with place.changing() as values:
            values["second"] = "2"

    other = threading.Thread(target=add)
    with place.changing() as values:
        other.start()
        begun.wait(10)
        values["first"] = "1"
    other.join(10)
    assert place.opened() == {"first": "1", "second": "2"}


def test_of_two_keys_that_are_made_at_once_the_first_counts(tmp_path: Path) -> None:
    all_ready, found = threading.Barrier(4), set()

    def make() -> None:
        all_ready.wait(10)
        found.add(own_recipient(tmp_path / "age.key"))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["age.key"]


def test_what_is_edited_is_kept_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"pin": "0123", "at": "12:30:45", "count": "1_000", "pw": "yes", "none": "~", "big": "0x1F"}
    text = "".join(f"{name}: {value}\n" for name, value in values.items())
    (tmp_path / "edited").write_text(text)
    monkeypatch.setenv("EDITOR", f"cp {tmp_path}/edited")
    assert edited({"old": "1"}) == values


@pytest.mark.parametrize(
    "text",
    [f"pw: {CANARY}: @", f"pw: *{CANARY}", f"pw: [{CANARY}]", f"- {CANARY}", f"pw: a\npw: {CANARY}", CANARY],
)
def test_p15_a_slip_in_the_editor_is_told_by_its_place_and_quotes_nothing(text: str) -> None:
    with pytest.raises(InputError, match=r"secrets\.yml:[12]:\d+: ") as refusal:
        table(text, "secrets.yml")
    assert CANARY not in str(refusal.value)


def test_who_made_a_slip_may_edit_again_what_they_have_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nif grep -q broken "$1"; then echo "pw: mended" > "$1"\n'
                      'else echo "pw: [broken" > "$1"; fi\n')  # fmt: skip
    editor.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(editor))
    with pytest.raises(CubeError, match="no table of names"):
        edited({})
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda *_said, **_how: True)
    assert edited({}) == {"pw": "mended"}
    assert "broken" not in capsys.readouterr().err
