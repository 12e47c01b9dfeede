"""The smallest change that makes a task fit: what is told does help, and the nearest node is told first."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cube.model.job import Constraint, Operator, Port
from cube.model.node import Node
from cube.model.resources import Resources
from cube.model.task import Slot
from cube.scheduler.algorithms import ALGORITHMS, Algorithm, ByFormula, place
from cube.scheduler.filters import refusals_of
from cube.scheduler.fit import tight
from cube.scheduler.in_arrays import InArrays
from cube.scheduler.remedy import reliefs, remedies
from cube.scheduler.state import Demand, NodeState, Request
from tests.build import GIB, node
from tests.test_scheduler_board import demands, fleets, requests

MIB = 2**20
ROOMY = Resources(cpu=4000, memory=8 * GIB, disk=8 * GIB)
GPUS = node("n1", devices={"gpu": ("0", "1")})
TIGHT = Algorithm(ByFormula(tight))


def state(name: str = "n1", *, of: Node | None = None, **changes: object) -> NodeState:
    return NodeState(**{"node": of or node(name), "capacity": ROOMY} | changes)  # type: ignore[arg-type] # few of many


def request(**changes: object) -> Request:
    slot = Slot(job="web", group="main", index=0)
    asked = Resources(cpu=1000, memory=GIB)
    return Request(slot=slot, demand=Demand(**{"resources": asked} | changes))  # type: ignore[arg-type] # as above


@settings(max_examples=300)
@given(data=st.data())
def test_whatever_refuses_once_every_change_that_is_told_is_made_nothing_does(data: st.DataObject) -> None:
    nodes = data.draw(fleets())
    asked = data.draw(requests([data.draw(demands())], 0)).among(nodes)
    for found in nodes:
        refused = list(dict.fromkeys(each.filter for each in refusals_of(asked, found)))
        steps = reliefs(asked, found)
        if steps is None:
            continue
        assert len(steps) == len(refused)
        for number, step in enumerate(steps, start=1):
            left = list(dict.fromkeys(each.filter for each in refusals_of(step.request, step.state)))
            assert left == refused[number:], "each change takes away one filter's refusal and no other's"


CASES = [
    (request(), state(closed="it is cordoned"), "cube node uncordon n1"),
    (request(), state(of=node("n1", schedulable=False)), "set cube_schedulable: true for n1"),
    (request(datacenters=("dc9",)), state(), "add dc1 to the job's datacenters"),
    (
        request(constraints=(Constraint(attribute="label.a", operator=Operator.EQUAL, values=("b",)),)),
        state(),
        "take the constraint label.a = b out of the job",
    ),
    (request(max_per_node=1), state(tasks={("web", "main"): 1}), "raise max_per_node to 2"),
    (
        request(constraints=(Constraint(attribute="", operator=Operator.DISTINCT_HOSTS),)),
        state(tasks={("web", "main"): 1}),
        "take distinct_hosts out of the job",
    ),
    (request(), state(promised=Resources(cpu=3500)), "give the task 500m less, or free as much there"),
    (
        request(),
        state(promised=Resources(memory=7 * GIB + 512 * MIB)),
        "give the task 512MiB less, or free as much there",
    ),
    (request(), state(promised=Resources(memory=8 * GIB)), "free 1024MiB there"),
    (
        request(),
        state(capacity=replace(ROOMY, memory=GIB // 2 + 1)),
        "ask for 512MiB, or add a node that has 1024MiB of memory for tasks",
    ),
    (
        request(resources=Resources(cpu=9000)),
        state(promised=Resources(cpu=1000)),
        "ask for 3000m, or add a node that has 9000m of cpu for tasks",
    ),
    (
        request(resources=Resources(disk=9 * GIB)),
        state(promised=Resources(disk=8 * GIB)),
        "ask for 8192MiB and free that there, or add a node that has 9216MiB of disk for tasks",
    ),
    (
        request(ports=(Port(name="http", container=80, host=8080),)),
        state(ports=frozenset({8080})),
        "stop what has it there, or ask for another port",
    ),
    (request(devices=(("gpu", 2),)), state(of=GPUS, devices={"gpu": 0}), "free 2 gpu there"),
    (
        request(devices=(("gpu", 2),)),
        state(of=GPUS, devices={"gpu": 1}),
        "ask for 1 gpu fewer, or free 1 gpu there",
    ),
    (
        request(devices=(("gpu", 9),)),
        state(of=GPUS, devices={"gpu": 2}),
        "ask for 7 gpu fewer, or declare 7 gpu more in cube_devices of n1, if it has them",
    ),
    (request(devices=(("tpu", 1),)), state(), "declare 1 tpu more in cube_devices of n1, if it has them"),
]


@pytest.mark.parametrize(("asked", "found", "told"), CASES)
def test_each_filter_has_a_change_in_words_that_somebody_can_act_on(
    asked: Request, found: NodeState, told: str
) -> None:
    (remedy,) = remedies(asked, [found])
    assert (remedy.node, remedy.changes) == ("n1", 1)
    assert remedy.change.startswith(told)


def test_the_amount_that_is_told_is_never_less_than_what_is_missing() -> None:
    (remedy,) = remedies(request(), [state(promised=Resources(memory=7 * GIB + 1))])
    assert remedy.fault == "lacks 1MiB of memory"


def test_the_node_that_lacks_least_is_told_first_and_few_changes_come_before_many() -> None:
    fleet = [
        state("twice", closed="it is cordoned", promised=Resources(memory=7 * GIB + 1)),
        state("much", promised=Resources(memory=8 * GIB - MIB)),
        state("closed", closed="it is drained"),
        state("little", promised=Resources(memory=7 * GIB + 100 * MIB)),
    ]
    found, decision = place(ALGORITHMS["tight"], request(), fleet)
    assert found is None
    assert [remedy.node for remedy in decision.remedies] == ["little", "much", "closed"]


def test_of_a_large_fleet_those_are_told_against_which_the_fewest_filters_speak() -> None:
    far = [state(f"n{number}", closed="it is drained", promised=ROOMY) for number in range(50)]
    nodes = (*far, state("near", promised=Resources(memory=8 * GIB - MIB)))
    decision = InArrays(TIGHT, nodes).explain(request())
    assert decision.remedies[0].node == "near"


def test_of_many_that_one_filter_refuses_those_are_told_that_lack_least() -> None:
    """They stand at the end of a large fleet."""
    far = [state(f"n{number}", promised=Resources(cpu=4000)) for number in range(50)]
    near = [state(f"near{left}", promised=Resources(cpu=3000 + left)) for left in (300, 100, 200)]
    decision = InArrays(TIGHT, (*far, *near)).explain(request(resources=Resources(cpu=1000)))
    assert [remedy.node for remedy in decision.remedies] == ["near100", "near200", "near300"]


def test_of_many_that_lack_devices_those_are_told_that_lack_the_fewest() -> None:
    gpus = node("n1", devices={"gpu": ("0", "1", "2", "3")})
    far = [
        state(f"n{number}", of=replace(gpus, name=f"n{number}"), devices={"gpu": 1}) for number in range(50)
    ]
    near = state("near", of=replace(gpus, name="near"), devices={"gpu": 3})
    decision = InArrays(TIGHT, (*far, near)).explain(request(devices=(("gpu", 4),)))
    assert decision.remedies[0].node == "near"


def test_nothing_is_told_of_a_node_that_nothing_helps() -> None:
    of_another = replace(request(), node="n2")
    assert remedies(of_another, [state()]) == ()


def test_of_a_task_that_is_larger_than_every_node_the_largest_is_told_first_and_what_would_do() -> None:
    sizes = {"small": 2000, "large": 8000, "middle": 4000}
    fleet = [state(name, capacity=replace(ROOMY, cpu=cpu)) for name, cpu in sizes.items()]
    found, decision = place(ALGORITHMS["tight"], request(resources=Resources(cpu=16000)), fleet)
    assert found is None
    assert [(remedy.node, remedy.fault, remedy.change) for remedy in decision.remedies[:2]] == [
        (
            "large",
            "has no more than 8000m of cpu in all",
            "ask for 8000m, or add a node that has 16000m of cpu for tasks",
        ),
        (
            "middle",
            "has no more than 4000m of cpu in all",
            "ask for 4000m, or add a node that has 16000m of cpu for tasks",
        ),
    ]
    assert InArrays(TIGHT, fleet).explain(request(resources=Resources(cpu=16000))).remedies[0].node == "large"


def test_a_node_that_has_nothing_of_it_is_told_of_as_the_too_small_one_that_it_is() -> None:
    (remedy,) = remedies(request(), [state(capacity=replace(ROOMY, memory=0))])
    assert remedy.change == "add a node that has 1024MiB of memory for tasks"
