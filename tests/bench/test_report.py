"""What the benchmark's tables say of figures. No test measures anything."""

import json
from pathlib import Path

from tests.bench import images_report, ingress_report
from tests.bench.facts import Facts
from tests.bench.measure import Collection, Figure, Sample
from tests.bench.recovery_report import as_section, section_of, with_section
from tests.bench.report import HOW, as_json, figures_of, table

FACTS = Facts(day="2026-11-21", machine="a machine", versions={"cube": "1"})


def figure(contestant: str, *runs: float, benchmark: str = "deploy") -> Figure:
    ones = [1.0] * len(runs)
    return Figure(benchmark=benchmark, contestant=contestant, runs=runs, cpu=ones, load=ones)


def test_a_row_has_the_median_the_extremes_and_the_ratio_to_cube() -> None:
    text = table([figure("cube", 2, 9, 4), figure("pyinfra", 6)])
    assert "| cube | 4.00 s | 2.00 s | 9.00 s | 1.00 s | 1.00 |" in text
    assert "| pyinfra | 6.00 s | 6.00 s | 6.00 s | 1.00 s | 1.50 |" in text


def test_an_aim_that_is_missed_is_said_to_be_missed() -> None:
    assert "cube at most 0.60 s | 0.70 | **missed** |" in table([figure("cube", 0.7, benchmark="again")])
    assert "cube at most 0.60 s | 0.60 | met |" in table([figure("cube", 0.6, benchmark="again")])


def test_an_aim_beside_another_is_a_ratio_of_medians() -> None:
    text = table([figure("cube", 5), figure("docker run by each node", 4)])
    assert "at most 1.00 times docker run by each node | 1.25 | **missed** |" in text


def test_an_aim_whose_contestants_were_not_measured_is_left_out() -> None:
    assert "at most" not in table([figure("cube", 5)])


def test_every_single_run_is_kept() -> None:
    collection = Collection()
    for wall in (1.0, 2.0):
        collection.add("deploy", "cube", Sample(started=0, wall=wall, cpu=0.5, load=0, output=""))
    kept = json.loads(as_json(collection.figures(), FACTS))
    assert kept["machine"] == "a machine"
    assert [(each["name"], each["unit"], each["runs"]) for each in kept["results"]] == [
        ("deploy: cube", "s", [1.0, 2.0])
    ]


def test_what_was_kept_of_another_day_is_read_again() -> None:
    kept = [figure("cube", 5, 6), figure("Docker Swarm", 3, benchmark="a dead node, 3 nodes")]
    assert as_section(figures_of(as_json(kept, FACTS))) == as_section(kept)


def test_the_section_on_recovery_takes_the_place_of_an_earlier_one_and_outlives_the_rest() -> None:
    old, new = (as_section([figure(name, 3.0, benchmark="a dead node")]) for name in ("old", "new"))
    page = with_section(with_section("# Benchmarks\n", old), new)
    assert page.count("## Recovery") == 1
    assert "| a dead node | new | 3.0 s | 3.0 s | 3.0 s | 1 |" in page
    assert with_section("# Others\n", section_of(page)) == page.replace("# Benchmarks", "# Others")
    assert with_section("# Others\n", section_of("# Benchmarks\n")).strip() == "# Others"


def test_a_push_is_told_by_medians_with_what_the_nodes_received() -> None:
    runs = [
        images_report.Push(
            benchmark="1 node",
            contestant="cube",
            seconds=seconds,
            cpu=1.0,
            received=int(seconds * 1e5),
            sent=int(seconds * 1e4),
        )
        for seconds in (1.0, 9.0, 2.0)
    ]
    section = images_report.as_section(runs, "a machine")
    assert "| 1 node | cube | 2.0 s | 1.0 s | 200 kB | 20 kB |" in section
    page = images_report.with_section("# Images\n\nText.\n\n## What it costs\n\nold\n", section)
    assert page.startswith("# Images\n\nText.\n\n## What it costs\n\n|")
    assert "old" not in page


def test_the_table_of_pushes_says_what_its_runs_say_and_how_to_make_as_many() -> None:
    docs = Path(__file__).parents[2] / "docs"
    kept = json.loads((docs / "benchmarks" / "images.json").read_text())
    runs = [images_report.Push(**each) for each in kept["runs"]]
    page = (docs / "images.md").read_text()
    assert images_report.with_section(page, images_report.as_section(runs, kept["machine"])) == page
    most = max(int(each.benchmark.split()[-2]) for each in runs)
    assert f"`NODES={most} make bench-images`" in page


def test_the_page_of_benchmarks_says_how_it_was_measured_and_where_others_are() -> None:
    assert HOW in (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()


def test_the_table_of_lost_requests_says_what_its_runs_say() -> None:
    docs = Path(__file__).parents[2] / "docs"
    kept = json.loads((docs / "benchmarks" / "ingress.json").read_text())
    runs = [ingress_report.Update(**each) for each in kept["runs"]]
    page = (docs / "templates.md").read_text()
    section = ingress_report.as_section(runs, kept["machine"])
    assert ingress_report.with_section(page, section) == page
    assert ingress_report.with_section("# Files\n", section).count(ingress_report.TITLE) == 1
    lost = sum(each.lost_new + each.lost_kept for each in runs if each.contestant == "cube")
    assert lost == 0
