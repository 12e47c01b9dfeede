"""`make pictures`: the pictures of the dashboard in docs/dashboard, drawn by Chromium from simulated nodes.

Each node is as busy as a wave of its own says, for the six hours before as well, so that the charts show
something; a part of that is its tasks'.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from playwright.sync_api import Browser, expect, sync_playwright

from cube.manager.clock import WallClock
from cube.model.job import Job, Port, TaskSpec
from cube.model.observation import CpuTimes, Seen, Use
from cube.model.resources import Resources
from cube.simulator.machine import Machine
from cube.view.usage import measures
from tests.build import job
from tests.stage import Attended, Stage, run, staged
from tests.test_api import Api, api_over
from tests.test_page import CHROMIUM, QUIET, sign_in

FOLDER = Path(__file__).parent.parent / "docs" / "dashboard"

GIB = 2**30
HOUR, WAVE = 3600.0, 2400.0
"""Seconds: of an hour, and in which a node is once busy and once not, by six."""


@dataclass
class Busy(Attended):
    """A simulated machine that is used: `share` of it on an average, half of that by its tasks."""

    share: float = 0.5

    def observe(self, now: float) -> Seen:
        seen = self.machine.observe(now)
        stats, begun = seen.stats, [found for found in seen.containers if found.identity is not None]
        assert stats is not None
        spent = self.share * (now - WAVE * 0.6 * math.cos(now / WAVE + 9 * self.share))
        each = spent * stats.cpus * 0.5 / max(len(begun), 1)
        uses = {found.id: Use(cpu=each, memory=int(self.share * 0.6 * GIB)) for found in begun}
        total = 100 * stats.cpus * now
        cpu = CpuTimes(total=int(total), idle=int(total - 100 * stats.cpus * spent))
        swing = 1 + 0.2 * math.sin(now / WAVE)
        memory = int(stats.memory_total * (1 - 0.8 * self.share * swing))
        disk = int(stats.disk_total * (1 - self.share))
        stats = replace(stats, cpu=cpu, uses=uses, memory_available=memory, disk_free=disk)
        return replace(seen, stats=stats)


def main() -> None:
    """Draw them all."""
    assert CHROMIUM, "scripts/setup --vagrant installs chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        with a_fleet(3) as api:
            remember(api.stage)
            task = next(found for found in api.stage.store.current_tasks() if found.slot.job == "cache")
            draw(browser, api, "fleet", "/", (1280, 860))
            draw(browser, api, "node", f"/node/{task.node}", (1280, 860))
            draw(browser, api, "task", f"/task/{task.id}", (1280, 900), dark=True)
            draw(browser, api, "phone", "/", (360, 740), dark=True)
        with a_fleet(200) as api:
            draw(browser, api, "fleet-200", "/", (1280, 860))
        browser.close()


@contextmanager
def a_fleet(nodes: int) -> Iterator[Api]:
    """So many busy nodes with some jobs, one of which waits, and a node that is cordoned."""
    names = [f"node{number}" for number in range(1, nodes + 1)]
    machines = {
        name: Busy(Machine(name=name, cluster="sim", owner=""), share=0.2 + 0.15 * (place * 7 % 5))
        for place, name in enumerate(names)
    }
    with staged(names, every=1.0, machines=machines) as stage, api_over(stage) as api:
        for machine in machines.values():
            machine.machine.owner = stage.store.owner
        stage.manager.deploy(some("web", 5 * nodes // 3, 0.3), run())
        stage.manager.deploy(some("shop", nodes, 0.25), run())
        stage.manager.deploy(some("cache", 2, 0.3), run())
        stage.manager.deploy(some("cache", 2, 0.3, image="app:2"), run())
        stage.manager.cordon("node2", run())
        stage.manager.deploy(some("big", 1, 7.5), run(1.0))
        yield api


def some(name: str, count: int, cores: float, image: str = "app:1") -> Job:
    """A job whose tasks are promised so many cores, and of memory in GiB twice as much."""
    wanted = Resources(cpu=int(cores * 1000), memory=int(2 * cores * GIB), disk=GIB)
    task = TaskSpec(image=image, resources=wanted, ports=(Port(name="http", container=80),))
    return job(name, count, task=task, min_healthy_time=0.0)


def remember(stage: Stage) -> None:
    """The six hours before, as the looks of those hours would have told them."""
    now = WallClock().now()
    tasks = stage.store.current_tasks()
    for minutes in range(360, 1, -5):
        at = now - 60 * minutes
        looks = [machine.observe(at) for machine in stage.machines.values()]
        stage.store.put_measures(measures(looks, tasks, "sim"), now=at, keep=24 * HOUR)


def draw(
    browser: Browser, api: Api, name: str, path: str, size: Sequence[int], *, dark: bool = False
) -> None:
    """One picture: a page as who may operate sees it."""
    with browser.new_context(
        base_url=f"http://127.0.0.1:{api.port}",
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if dark else "light",
    ) as context:
        page = context.new_page()
        sign_in(page, api.tokens["operate"], path)
        expect(page.get_by_role("status")).to_have_text("live")
        page.wait_for_timeout(3000)
        page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
