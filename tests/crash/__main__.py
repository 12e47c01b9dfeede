"""`make crash`: every crash point of every scenario, each scenario on a lab of its own, three at a time.

Writes docs/benchmarks/crash.json where all scenarios were run; names as arguments choose some of them.
Its last line says how many points passed and how many failed; it ends with 1 if any did.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import typer

from cube.lab.engine import LOCAL, engine
from cube.lab.fleet import LabSpec
from cube.lab.lab import down, up
from tests.crash import child
from tests.crash.scenarios import SCENARIOS, Scenario
from tests.crash.trial import Result, Trial, try_all
from tests.crash.yard import Yard
from tests.forks import forks_of
from tests.lab.desk import Desk

FILE = Path(__file__).parents[2] / "docs" / "benchmarks" / "crash.json"


AT_ONCE = 3
"""Scenarios: most of a trial is waiting."""


def main() -> None:
    """Run those that are named, or all."""
    chosen = [found for found in SCENARIOS if found.name in sys.argv[1:] or not sys.argv[1:]]
    if len(chosen) < len(sys.argv[1:]):
        raise SystemExit(f"crash: the scenarios are {', '.join(found.name for found in SCENARIOS)}")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(_run, chosen))
    typer.echo("\n".join(_table(results)))
    if chosen == list(SCENARIOS):
        FILE.write_text(_as_json(results))
    failed = sum(len(result.failed) for result in results)
    typer.echo(f"{sum(len(result.trials) for result in results) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


def _run(scenario: Scenario) -> Result:
    name = f"crash-{os.getpid()}-{SCENARIOS.index(scenario)}"
    with tempfile.TemporaryDirectory(prefix="cube-crash-") as folder, _yard(Path(folder), name) as yard:
        return try_all(scenario, yard, tell=partial(_tell, scenario.name))


@contextmanager
def _yard(folder: Path, name: str) -> Iterator[Yard]:
    with engine(LOCAL) as client:
        spec = LabSpec(name=name, nodes=2, inventory=folder / "crash.yml")
        try:
            lab = up(client, spec, cache=Path.home() / ".cache" / "cube", say=lambda _: None)
            with forks_of(child.__name__) as forks:
                nodes = lab.nodes
                desk = Desk(folder=folder, inventory=lab.inventory, engine=client, nodes=nodes, forks=forks)
                yield Yard(desk=desk)
        finally:
            down(client, name)


def _tell(scenario: str, trial: Trial) -> None:
    typer.echo(f"{scenario + ':':<20} {trial.point:<50} {'; '.join(trial.wrong) or 'ok'}")


def _table(results: Sequence[Result]) -> Iterator[str]:
    yield from ("| scenario | crash points | passed | seconds |", "| --- | --: | --: | --: |")
    for result in results:
        points = len(result.trials)
        passed = points - len(result.failed)
        yield f"| {result.scenario} | {points} | {passed} | {result.seconds:.0f} |"


def _as_json(results: Sequence[Result]) -> str:
    found = [
        {
            "scenario": result.scenario,
            "points": [trial.point for trial in result.trials],
            "failed": {trial.point: list(trial.wrong) for trial in result.failed},
            "sweeps_at_most": max(trial.sweeps for trial in result.trials),
            "seconds": round(result.seconds, 1),
        }
        for result in results
    ]
    return json.dumps(found, indent=1) + "\n"


if __name__ == "__main__":
    main()
