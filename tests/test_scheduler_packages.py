"""Algorithms of other packages that are really installed: folders on the path, as pip leaves them."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from cube.errors import InputError
from cube.model.action import Place, Wait
from cube.reconciler.reconcile import reconcile
from cube.scheduler.algorithms import ALGORITHMS, Algorithms, name_of
from cube.scheduler.board import Board, suits
from cube.scheduler.fleet import NodeByNode
from cube.scheduler.terms import WHOLE
from cube.store.store import open_store
from tests import own_algorithm
from tests.build import GIB, NOW, job, seen, spec, world
from tests.test_scheduler_terms import request, state

TIGHT = ALGORITHMS["tight"]
OWN = Path(own_algorithm.__file__).read_text()
BROKEN = "import no_such_library\n"

Install = Callable[..., Algorithms]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a package that brings its module's `scheduler` by some names; it and `tight` are known then."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(package: str, text: str, names: Sequence[str]) -> Algorithms:
        info, module = tmp_path / f"{package}-1.0.dist-info", f"module_of_{package}"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = "".join(f"{name} = {module}:scheduler\n" for name in names)
        (info / "entry_points.txt").write_text(f"[cube.schedulers]\n{lines}")
        (tmp_path / f"{module}.py").write_text(text)
        sys.modules.pop(module, None)
        known = Algorithms({"tight": TIGHT})
        monkeypatch.setattr("cube.scheduler.algorithms.ALGORITHMS", known)
        return known

    return install


def test_an_installed_one_places_the_jobs_that_name_it(install: Install) -> None:
    install("roomy", OWN, ["roomiest"])
    given = world(jobs=[job(scheduler="roomiest")], observed=[seen("node1"), seen("node2", memory=64 * GIB)])
    (action,) = reconcile(given, TIGHT).actions
    assert isinstance(action, Place)
    assert (action.node, action.decision.scheduler) == ("node2", "roomiest")


def test_an_installed_one_is_chosen_by_name_on_the_command_line(install: Install, tmp_path: Path) -> None:
    install("roomy", OWN, ["roomiest"])
    (tmp_path / "test.yml").write_text("all: {vars: {cube_cluster: test}, hosts: {node1: {}, node2: {}}}\n")
    with closing(open_store(tmp_path / "test.db")) as store:
        store.put_observations([seen("node1"), seen("node2", memory=64 * GIB)])
        store.put_job(job(task=spec()), now=NOW, actor="me", reason="deployed")
    place = ["-i", str(tmp_path / "test.yml"), "--state", str(tmp_path / "test.db")]
    argv = [sys.executable, "-m", "cube.cli.main", "simulate", "--scheduler", "roomiest", *place]
    path = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[1]}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=path)
    assert done.returncode == 0, done.stderr
    assert "placed anew by roomiest; nodes in use: 0 now, 1 then" in done.stdout


def test_one_that_cannot_be_loaded_is_told_with_its_package_and_why(install: Install) -> None:
    known = install("alphas", BROKEN, ["alpha"])
    says = (
        "'alpha' of alphas \\(module_of_alphas:scheduler\\) cannot be loaded: ModuleNotFoundError: No module"
    )
    with pytest.raises(InputError, match=says):
        known["alpha"]


def test_a_job_whose_algorithm_cannot_be_loaded_waits_alone(install: Install) -> None:
    install("alphas", BROKEN, ["alpha"])
    given = world(jobs=[job("odd", scheduler="alpha"), job("web")], observed=[seen("node1")])
    found = {action.slot.job: action for action in reconcile(given, TIGHT).actions if hasattr(action, "slot")}
    assert isinstance(found["web"], Place)
    assert isinstance(found["odd"], Wait)
    assert "cannot be loaded: ModuleNotFoundError: No module named 'no_such_library'" in found["odd"].reason


def test_to_name_one_loads_no_other(install: Install) -> None:
    install("alphas", BROKEN, ["alpha"])
    known = install("betas", OWN, ["beta"])
    assert list(known) == ["tight", "alpha", "beta"]
    assert name_of(known["beta"]) == "beta"
    assert name_of(own_algorithm.scheduler) == "Algorithm"
    assert "module_of_alphas" not in sys.modules


def test_of_two_packages_with_one_name_both_are_told(install: Install) -> None:
    install("alphas", OWN, ["same"])
    known = install("betas", OWN, ["same"])
    says = r"alphas \(module_of_alphas:scheduler\) and betas \(module_of_betas:scheduler\)"
    with pytest.raises(InputError, match=says):
        known["same"]


FORMULAS = {
    "2 - fit.used()[0]": [1.0, 1.0, 1.0],
    "fit.used()[0] - 2": [0.0, 0.0, 0.0],
    "fit.used()[0] * 3 - 0.75": [0.0, 0.75, 1.0],
    "fit.used()[0] * float('nan')": [0.0, 0.0, 0.0],
    "fit.used()[0] * float('inf')": [1.0, 1.0, 1.0],
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_is_held_to_0_to_1_the_same_for_one_node_and_in_arrays(
    install: Install, formula: str
) -> None:
    """The task asks a quarter of a node's CPU; promised there are nothing, a quarter and a half."""
    text = "from cube.scheduler.algorithms import Algorithm, ByFormula\nscheduler = Algorithm(ByFormula("
    scheduler = install("wild", f"{text}lambda fit: {formula}))\n", ["wild"])["wild"]
    nodes = {name: state(name, cpu=1000 * number) for number, name in enumerate("abc")}
    assert suits(scheduler)
    found = scheduler.rule.terms(request(), tuple(nodes.values()))
    assert [terms[0].points / WHOLE * 2 for terms in found.values()] == FORMULAS[formula]
    board = Board(scheduler, tuple(nodes.values()))
    scores = scheduler.score(request(), tuple(nodes.values()))
    assert [entry / WHOLE for entry in board.entries(request())] == list(scores.values())
    one_by_one = NodeByNode(scheduler, nodes)
    asked = [request() for _ in range(6)]
    names = [None if at is None else "abc"[at] for at in board.place_all(asked)]
    assert names == [one_by_one.place(found).node for found in asked]
