"""`cube volume` on real nodes: what was written on one is read on another, and nothing half is whole."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.lab.desk import Desk

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("fleet")]

KEEPER = """
job: keeper
groups:
  main:
    image: cube-busybox:1
    command: [sleep, "100000"]
    memory: 32MiB
    stop: {grace: 1s}
    volumes: [{source: kept, target: /kept, backup: {cron: "0 3 * * *", to: "WHERE", keep: 1}}]
    constraints: ["node.name = NODE"]
"""

FILL = """
cd /kept; mkdir -m 700 deep; echo hello >deep/a; ln deep/a hard; ln -s deep/a soft; mkfifo pipe
head -c 3000000 /dev/urandom >noise; truncate -s 20M sparse; chown -R 999:998 .; chmod 2750 .
touch -d 2020-01-01 deep/a
"""

FACTS = "cd /kept; find . | sort | xargs ls -lnd; find . -type f | sort | xargs sha256sum"


IT_FILLS = "docker ps -aq --filter label=cube.carrier.writes=1 | grep ."
DOOMED = "/var/lib/docker/volumes/kept/_data/doomed"
IT_MENDS = f'[ -e {DOOMED} ] && was=1; [ "$was" ] && ! [ -e {DOOMED} ] && echo so'
FREEZE = "until {}; do sleep 0.02; done; pkill -STOP -x dockerd"


def keeper(desk: Desk, *, to: str = "/srv/backups") -> None:
    path = desk.folder / "keeper.yml"
    path.write_text(KEEPER.replace("NODE", desk.nodes[0].name).replace("WHERE", to))
    desk.cube("deploy", str(path))


def in_volume(desk: Desk, node: int, script: str) -> list[str]:
    """What a shell says that has the volume."""
    return desk.asked(
        node, "docker", "run", "--rm", "-v", "kept:/kept", "cube-busybox:1", "sh", "-ec", script
    )


def carriers(desk: Desk, node: int) -> list[str]:
    return desk.asked(node, "docker", "ps", "-aq", "--filter", "label=cube.carrier")


def kept(desk: Desk) -> Path:
    (row,) = desk.data("volume", "backup", "kept", "--keep", "1")
    return desk.folder / str(row["path"])


def killed_once(moment: str, desk: Desk, node: int, words: tuple[str, ...]) -> None:
    """That node's engine is frozen at the moment, and Cube killed then."""
    watcher = subprocess.Popen(
        ["docker", "exec", desk.nodes[node].container, "sh", "-c", FREEZE.format(moment)],
        stdout=subprocess.PIPE,
    )
    words_of_it = desk.command(*words)
    filling = subprocess.Popen(words_of_it, cwd=desk.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert watcher.communicate(timeout=30)[0]
        assert filling.poll() is None
    finally:
        filling.kill()
        filling.communicate()
        desk.on(node, "pkill", "-CONT", "-x", "dockerd")


def test_what_was_written_on_one_node_is_restored_on_another_and_is_the_same(desk: Desk) -> None:
    first, second = (node.name for node in desk.nodes[:2])
    keeper(desk)
    in_volume(desk, 0, FILL)
    before = in_volume(desk, 0, FACTS)
    done = desk.cube("volume", "backup", "kept")
    assert "keeper/main[0] ran meanwhile" in done.stderr
    (row,) = desk.data("volume", "ls", "keeper")
    assert (row["node"], row["tasks"], row["backups"]) == (first, "keeper/main[0]", 1)
    archive = row["archives"][0]
    desk.cube("volume", "rm", "kept", "--node", first, "--yes", code=2)
    desk.cube("volume", "restore", "kept", "--from", archive, "--replace", code=2)
    desk.on(1, "docker", "volume", "create", "--label", "mine=yes", "kept")
    desk.cube("volume", "restore", "kept", "--from", archive, "--node", second)
    assert in_volume(desk, 1, FACTS) == before
    in_volume(desk, 1, "echo more >/kept/more")
    refused = desk.cube("volume", "restore", "kept", "--from", archive, "--node", second, code=2)
    assert "is not empty" in refused.stderr
    desk.cube("volume", "restore", "kept", "--from", archive, "--node", second, "--replace")
    assert in_volume(desk, 1, FACTS) == before
    assert desk.on(1, "docker", "volume", "inspect", "--format", "{{.Labels.mine}}", "kept") == "yes"
    desk.cube("stop", "keeper")
    lost = desk.cube("volume", "rm", "kept", "--node", first, "--yes")
    assert archive in lost.stdout
    assert [row["node"] for row in desk.data("volume", "ls")] == [second]
    assert [carriers(desk, number) for number in range(3)] == [[], [], []]


def vault(desk: Desk, home: Path) -> str:
    """The URL of a folder on the third node, of an account there that may do nothing but SFTP."""
    far, key = desk.nodes[2], desk.inventory.with_suffix("") / "id_ed25519"
    setup = """
    id keeper >/dev/null 2>&1 || useradd --create-home keeper
    mkdir -p ~keeper/.ssh; rm -rf ~keeper/nightly
    sed 's/^/restrict,command="internal-sftp" /' ~/.ssh/authorized_keys >~keeper/.ssh/authorized_keys
    chown -R keeper: ~keeper; chmod -R go= ~keeper/.ssh
    """
    desk.on(2, "bash", "-ec", setup)
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text(f"Host vault\n  HostName {far.address}\n  IdentityFile {key}\n")
    (home / ".ssh" / "known_hosts").write_text(f"{far.address} {far.host_key}\n")
    return "sftp://keeper@vault/~/nightly"


def test_a_sweep_keeps_what_is_due_once_on_another_machine_and_tells_what_came_of_it(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    first, second, url = desk.nodes[0].name, desk.nodes[1].name, vault(desk, tmp_path)
    keeper(desk, to=url)
    in_volume(desk, 0, "echo hello >/kept/a")
    there = f"/home/keeper/nightly/{desk.inventory.stem}"
    old = f"{there}/kept@{first}@20200101T030000Z.tar.gz"
    desk.on(2, "su", "keeper", "-c", f"mkdir -p {there}; touch {old} {old}.sha256")
    done = desk.cube("reconcile")
    assert f"backup of kept on {first}: 1 files, 6 bytes" in done.stdout
    assert old not in desk.asked(2, "find", there, "-type", "f")
    (row,) = desk.data("volume", "ls", "keeper")
    (archive,) = row["archives"]
    assert archive.startswith(f"{url}/{desk.inventory.stem}/kept@{first}@")
    assert desk.asked(2, "sh", "-ec", f"cd {there}; sha256sum -c *.sha256") == [f"{Path(archive).name}: OK"]
    assert desk.cube("reconcile").stdout == ""
    assert f"backup of kept on {first}: 1 files" in desk.cube("events", "--job", "keeper").stdout
    desk.cube("volume", "restore", "kept", "--from", archive, "--node", second)
    assert in_volume(desk, 1, "cat /kept/a") == ["hello"]
    (made,) = desk.data("volume", "backup", "kept", "--node", first, "--to", url, "--keep", "1")
    assert made["removed"] == [archive]
    (tmp_path / ".ssh" / "known_hosts").unlink()
    unseen = desk.cube("volume", "ls", "keeper", "-o", "json", code=3)
    assert json.loads(unseen.stdout)[0]["backups"] is None
    assert "sftp keeper@vault" in unseen.stderr


def test_a_damaged_archive_touches_nothing_and_a_killed_restore_is_done_again_p9(desk: Desk) -> None:
    second = desk.nodes[1].name
    in_volume(desk, 0, "head -c 25000000 /dev/urandom >/kept/noise")
    before = in_volume(desk, 0, FACTS)
    archive = kept(desk)
    good = archive.read_bytes()
    archive.write_bytes(good[:1000] + bytes([good[1000] ^ 1]) + good[1001:])
    words = ("volume", "restore", "kept", "--from", str(archive), "--node", second)
    assert str(archive) in desk.cube(*words, code=2).stderr
    assert desk.data("volume", "ls", "--all")[0]["node"] != second
    archive.write_bytes(good)
    killed_once(IT_FILLS, desk, 1, words)
    (half,) = (row for row in desk.data("volume", "ls") if row["node"] == second)
    assert half["is_half"]
    assert "is not whole" in desk.cube("volume", "backup", "kept", "--node", second, code=2).stderr
    desk.cube(*words)
    assert in_volume(desk, 1, FACTS) == before
    assert carriers(desk, 1) == []


SERVES = """
job: serves
groups:
  main:
    image: cube-busybox:1
    command:
      - sh
      - -c
      - |
        grep -qxf /etc/where /kept/refused && exit 1
        touch /kept/doomed
        trap "rm /kept/doomed; exit" TERM
        while date >/kept/clock; do sleep 0.1; done
    memory: 32MiB
    stop: {grace: 5s}
    restart: {attempts: 0}
    volumes: ["kept:/kept"]
    templates: {/etc/where: where.j2}
    update: {min_healthy_time: 500ms, healthy_deadline: 5s}
"""


def serving(desk: Desk) -> tuple[str, str, str]:
    """The name of its task, where it runs, and another node. It fails on a node that its data names.

    It writes all the while, and removes a file when it is stopped.
    """
    (desk.folder / "templates").mkdir()
    (desk.folder / "templates" / "where.j2").write_text("{{ node.name }}\n")
    path = desk.folder / "serves.yml"
    path.write_text(SERVES)
    desk.cube("deploy", str(path))
    (row,) = (row for row in desk.data("status", "serves") if row["state"] == "Running")
    other = next(node.name for node in desk.nodes if node.name != row["node"])
    return row["task"], row["node"], other


def number_of(desk: Desk, name: str) -> int:
    return next(number for number, node in enumerate(desk.nodes) if node.name == name)


def homes(desk: Desk) -> list[str]:
    return [row["node"] for row in desk.data("status", "serves") if row["state"] == "Running"]


def test_a_task_moves_with_what_it_has_written_or_runs_again_where_it_was_p9(desk: Desk) -> None:
    task, home, other = serving(desk)
    old, new = number_of(desk, home), number_of(desk, other)
    in_volume(desk, old, FILL)
    assert "--with-data" in desk.cube("move", task, "--to", other, code=2).stderr
    (leaver,) = desk.data("node", "drain", home, "--plan")
    assert (leaver["task"], leaver["volumes"], other in leaver["nodes"]) == (task, "kept", True)
    assert leaver["bytes"] > 3_000_000
    assert f"leave their data on {home}" in desk.cube("node", "drain", home, code=2).stderr
    killed_once(IT_FILLS, desk, new, ("move", task, "--to", other, "--with-data"))
    assert homes(desk) == [home]
    assert in_volume(desk, old, "ls /kept/doomed") == ["/kept/doomed"]
    killed_once(IT_MENDS, desk, new, ("move", task, "--to", other, "--with-data"))
    assert homes(desk) == []
    desk.cube("reconcile")
    assert homes(desk) == [home]
    done = desk.cube("move", task, "--to", other, "--with-data", "--keep-old", "0s")
    assert "copied kept while its task runs: 5 files" in done.stdout
    assert "copied and compared kept: 4 files" in done.stdout
    assert re.search("; after the stop 2 entries with [0-9]{2} bytes, 1 removed", done.stdout)
    assert f"kept is kept on {home}, too, until 20" in done.stdout
    assert homes(desk) == [other]
    assert carriers(desk, old) == carriers(desk, new) == []
    quiet = FACTS.replace("find .", "find . ! -name clock ! -name doomed ! -name .")
    assert in_volume(desk, old, quiet) == in_volume(desk, new, quiet) != []
    left = {
        row["node"]: row["tasks"].split("; kept until 20")[0] for row in desk.data("volume", "ls", "serves")
    }
    assert left == {home: f"left behind: its tasks are on {other}", other: task}
    assert "is not empty" in desk.cube("move", task, "--to", home, "--with-data", code=2).stderr
    desk.cube("reconcile")
    assert [row["node"] for row in desk.data("volume", "ls")] == [other]
    assert f"kept removed from {home}" in desk.cube("events", "--job", "serves").stdout
    in_volume(desk, new, f"echo {home} >/kept/refused")
    failed = desk.cube("move", task, "--to", home, "--with-data", code=1)
    assert f"not moved {task} to {home}" in failed.stdout
    assert homes(desk) == [other]
    assert in_volume(desk, new, "cat /kept/refused") == [home]


def test_a_slot_waits_for_the_node_that_has_its_data_until_that_is_given_up(desk: Desk) -> None:
    _, home, _ = serving(desk)
    desk.cube("stop", "serves")
    desk.cube("node", "cordon", home)
    waits = desk.cube("deploy", str(desk.folder / "serves.yml"), code=1)
    assert f"its data is on {home}, which cannot take it: it is cordoned" in waits.stdout
    assert homes(desk) == []
    desk.cube("node", "uncordon", home)
    desk.cube("reconcile")
    assert homes(desk) == [home]
    desk.cube("node", "drain", home, "--leave-data")
    assert homes(desk) not in ([], [home])
