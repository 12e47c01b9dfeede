"""How model values are shown."""

from dataclasses import replace

from cube.cli import rows
from cube.model.job import Job
from cube.model.observation import CpuTimes
from cube.model.task import State
from tests.build import CLUSTER, container, foreign, job, node, seen, stats, task, unknown


def test_busy_cpu_is_that_between_two_looks() -> None:
    found = seen("node1")
    earlier = replace(stats(), cpu=CpuTimes(total=0, idle=0))
    now = replace(found, stats=replace(found.stats, cpu=CpuTimes(total=200, idle=150)))
    assert (
        rows.of_node(node("node1"), now, replace(earlier, cpu=CpuTimes(total=100, idle=90)), CLUSTER)["cpu"]
        == "40%"
    )


def test_busy_cpu_at_the_first_look_is_that_since_the_boot() -> None:
    found = seen("node1")
    assert rows.of_node(node("node1"), found, None, CLUSTER)["cpu"] == "10%"


def test_busy_cpu_after_a_reboot_is_not_compared_with_the_time_before() -> None:
    before = replace(stats(), boot_id="another", cpu=CpuTimes(total=10_000, idle=0))
    assert rows.of_node(node("node1"), seen("node1"), before, CLUSTER)["cpu"] == "10%"


def test_a_node_counts_its_own_tasks_and_the_others() -> None:
    row = rows.of_node(node("node1"), seen("node1", container(task()), foreign()), None, CLUSTER)
    assert (row["tasks"], row["other"], row["state"]) == (1, 1, "ready")


def test_a_silent_node_shows_its_cause_and_no_figures_p12() -> None:
    row = rows.of_node(node("node1"), unknown("node1"), None, CLUSTER)
    assert (row["state"], row["engine"], "cpu" in row) == ("unknown", "timed out", False)


def test_a_task_on_a_silent_node_is_unknown_p12() -> None:
    assert rows.of_task(task(), silent={"node1"})["state"] == "unknown"
    assert rows.of_task(task(), silent=set())["state"] == "Running"


def test_a_job_counts_only_what_is_known_to_run_p12() -> None:
    tasks = [task(0), task(1, node="node2")]
    assert rows.of_job(_three(), tasks, silent={"node2"})["running"] == "1/3, 1 unknown"


def test_a_job_shows_the_worst_of_its_states() -> None:
    tasks = [task(0), task(1, state=State.FAILED)]
    assert rows.of_job(_three(), tasks, silent=set())["state"] == "Failed"


def _three() -> Job:
    return job(count=3)
