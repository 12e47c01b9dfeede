"""The loop that Cube's speed is told in multiples of is an honest one: it takes the very same nodes."""

import pytest

from tests.bench import scheduler_naive as naive
from tests.bench import scheduler_speed as speed
from tests.bench.scheduler_traces import SAMPLES, openb


@pytest.mark.parametrize("name", ["tight", "spread", "epvm"])
def test_the_naive_loop_of_the_benchmark_takes_the_nodes_that_cube_takes(name: str) -> None:
    board, coming, size = speed.half_full(name, openb(SAMPLES), 200, seed=1)
    nodes, score = naive.machines([board.cell.state(at) for at in range(size)]), naive.score_of(name, size)
    tasks = coming[:300]
    taken = [naive.place(score, (task.resources.cpu, task.resources.memory), nodes) for task in tasks]
    names = [board.cell.nodes[at].node.name if at is not None else None for at in map(board.place, tasks)]
    assert names == [found.name if found is not None else None for found in taken]
    assert len(set(names)) > 20
