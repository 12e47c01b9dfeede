"""The files for Grafana and Prometheus name what the manager tells, and nothing else."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from cube.view.fleet import Recorded, job_view, node_view
from cube.view.metrics import Turning, Watching, metrics
from tests.build import CLUSTER, NOW, job, node, seen, stats, task

FOLDER = Path(__file__).parent.parent / "monitoring"
DASHBOARD: Any = json.loads((FOLDER / "grafana.json").read_text())
ALERTS: Any = yaml.safe_load((FOLDER / "alerts.yml").read_text())

RECORDED = Recorded(samples={"node1": replace(stats(), at=NOW - 10)}, cordons={})


def text() -> str:
    """All figures of a service that looks after one node."""
    tasks = [task(0)]
    return metrics(
        [node_view(node("node1"), seen("node1"), tasks, RECORDED, CLUSTER)],
        [job_view(job(), tasks, None, set())],
        tasks,
        Turning(
            turns=1,
            planning=0.125,
            seconds=1.0,
            effects={"ok": 1},
            events=1,
            lookouts=(Watching(node="node1", looks=1, seconds=1.0, streams=1, connections=2),),
        ),
    )


def told() -> set[str]:
    """Their names."""
    return set(re.findall(r"^(cube_\w+)", text(), re.MULTILINE))


def test_every_panel_and_every_alert_asks_for_figures_that_the_manager_tells() -> None:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    alerts = [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]
    for expression in panels + alerts:
        named = set(re.findall(r"\bcube_\w+", expression))
        assert named, expression
        assert named <= told(), expression


def test_no_two_panels_lie_upon_each_other() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
