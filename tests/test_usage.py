"""How nodes are used, and by whom: what is measured, kept, thinned, and told."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from cube.api.page.chart import HEIGHT, PARTS, WIDTH, Frame, charts
from cube.manager.measuring import measure
from cube.model.measure import Measure
from cube.model.node import Cluster
from cube.model.observation import CpuTimes, Observation, Seen, Use
from cube.model.resources import Resources
from cube.store.store import Store, open_store
from cube.view.course import course
from cube.view.usage import measures, now_in_use, usages
from tests.build import CLUSTER, GIB, NOW, container, foreign, node, seen, task, unknown

MIB = 2**20

HOUR, DAY = 3600.0, 86400.0


def used(at: float, *, busy: int = 0, task_cpu: float = 0.0, boot: str = "boot") -> Seen:
    """A look at node1, of 4 cores and 8 GiB: 100 ticks a second and core, `busy` of them so far."""
    mine, other = container(task(0)), foreign()
    found = seen("node1", mine, other)
    stats = replace(
        found.stats, at=at, boot_id=boot, memory_available=6 * GIB,
        cpu=CpuTimes(total=int(400 * at), idle=int(400 * at) - busy),
        uses={mine.id: Use(cpu=task_cpu, memory=GIB), other.id: Use(cpu=0.5, memory=256 * MIB)},
    )  # fmt: skip
    return replace(found, at=at, stats=stats)


def measured(*looks: Observation) -> tuple[Measure, ...]:
    return tuple(each for look in looks for each in measures([look], [task(0)], CLUSTER))


def test_what_a_node_uses_is_parted_into_that_of_tasks_and_that_of_others() -> None:
    """10 s, of which tasks had 5 s of one core: 0.5; the machine was busy for 8 s of one: 0.8."""
    (usage,) = usages(measured(used(100.0), used(110.0, busy=800, task_cpu=5.0)))
    assert (usage.since, usage.at) == (100.0, 110.0)
    assert usage.used == Resources(cpu=800, memory=2 * GIB, disk=0)
    assert usage.by_tasks == Resources(cpu=500, memory=GIB)
    assert usage.by_others == Resources(cpu=300, memory=GIB)
    assert usage.promised.cpu == 100
    assert list(usage.tasks) == ["web/main[0] web-0-00"]
    assert usage.others == {"postgres": Resources(cpu=0, memory=256 * MIB)}


def test_however_many_measures_between_are_gone_the_mean_is_the_same() -> None:
    looks = [used(100.0 + 10 * step, busy=step * step * 100, task_cpu=step * 2.0) for step in range(5)]
    each, all_in_one = usages(measured(*looks)), usages(measured(looks[0], looks[-1]))
    assert sum(usage.used.cpu for usage in each) / 4 == pytest.approx(all_in_one[0].used.cpu, abs=1)
    assert all_in_one[0].by_tasks.cpu == 200


def test_a_machine_that_started_anew_and_one_that_does_not_answer_tell_nothing_p3() -> None:
    assert usages(measured(used(100.0), used(110.0, boot="another"))) == ()
    assert measured(unknown("node1")) == ()


def test_a_container_that_started_anew_began_with_nothing() -> None:
    (usage,) = usages(measured(used(100.0, task_cpu=50.0), used(110.0, task_cpu=2.0)))
    assert usage.by_tasks.cpu == 200


def test_a_container_that_was_not_measured_before_uses_no_more_than_the_machine_has() -> None:
    before, now = measured(used(100.0), used(110.0, task_cpu=80_000.0))
    (usage,) = usages((replace(before, tasks={}), now))
    assert usage.by_tasks.cpu == 4000


def test_before_the_second_look_what_tasks_use_is_not_known_rather_than_nothing_p3() -> None:
    now = used(110.0, busy=800, task_cpu=5.0)
    assert now_in_use(now, None, CLUSTER)[1] is None
    assert now_in_use(unknown("node1"), now.stats, CLUSTER) == (None, None)
    everybody, tasks = now_in_use(now, used(100.0).stats, CLUSTER)
    assert (everybody, tasks) == (
        Resources(cpu=800, memory=2 * GIB),
        Resources(cpu=500, memory=GIB),
    )


@pytest.fixture
def store() -> Iterator[Store]:
    with closing(open_store(":memory:")) as found:
        yield found


def swept(store: Store, at: float, keep: float = 7 * DAY) -> None:
    cluster = Cluster(name=CLUSTER, nodes=(node("node1"),), stats_keep=keep)
    measure(store, cluster, {"node1": used(at)}, at)


def test_measures_are_at_most_one_a_minute_and_after_some_hours_one_in_a_quarter(store: Store) -> None:
    begin = NOW // 900 * 900
    for step in range(6 * 60):
        swept(store, begin + 10.0 * step)
    assert len(store.measures("node1", begin)) == 60
    swept(store, begin + 8 * HOUR)
    assert [found.at - begin for found in store.measures("node1", begin)] == [0, 900, 1800, 2700, 8 * HOUR]
    assert [found.at - begin for found in store.measures("node1", begin + HOUR)] == [8 * HOUR]


def test_measures_end_after_as_long_as_the_inventory_says(store: Store) -> None:
    for hour in range(30):
        swept(store, NOW + hour * HOUR, keep=DAY)
    assert len(store.measures("node1", 0.0)) == 25
    swept(store, NOW + 31 * HOUR, keep=0.0)
    assert len(store.measures("node1", 0.0)) == 25, "nothing is measured, and nothing done about it"


def test_a_course_tells_the_most_of_each_part_and_leaves_blank_what_is_not_known_p3() -> None:
    points = [(0.0, 1.0), (5.0, 8.0), (9.0, 2.0), (25.0, 0.0), (99.0, 4.0)]
    assert course(points, since=0.0, until=40.0, top=8.0, width=4) == "█ ▁ "


def test_a_chart_has_no_more_steps_than_its_width_and_stays_inside() -> None:
    looks = [used(100.0 + 10 * step, busy=step * 4000) for step in range(500)]
    cpu, memory = charts(measured(*looks), Frame(since=100.0, until=5100.0))
    assert cpu.used.count("z") <= PARTS
    numbers = [
        int(found)
        for found in cpu.used.replace("M", " ").replace("V", " ").replace("H", " ").replace("z", " ").split()
    ]
    assert max(numbers) <= WIDTH
    assert f"V{HEIGHT // 4 * 3}" in memory.used, "2 of 8 GiB"
    assert charts(measured(looks[0]), Frame(since=0.0, until=1.0)) == ()
