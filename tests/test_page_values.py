"""What the page draws, as numbers: no browser is needed to see that they are right."""

from cube.api.page.bars import Part, job_bar, node_bars
from cube.api.page.matrix import matrix
from cube.model.action import Decision, Refusal, Term
from cube.model.resources import Resources
from cube.model.task import Health, State
from cube.view.fleet import Recorded, job_view, node_view
from tests.build import CLUSTER, GIB, job, node, seen, task, unknown

UNRECORDED = Recorded(samples={}, cordons={})


def test_a_node_has_a_bar_for_each_resource_and_none_where_nothing_is_known_of_it_p3() -> None:
    kept = node("node1", reserved=Resources(cpu=1000, memory=2 * GIB))
    view = node_view(kept, seen("node1", cpus=4, memory=8 * GIB), [task(0), task(1)], UNRECORDED, CLUSTER)
    cpu, memory, disk = node_bars(view)
    assert (cpu.promised, cpu.kept) == (5.0, 25.0)
    assert (memory.promised, memory.kept) == (3.1, 25.0)
    assert (disk.promised, disk.kept) == (0.0, 0.0)
    assert node_bars(node_view(kept, unknown("node1"), [task(0)], UNRECORDED, CLUSTER)) == ()


def test_a_jobs_bar_tells_each_kind_of_task_and_what_is_missing_and_is_full() -> None:
    tasks = [
        task(0, version=2), task(1, version=1), task(2, version=2, health=Health.UNHEALTHY),
        task(3, state=State.FAILED), task(4, state=State.COMPLETED), task(5, version=2, node="node3"),
    ]  # fmt: skip
    wanted = job("web", 8, version=2)
    parts = job_bar(job_view(wanted, tasks, None, {"node3"}), tasks, frozenset({"node3"}))
    counts = {part.kind: part.count for part in parts}
    assert counts == {"new": 1, "old": 1, "sick": 1, "failed": 1, "unknown": 1, "missing": 3}
    assert parts[0] == Part(kind="new", count=1, start=0.0, width=12.5)
    assert sum(part.width for part in parts) == 100


def test_the_matrix_has_the_chosen_node_first_then_the_best_then_those_that_refused() -> None:
    decision = Decision(
        scores={"node1": 0.9, "node2": 0.5, "node3": 0.8},
        terms={"node1": (Term(name="fit", points=90_000_000),)},
        refusals=(Refusal(node="node4", reason="memory: 1GiB wanted", filter="memory"),),
        refused={"memory": 3},
        others=2,
    )
    found = matrix(decision, "node3")
    assert [line.node for line in found.lines] == ["node3", "node1", "node2", "node4"]
    assert [line.is_chosen for line in found.lines] == [True, False, False, False]
    assert found.lines[1].terms == {"fit": 0.9}
    assert found.lines[3].reasons == ("memory: 1GiB wanted",)
    assert found.rest == "2 more could have taken it, 2 more refused it"
