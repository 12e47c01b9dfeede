"""Traces of other clusters: read row by row, placed as the three steps would, told and drawn."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.cli.replayed import draw
from cube.errors import InputError
from cube.model.resources import Resources
from cube.scheduler.algorithms import ALGORITHMS
from cube.scheduler.fleet import NodeByNode
from cube.whatif import trace
from cube.whatif.trace import places_of, read_trace, replay

MIB = 2**20
AMOUNTS = st.builds(Resources, cpu=st.integers(0, 8000), memory=st.integers(0, 16 * 2**30))


def test_both_kinds_of_columns_are_read() -> None:
    openb = list(read_trace(["sn,cpu_milli,memory_mib\n", "a,500,2\n"], "x"))
    azure = list(read_trace(["vm_id,cores,memory_gb\n", "0,8.0,1.75\n"], "x"))
    assert openb == [Resources(cpu=500, memory=2 * MIB)]
    assert azure == [Resources(cpu=8000, memory=1792 * MIB)]


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("", "x:1", "no column cpu_milli or cores"),
        ("cpu_milli,gpu\n1,2\n", "x:1", "no column memory_mib or memory_gb"),
        ("cpu_milli,memory_mib\n1,2\n3\n", "x:3", "1 columns"),
        ("cpu_milli,memory_mib\n1,much\n", "x:2", "memory_mib is 'much'"),
        ("cpu_milli,memory_mib\n-1,2\n", "x:2", "cpu_milli is '-1'"),
        ("cpu_milli,memory_mib\nnan,2\n", "x:2", "cpu_milli is 'nan'"),
        ("cpu_milli,memory_mib\ninf,2\n", "x:2", "cpu_milli is 'inf'"),
        ('cpu_milli,memory_mib\n"1,2\n', "x:2", "no CSV"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line(text: str, where: str, what: str) -> None:
    with pytest.raises(InputError) as told:
        list(read_trace(text.splitlines(keepends=True), "x"))
    assert (told.value.where, what in told.value.what) == (where, True)


def test_a_file_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "MOST_ROWS", 3)
    with pytest.raises(InputError, match="more than 3 rows"):
        list(read_trace(["cores,memory_gb\n", *["1,1\n"] * 4], "x"))


@settings(max_examples=40)
@given(
    st.lists(AMOUNTS, min_size=1, max_size=6),
    st.lists(AMOUNTS, min_size=1, max_size=30),
    st.sampled_from(["tight", "spread", "epvm", "roundrobin"]),
)
def test_a_replay_places_as_the_naive_three_steps_do_and_never_overcommits_p3(
    nodes: list[Resources], tasks: list[Resources], name: str
) -> None:
    places = places_of(ALGORITHMS[name], nodes, tasks)
    fleet = NodeByNode(ALGORITHMS[name], {state.node.name: state for state in trace._fleet(nodes)})
    naive = [fleet.place(request).node for request in trace._requests(tasks)]
    assert [None if at is None else f"node{at + 1}" for at in places] == naive
    for at, node in enumerate(nodes):
        taken = [task for task, place in zip(tasks, places, strict=True) if place == at]
        assert sum(task.cpu for task in taken) <= node.cpu
        assert sum(task.memory for task in taken) <= node.memory


def test_the_figures_are_those_of_the_first_failure_and_of_the_end() -> None:
    nodes = [Resources(cpu=4000, memory=4 * MIB)]
    tasks = [Resources(cpu=1000, memory=2 * MIB), Resources(cpu=9000), Resources(cpu=3000, memory=MIB)]
    found = replay(places_of(ALGORITHMS["tight"], nodes, tasks), nodes, tasks)
    assert (found.placed, found.pending, found.nodes_used, found.first_failure) == (2, 1, 1, 1)
    assert (found.at_failure, found.at_end) == ((0.25, 0.5), (1.0, 0.75))


def test_the_course_tells_how_many_nodes_each_algorithm_has_begun_as_tasks_arrive() -> None:
    nodes, tasks = [Resources(cpu=4000, memory=4 * MIB)] * 3, [Resources(cpu=1000, memory=MIB)] * 3
    found = {
        name: replay(places_of(ALGORITHMS[name], nodes, tasks), nodes, tasks) for name in ("tight", "spread")
    }
    assert found["tight"].course == ((0, 0), (1, 1), (2, 1), (3, 1))
    assert found["spread"].course == ((0, 0), (1, 1), (2, 2), (3, 3))


def simulate(*words: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "cube.cli.main", "simulate", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_plays_a_trace_without_any_inventory(tmp_path: Path) -> None:
    nodes, tasks = tmp_path / "nodes.csv", tmp_path / "tasks.csv"
    nodes.write_text("cores,memory_gb\n4,8\n4,8\n")
    tasks.write_text("cores,memory_gb\n2,4\n2,4\n5,1\n")
    done = simulate("--trace", tasks, "--nodes", nodes, "--scheduler", "tight,spread,batch")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[1][:5] == ["tight", "2", "1", "1", "2"]
    assert rows[2][:5] == ["spread", "2", "1", "2", "2"]
    assert rows[3][:4] == ["batch", "2", "1", "1"]


def test_a_plot_without_matplotlib_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError) as told:
        draw({}, tmp_path / "plot.png")
    assert "cube[plot]" in told.value.cure


def test_a_plot_is_a_png(tmp_path: Path) -> None:
    found = replay([0], [Resources(cpu=4000, memory=MIB)], [Resources(cpu=1000)])
    draw({"tight": found}, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "words",
    [
        ["--plot", "x.png", "--n-plus-1"],
        ["--trace", "missing.csv", "--nodes", "missing.csv"],
        ["--trace", "missing.csv"],
        ["--trace", "missing.csv", "--lose", "node1"],
        ["--trace", "missing.csv", "--nodes", "missing.csv", "--scheduler", "none"],
    ],
)
def test_what_does_not_belong_together_or_is_not_there_is_bad_input(words: list[str]) -> None:
    done = simulate(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cube: ")
