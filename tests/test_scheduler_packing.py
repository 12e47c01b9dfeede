"""How tightly tasks are packed, on a sample of a real trace: it must not get worse unnoticed."""

from statistics import mean
from xml.etree.ElementTree import fromstring

import pytest

from tests.bench.scheduler_packing import (
    Packer,
    arriving,
    bound,
    identical,
    needed,
    nomad,
    online,
    planned,
)
from tests.bench.scheduler_plots import bars, lines
from tests.bench.scheduler_report import BEGIN, END, Result, as_json, from_json, section, with_section
from tests.bench.scheduler_speed import algorithm
from tests.bench.scheduler_traces import SAMPLES, openb

TRACE = openb(SAMPLES)
ALLOWED = 1.002
"""How much worse than what is recorded here may pass for an accident."""


@pytest.mark.parametrize(
    ("pack", "recorded"),
    [
        pytest.param(online(algorithm("tight")), 95.2, id="tight"),
        pytest.param(online(algorithm("binpack")), 95.4, id="binpack"),
        pytest.param(planned, 94.6, id="batch"),
    ],
)
def test_a_sample_of_a_real_trace_needs_no_more_nodes_than_it_did(pack: Packer, recorded: float) -> None:
    """If it is meant to: record the new mean over the seeds here."""
    assert mean(needed(pack, TRACE, seed) for seed in range(5)) <= recorded * ALLOWED


def test_the_default_needs_fewer_nodes_than_one_that_spreads() -> None:
    assert needed(online(algorithm("tight")), TRACE, 0) * 1.1 < needed(online(algorithm("spread")), TRACE, 0)


def test_no_fewer_nodes_than_the_bound_are_enough() -> None:
    tasks = [(1000, 1024)] * 10
    assert bound([(4000, 16384)] * 9, tasks) == 3
    assert identical(online(algorithm("tight")), (4000, 16384), tasks) == 3


def test_nomads_few_candidates_are_enough_for_nearly_the_packing_of_its_formula() -> None:
    assert 1 <= needed(nomad, TRACE, 0) / needed(online(algorithm("binpack")), TRACE, 0) < 1.02
    assert nomad([(1000, 1000)] * 3, [(500, 500)] * 7).count(None) == 1


def test_figures_take_the_place_of_older_ones() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    found = Result(table="speed", name="x", unit="/s", runs=[1.0, 3.0, 2.0], must=2.0, stretch=9.0)
    text = section([found], {"machine": "m", "python": "3"})
    assert "| x | 2 | 2 | 9 | must | 1 to 3 (3) |" in text
    assert with_section(with_section(page, "older"), text) == with_section(page, text)
    assert from_json(as_json([found], {})) == [found]


@pytest.mark.parametrize(
    ("must", "stretch", "is_most", "verdict"),
    [
        (2.0, 3.0, False, "must"),
        (2.1, 3.0, False, "**missed**"),
        (1.0, 2.0, False, "stretch"),
        (1.9, 1.0, True, "**missed**"),
        (2.0, 1.9, True, "must"),
        (2.1, 2.0, True, "stretch"),
        (2.0, None, False, "must"),
        (None, 3.0, False, "none"),
        (None, 1.0, False, "stretch"),
        (None, None, False, ""),
    ],
)
def test_an_aim_that_is_missed_is_said_to_be_missed(
    must: float | None, stretch: float | None, is_most: bool, verdict: str
) -> None:
    found = Result(
        table="speed", name="x", unit="/s", runs=[2.0], must=must, stretch=stretch, is_most=is_most
    )
    text = section([found], {"machine": "m", "python": "3"})
    assert f" | {verdict} | 2 to 2 (1) |" in text
    told = f"- Of 1 figures with a *must* 1 miss it: {found.name}."
    assert (told in text) == (verdict == "**missed**")


def test_plots_have_a_bar_or_a_line_for_each_with_its_name_and_are_xml() -> None:
    shares = {"first <fit>": 0.5, "tight": 0.25}
    drawn = fromstring(bars("over the bound", shares))
    widths = [float(found.get("width", 0)) for found in drawn.iter() if found.get("fill") == "#1f6feb"]
    assert widths[0] == 2 * widths[1] > 0
    assert {"first <fit>", "50.00%", "tight", "25.00%"} <= {found.text for found in drawn.iter()}
    used = arriving(online(algorithm("spread")), TRACE)
    assert (used[:3], len(used), used == sorted(used)) == ([0, 1, 2], len(TRACE.tasks) + 1, True)
    text = lines("pods", "nodes", {"spread": used, "tight": arriving(online(algorithm("tight")), TRACE)})
    assert [found.tag.split("}")[1] for found in fromstring(text).iter()].count("polyline") == 2
