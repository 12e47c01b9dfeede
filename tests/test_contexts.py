"""Managers by name: what is kept, to whom a token is shown, and what is refused before anybody is asked."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cube.cli.contexts import link_of
from cube.cli.main import app
from cube.errors import InputError
from cube.remote.link import Link

FAR, HERE = "https://far.example:7070", "http://127.0.0.1:7070"


@pytest.fixture(name="file")
def _file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's contexts are kept."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("CUBE_TOKEN", "cube_other")
    return tmp_path / "cube" / "contexts.json"


def add(*words: str, token: str = "cube_own\r\n") -> BaseException | None:
    return CliRunner().invoke(app, ["context", "add", "far", *words], input=token).exception


def environ(file: Path, token: str) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(file.parent.parent), "CUBE_TOKEN": token}


def test_a_manager_by_name_is_shown_its_own_token_and_no_other_p15(file: Path) -> None:
    assert add(f"{FAR}/") is None
    assert link_of("far", environ(file, "cube_other")) == Link(url=FAR, token="cube_own")
    assert add(HERE, token="") is None, "a manager of this machine may need none"
    assert link_of("far", environ(file, "cube_other")).token == "cube_other"
    assert link_of(FAR, environ(file, " cube_other\r\n")).token == "cube_other"


@pytest.mark.parametrize(
    ("words", "token", "says"),
    [
        (("nourl",), "cube_own", "'nourl' is no manager's address"),
        (("https://far:port",), "cube_own", "is no manager's address"),
        (("http://[::1",), "cube_own", "is no manager's address"),
        ((FAR,), " \n", "no token was given"),
        ((FAR,), "cube_own\rcube_more", "standard input: this is no token"),
        ((FAR, "--authority", "gone.pem"), "cube_own", "gone.pem: the certificates to trust cannot be read"),
        (("http://10.1.2.3:80",), "cube_own", "a token is not sent in the clear"),
    ],
)
def test_what_could_not_be_used_is_not_kept(
    file: Path, words: tuple[str, ...], token: str, says: str
) -> None:
    refusal = add(*words, token=token)
    assert isinstance(refusal, InputError)
    assert (says in str(refusal), "cube_own" in str(refusal), file.exists()) == (True, False, False), refusal


def test_p15_a_token_that_is_none_is_refused_and_not_quoted(file: Path) -> None:
    with pytest.raises(InputError, match=r"\$CUBE_TOKEN: this is no token") as refusal:
        link_of(FAR, environ(file, "cube_\rSECRET"))
    assert "SECRET" not in str(refusal.value)
    file.parent.mkdir()
    file.write_text(json.dumps({"far": {"url": FAR, "token": "cube_\nSECRET"}}))
    with pytest.raises(InputError, match="context far: this is no token"):
        link_of("far", environ(file, ""))


@pytest.mark.parametrize("url", ["http://far.example", "http://192.0.2.1:7070"])
def test_p15_no_token_is_sent_in_the_clear_to_another_machine(url: str) -> None:
    with pytest.raises(InputError, match="not sent in the clear"):
        Link(url=url, token="cube_own").get("/jobs")
    with pytest.raises(InputError, match="not sent in the clear"), Link(url=url, token="t").socket("/x"):
        pass


@pytest.mark.parametrize(
    "words",
    [
        ("secret", "ls"), ("secret", "set", "db"), ("secret", "edit"), ("secret", "rotate"), ("inventory",),
        ("node", "check", "all"), ("node", "exec", "all", "--", "true"), ("worker", "start", "all"),
        ("cron", "install"),
    ],
)  # fmt: skip
def test_what_works_on_the_inventory_here_is_refused_where_a_manager_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inv.yml").write_text("all: {hosts: {node1: {ansible_host: 192.0.2.1}}}\n")
    monkeypatch.setenv("CUBE_INVENTORY", "inv.yml")
    monkeypatch.setenv("CUBE_MANAGER", "prod")
    refusal = CliRunner().invoke(app, words, input="value").exception
    assert str(refusal).startswith("prod: this command does not go through a manager")
    assert [file.name for file in tmp_path.iterdir()] == ["inv.yml"]
