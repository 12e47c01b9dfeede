"""`make bench`: measures Cube beside others on labs of its own and prints a table.

A whole run writes docs/benchmarks.md and docs/benchmarks/fleet.json. In the environment, RUNS (default 5)
is how often everything is repeated; ONLY names the parts to run (deploy, lanes, commands, read), and then
nothing is written; PEERS is the virtual environment of pyinfra and Ansible.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench import contestants as who
from tests.bench.contestants import Contestant, Kit
from tests.bench.facts import facts
from tests.bench.fleet import EMPTY, fleet
from tests.bench.measure import Collection, Command, run
from tests.bench.recovery_report import section_of, with_section
from tests.bench.report import as_json, markdown, table

DOCS = Path(__file__).parents[2] / "docs"
CALM = 4.0
"""Seconds between two contestants, for the engines to finish what they do behind the last one's back."""

SETTLING = 0.3
"""Seconds for each new node, for its engine to finish what it does after its start."""

PYTHON_FOR_ANSIBLE = (
    "command -v python3 >/dev/null || (apt-get update -q;"
    " DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends python3 python3-requests)"
)


def main() -> None:
    """Run the parts that are asked for, print the table, and write it where all of them were run."""
    runs, parts = int(os.environ.get("RUNS", "5")), _parts(os.environ.get("ONLY", ""))
    collection = Collection()
    with tempfile.TemporaryDirectory(prefix="cube-bench-") as folder:
        _measure(collection, runs, parts, Path(folder))
    figures = collection.figures()
    print("\n" + table(figures))
    if parts == list(_FLEETS):
        found = facts(_peers())
        (DOCS / "benchmarks").mkdir(exist_ok=True)
        (DOCS / "benchmarks" / "fleet.json").write_text(as_json(figures, found))
        page = DOCS / "benchmarks.md"
        page.write_text(with_section(markdown(figures, found), section_of(page.read_text())))
        print("written: docs/benchmarks.md, docs/benchmarks/fleet.json")


def _measure(collection: Collection, runs: int, parts: list[str], folder: Path) -> None:
    """Each part on the fleet that it needs; a fleet is brought up once for all parts that need it."""
    for nodes in sorted({_FLEETS[part] for part in parts}):
        with fleet(f"bench{nodes}", nodes, folder) as lab:
            time.sleep(nodes * SETTLING)
            kit = Kit(cube=Path(sys.executable).with_name("cube"), peers=_peers(), fleet=lab)
            for part in parts:
                if _FLEETS[part] == nodes:
                    _PARTS[part](collection, runs, kit)


def _deploy(collection: Collection, runs: int, kit: Kit) -> None:
    kit.fleet.everywhere(PYTHON_FOR_ANSIBLE)
    rivals = (
        who.cube(kit),
        who.own_cli(kit),
        who.own_cli(kit, limits=who.LIMITS),
        who.pyinfra(kit),
        who.ansible(kit),
        who.swarm(kit),
    )
    _compete(rivals, "deploy", collection, runs, kit)


def _lanes(collection: Collection, runs: int, kit: Kit) -> None:
    rivals = [who.cube(kit, lanes=number) for number in (1, 2, 4)]
    _compete(rivals, "lanes", collection, runs, kit)


def _compete(
    rivals: Sequence[Contestant],
    benchmark: str,
    collection: Collection,
    runs: int,
    kit: Kit,
) -> None:
    """One after another, there and back, so that what drifts meets all, and none always follows the same."""
    for turn in range(runs):
        for rival in rivals if turn % 2 == 0 else reversed(rivals):
            kit.fleet.everywhere(EMPTY)
            rival.before()
            time.sleep(CALM)
            try:
                _one(rival, benchmark, collection, kit)
            finally:
                rival.after()
                kit.fleet.everywhere(EMPTY)


def _one(rival: Contestant, benchmark: str, collection: Collection, kit: Kit) -> None:
    sample = run(rival.deploy)
    collection.add(benchmark, rival.name, sample)
    _check(rival, kit)
    if rival.running is not None:
        all_ran = rival.running() - sample.started
        collection.add(benchmark, rival.name.replace("it returns", "all run"), sample, all_ran)
    if rival.again is not None:
        time.sleep(CALM)
        collection.add("again", rival.name, run(rival.again))
        _check(rival, kit)


def _check(rival: Contestant, kit: Kit) -> None:
    """A contestant that did not do the work is not measured."""
    if (count := kit.fleet.running()) != kit.tasks:
        raise SystemExit(f"bench: {rival.name}: {count} containers run, not {kit.tasks}")


def _read(collection: Collection, runs: int, kit: Kit) -> None:
    inventory = kit.fleet.lab.inventory
    nodes = kit.command(kit.cube, "nodes", "-i", inventory)
    warm = kit.command(kit.cube.with_name("python"), Path(__file__).with_name("warm.py"), inventory, 1)
    for _ in range(runs):
        kit.forget()
        collection.add("read", "cube nodes, the first time", run(nodes))
        collection.add("read", "cube nodes, later", run(nodes))
        sample = run(warm)
        collection.add("read", "cube, connections live", sample, json.loads(sample.output)[0])
        collection.add("read", "pyinfra", run(who.pyinfra_read(kit)))
        collection.add("read", "Ansible raw", run(who.ansible_read(kit)))
        collection.add("read", "Ansible raw, connections kept", run(who.ansible_read(kit)))
        who.hang_up(kit)


def _commands(collection: Collection, runs: int, kit: Kit) -> None:
    """Small commands, more often, on a fleet that runs the job."""
    rival = who.cube(kit)
    run(rival.deploy)
    inventory = ("-i", kit.fleet.lab.inventory)
    commands: Mapping[str, Command] = {
        "python -c pass": kit.command(kit.cube.with_name("python"), "-c", "pass"),
        "cube --help": kit.command(kit.cube, "--help"),
        "cube status": kit.command(kit.cube, "status", *inventory),
        "cube nodes": kit.command(kit.cube, "nodes", *inventory),
        "cube deploy, nothing to do": rival.deploy,
    }
    for _ in range(runs * 2):
        for name, command in commands.items():
            collection.add("commands", name, run(command))
    kit.fleet.everywhere(EMPTY)


_FLEETS = {"deploy": 3, "lanes": 3, "commands": 3, "read": 100}
"""How many nodes each part needs."""

_PARTS: Mapping[str, Callable[[Collection, int, Kit], None]] = {
    "deploy": _deploy,
    "lanes": _lanes,
    "commands": _commands,
    "read": _read,
}


def _parts(only: str) -> list[str]:
    asked = only.replace(",", " ").split() or list(_FLEETS)
    if strange := [part for part in asked if part not in _FLEETS]:
        raise SystemExit(f"bench: there is no part {strange[0]!r}; there are {', '.join(_FLEETS)}")
    return asked


def _peers() -> Path:
    return Path(os.environ["PEERS"]).absolute() / "bin"


if __name__ == "__main__":
    main()
