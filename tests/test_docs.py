"""The documentation says what is so: commands, options, states, keys, and a site that builds."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from cube.model.task import TRANSITIONS, State
from cube.reconciler.buckets import Bucket
from cube.reconciler.placement import FRESH
from cube.scheduler.algorithms import ALGORITHMS
from cube.store.transfer import LEFT_BEHIND, TABLES
from tests import cli_reference
from tests.bench import manager, soak
from tests.bench.scheduler_report import from_json, section, with_section
from tests.bench.scheduler_speed import MOST
from tests.test_scheduler_packing import ALLOWED

ROOT = Path(__file__).parent.parent
PAGES = sorted(ROOT.glob("docs/*.md"))
TEXTS = {path.name: path.read_text() for path in (*PAGES, ROOT / "README.md")}


def test_the_reference_of_commands_is_current() -> None:
    """Else run: python -m tests.cli_reference"""
    assert cli_reference.PAGE.read_text() == cli_reference.page()


@pytest.mark.parametrize(("name", "command"), list(cli_reference.commands()))
def test_every_command_has_an_example_and_every_option_a_word(name: str, command: object) -> None:
    described = command.help or ""  # type: ignore[attr-defined] # typer's own click has no public types
    assert "Example: " in described or "cube " in described, f"{name} shows no example"
    for parameter in command.params:  # type: ignore[attr-defined]
        assert parameter.help, f"{name} {parameter.name} is not explained"


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_every_command_that_a_page_names_exists(page: str) -> None:
    known = {tuple(name.split()[1:]) for name, _ in cli_reference.commands()}
    first, pairs = {words[0] for words in known}, {words[0] for words in known if len(words) == 2}
    for word, second in re.findall(r"^\$ cube ([a-z]+)(?: ([a-z]+))?", TEXTS[page], re.MULTILINE):
        assert word in first, f"{page}: cube {word}"
        assert word not in pairs or (word, second) in known, f"{page}: cube {word} {second}"


@pytest.mark.parametrize("page", sorted(TEXTS))
def test_every_file_that_a_page_links_to_exists(page: str) -> None:
    folder = ROOT if page == "README.md" else ROOT / "docs"
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", TEXTS[page]):
        assert (folder / link).exists(), f"{page} links to {link}"


def test_the_table_of_states_is_the_one_that_the_store_holds_to() -> None:
    rows = dict(re.findall(r"^\| (\(new\)|[A-Z]\w+) \| (.+?) \|$", TEXTS["tasks.md"], re.MULTILINE))
    for source, targets in TRANSITIONS.items():
        written = set(rows[source or "(new)"].replace("nothing", "").split(", ")) - {""}
        assert written == {target for target in targets if target != source}, source


@pytest.mark.parametrize("word", [*Bucket, *State, *ALGORITHMS])
def test_every_bucket_state_and_algorithm_is_explained(word: str) -> None:
    assert any(re.search(rf"\b{word}\b", TEXTS[page]) for page in ("tasks.md", "scheduling.md"))


def test_how_long_a_look_tells_how_busy_a_node_is_is_said() -> None:
    assert " ".join(TEXTS["scheduling.md"].split()).count(f"more than {FRESH:.0f} seconds") == 2


def test_every_exit_code_is_explained() -> None:
    for code in ("0", "1", "2", "3", "4", "130"):
        assert f"| {code} | " in TEXTS["errors.md"]


def test_the_tables_of_the_state_are_those_that_it_has() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", TEXTS["state.md"], re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"\w+", row)]
    assert sorted(listed) == sorted((*TABLES, *LEFT_BEHIND, "identity"))


def test_every_extra_that_is_to_be_installed_exists() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    sources = {path.name: path.read_text() for path in ROOT.glob("cube/**/*.py")}
    found = {
        name: words
        for name, text in {**TEXTS, **sources}.items()
        if (words := set(re.findall(r"pip install (?:-e )?'(?:cube|\.)?\[?([^']+?)\]?'", text)))
    }
    assert found
    for name, words in found.items():
        assert words <= {*extras}, name


def test_every_key_of_cube_s_in_an_inventory_is_explained() -> None:
    source = (ROOT / "cube" / "inventory" / "cluster.py").read_text()
    for key in set(re.findall(r'"(cube_[a-z_]+)"', source)):
        assert key in TEXTS["inventory.md"], key


def test_the_table_of_crash_points_is_that_of_the_last_whole_run() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text()
    for run in json.loads((ROOT / "docs" / "benchmarks" / "crash.json").read_text()):
        points = len(run["points"])
        assert f"| {run['scenario']} | {points} | {points - len(run['failed'])} |" in page


@pytest.mark.parametrize(("name", "bench"), [("manager", manager), ("soak", soak)])
def test_the_tables_of_the_manager_are_those_of_the_recorded_runs(name: str, bench: ModuleType) -> None:
    facts = json.loads((ROOT / "docs" / "benchmarks" / f"{name}.json").read_text())
    assert f"{bench.BEGIN}\n{bench.table(facts)}{bench.END}" in TEXTS["manager.md"]


def test_the_tables_of_the_scheduler_are_those_of_the_recorded_runs() -> None:
    text = (ROOT / "docs" / "benchmarks" / "scheduler.json").read_text()
    page, facts = (ROOT / "docs" / "scheduling.md").read_text(), json.loads(text)["machine"]
    assert with_section(page, section(from_json(text), facts)) == page


def test_what_is_said_of_the_scheduler_s_benchmark_is_what_it_does() -> None:
    page = " ".join(TEXTS["scheduling.md"].split())
    assert f"the smallest {MOST:,} of these tasks only" in page
    assert f"at most {ALLOWED - 1:.1%}".replace("%", " %") in page
    cited = re.findall(r"tests/[\w/]+\.(?:py|md)", page)
    assert cited
    assert all((ROOT / file).exists() for file in cited)


def test_every_seed_that_found_something_is_lived_through_again() -> None:
    kept = set(re.findall(r"^\d+", (ROOT / "tests" / "seeds.txt").read_text(), re.MULTILINE))
    told = re.findall(r"^\| ([\d, ]+) \| .+ \| .+ \|$", TEXTS["reliability.md"], re.MULTILINE)
    assert told
    assert {seed for seeds in told for seed in seeds.split(", ")} <= kept


def test_every_test_of_a_promise_names_it() -> None:
    """Whatever the table cites for a promise has its number, in a test's name or in its docstring."""
    rows = re.findall(r"^\| (P\d+) \| (.+) \|$", TEXTS["reliability.md"], re.MULTILINE)
    assert [number for number, _ in rows] == [f"P{number}" for number in range(1, 21)]
    for number, row in rows:
        *others, on_nodes = row.split("|")
        for cell, folder in (*((cell, "tests") for cell in others), (on_nodes, "tests/lab")):
            for cited in re.findall(r"`(tests/[\w/.]+|test_\w+\.py)`", cell):
                place = cited if "/" in cited else f"{folder}/{cited}"
                assert _names(ROOT / place, number), f"{place} names no {number}"


def _names(place: Path, promise: str) -> bool:
    """One of the tests there does."""
    files = sorted(place.rglob("test_*.py")) if place.is_dir() else [place]
    is_named = re.compile(rf"(?<![a-z0-9]){promise}(?![0-9])", re.IGNORECASE)
    return any(is_named.search(found.read_text()) for found in files)


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={"NO_MKDOCS_2_WARNING": "1", "DISABLE_MKDOCS_2_WARNING": "true", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "index.html").exists()
