"""A plan in a file: read back as it was written, and refused where it was made for something else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.errors import InputError
from cube.manager.bound import BoundPlan, bound_plan, check_place, text_of
from cube.model.difference import differences
from cube.reconciler.reconcile import reconcile
from cube.scheduler.algorithms import ALGORITHMS
from tests.build import NOW, job, seen, spec, task, world

PLAN = BoundPlan(cluster="lab", owner="one", job=job(count=2), changes=("start web/main[0]",), made_at=NOW)


def test_what_was_written_is_read_back() -> None:
    assert bound_plan(text_of(PLAN), "web.plan") == PLAN


@given(
    st.text(max_size=80) | st.sampled_from(["{}", "[]", "null", '{"format": 1}', '{"format": 1, "job": 3}'])
)
def test_what_is_no_plan_is_refused_with_its_place_p17(text: str) -> None:
    with pytest.raises(InputError, match="the plan cannot be used"):
        bound_plan(text, "web.plan")


def test_a_plan_of_another_format_is_refused() -> None:
    data = json.loads(text_of(PLAN)) | {"format": 2}
    with pytest.raises(InputError, match="its format is 2, and this Cube knows 1"):
        bound_plan(json.dumps(data), "web.plan")


@pytest.mark.parametrize(
    ("cluster", "owner", "says"),
    [("prod", "one", "made for cluster lab"), ("lab", "two", "made from another state file")],
)
def test_a_plan_for_another_fleet_is_refused(cluster: str, owner: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_place(PLAN, cluster=cluster, owner=owner, source="web.plan")
    check_place(PLAN, cluster="lab", owner="one", source="web.plan")


def test_the_fingerprint_changes_with_what_the_plan_would_do() -> None:
    def fingerprint(*nodes: str, image: str = "app:1") -> tuple[str, ...]:
        before = world(jobs=[job(task=spec(image))], observed=[seen(name) for name in nodes])
        return reconcile(before, ALGORITHMS["spread"]).fingerprint

    assert fingerprint("node1") == fingerprint("node1")
    assert fingerprint("node1") != fingerprint("node2")
    assert fingerprint("node1") != fingerprint("node1", image="app:2")


def test_the_fingerprint_changes_with_what_is_found_failed() -> None:
    held = task()
    well = world(jobs=[job()], tasks=[held])
    gone = world(jobs=[job()], tasks=[held], observed=[seen("node1")])
    assert reconcile(well, ALGORITHMS["spread"]).fingerprint == ()
    assert reconcile(gone, ALGORITHMS["spread"]).fingerprint == ("failed web/main[0] on node1",)


def test_a_difference_names_the_field_as_a_job_file_does() -> None:
    before = job(task=spec("app:1", env={"COLOR": "blue", "GONE": "1"}))
    after = job(task=spec("app:2", env={"COLOR": "red", "NEW": "2"}), count=3, version=2)
    assert [str(found) for found in differences(before, after)] == [
        "groups.main.image: app:1 -> app:2",
        "groups.main.env.COLOR: blue -> red",
        "groups.main.env.GONE: 1 -> (gone)",
        "groups.main.count: 1 -> 3",
        "groups.main.env.NEW: 2 (new)",
    ]


def test_the_same_job_in_another_version_does_not_differ() -> None:
    assert differences(job(version=1), job(version=7)) == ()
