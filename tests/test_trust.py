"""`cube node trust`: a key is pinned, or called right, only by the word that was given for it (P14)."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cube.cli.main import app
from cube.connection.known_hosts import HostKey
from cube.connection.route import load_config, route
from cube.errors import CubeError
from cube.manager import nodes
from cube.manager.nodes import Introduction
from cube.model.node import Access, Node

KEY = HostKey(kind="ssh-ed25519", blob=b"\0\0\0\x0bssh-ed25519" + b"\1" * 36)


@pytest.fixture
def pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The nodes whose key was pinned so far, from a folder with one node in its inventory."""
    monkeypatch.chdir(tmp_path)
    Path("inv.yml").write_text("all: {hosts: {node1: {ansible_host: 192.0.2.1}}}\n")
    found: list[str] = []

    def meet(node: Node, *, state_dir: Path) -> Introduction:
        target = route(Access(address="192.0.2.1"), load_config(None))[-1]
        return Introduction(node=node, target=target, key=KEY, is_trusted=bool(found))

    monkeypatch.setattr(nodes, "meet", meet)
    monkeypatch.setattr(nodes, "accept", lambda met, **_: found.append(met.node.name))
    return found


def trust(*words: str) -> BaseException | None:
    return CliRunner().invoke(app, ["node", "trust", "node1", "-i", "inv.yml", *words]).exception


def test_another_fingerprint_pins_nothing_p14(pinned: list[str]) -> None:
    assert "another fingerprint" in str(trust("--fingerprint", "SHA256:other"))
    assert pinned == []
    assert trust("--fingerprint", KEY.fingerprint) is None
    assert pinned == ["node1"]


def test_a_key_that_is_pinned_is_compared_all_the_same_p14(pinned: list[str]) -> None:
    pinned.append("node1")
    assert trust("--yes") is None
    refused = trust("--fingerprint", "SHA256:other")
    assert isinstance(refused, CubeError)
    assert "It is pinned already" in str(refused)
