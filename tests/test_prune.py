"""Images that take room: when a sweep warns, and which a prune takes: old ones that nothing runs from."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.image.recipe import images_of
from cube.model.image import Image
from cube.model.job import Job
from cube.model.observation import Container, Seen
from cube.reconciler.prune import leftovers
from cube.reconciler.reconcile import reconcile
from cube.scheduler.algorithms import ALGORITHMS
from tests.build import GIB, container, job, seen, spec, task, world

OLD, MIDDLE, NEW = (
    job(task=spec("web:1", pinned="id1"), version=1),
    job(task=spec("web:2", pinned="id2"), version=2),
    job(task=spec("web:3", pinned="id3"), version=3),
)


def image(identity: str, *names: str, size: int = 100, at: float = 1.0) -> Image:
    return Image(id=identity, names=names, size=size, created_at=at)


def node(*images: Image, containers: tuple[Container, ...] = ()) -> Seen:
    return replace(seen("node1", *containers), images=images)


def gone(look: Seen, kept: tuple[Job, ...] = (NEW,), budget: int = 0) -> list[tuple[str, ...]]:
    return [left.references for left in leftovers(look, (OLD, MIDDLE, NEW), kept, budget=budget)]


WEB = (image("id1", "web:1", at=1), image("id2", "web:2", at=2), image("id3", "web:3", at=3))


def test_takes_the_images_of_versions_that_are_not_kept_the_oldest_first() -> None:
    assert gone(node(*WEB)) == [("web:1",), ("web:2",)]
    assert gone(node(*WEB), kept=(MIDDLE, NEW)) == [("web:1",)]


def test_takes_nothing_that_no_job_of_ours_ever_ran_from_p5() -> None:
    assert gone(node(image("other", "postgres:16"), image("nameless"), *WEB[2:])) == []


def test_takes_nothing_that_a_container_was_made_from_whoever_made_it() -> None:
    held = replace(container(task()), image_id="id1", identity=None)
    assert gone(node(*WEB, containers=(held,))) == [("web:2",)]


def test_takes_an_image_without_a_name_by_its_id() -> None:
    assert gone(node(image("id1"))) == [("id1",)]


def test_knows_an_image_by_the_id_that_it_has_elsewhere() -> None:
    pinned = replace(image("own", "web:1", "web@own"), pins=("id1",))
    assert gone(node(pinned)) == [("web:1",)]
    assert gone(node(replace(pinned, pins=("id3",)))) == []
    assert gone(node(replace(pinned, names=()))) == [("own",)]


def test_takes_what_pushes_that_broke_off_have_left_whatever_the_budget() -> None:
    part = replace(image("part"), is_part=True)
    assert gone(node(part, *WEB), budget=1000) == [("part",)]


def test_what_somebody_gave_a_name_is_no_part_of_a_push() -> None:
    listed = {
        "Id": "a",
        "Size": 1,
        "Created": 1,
        "Labels": {"cube.part": "1"},
        "RepoDigests": ["<none>@<none>"],
    }
    assert [found.is_part for found in images_of([listed, listed | {"RepoTags": ["mine:1"]}])] == [
        True,
        False,
    ]


def test_leaves_an_image_the_names_that_others_gave_it() -> None:
    assert gone(node(image("id1", "web:1", "archive:monday"))) == [("web:1",)]
    assert gone(node(image("id1", "archive:monday"))) == []


def test_keeps_what_a_kept_version_calls_by_the_same_name_but_is_another_image() -> None:
    """A tag that was built anew: the old bytes may go, although their name is still in use."""
    past = (job(task=spec("web:latest", pinned="id1")), job(task=spec("web:latest", pinned="id2"), version=2))
    look = node(image("id1"), image("id2", "web:latest"))
    assert [left.references for left in leftovers(look, past, past[1:])] == [("id1",)]


def test_goes_by_the_name_where_no_id_is_known() -> None:
    past = (job(task=spec("web:1")), job(task=spec("web:2"), version=2))
    assert [left.references for left in leftovers(node(*WEB), past, past[1:])] == [("web:1",)]


@pytest.mark.parametrize(("budget", "left"), [(99, 0), (100, 1), (199, 1), (200, 2)])
def test_leaves_the_newest_that_fit_into_the_budget(budget: int, left: int) -> None:
    assert gone(node(*WEB), budget=budget) == [("web:1",), ("web:2",)][: 2 - left]


def test_of_a_node_that_did_not_tell_its_images_takes_nothing_p3() -> None:
    assert gone(replace(node(*WEB), images=None)) == []


@pytest.mark.parametrize(
    ("free", "told"),
    [
        (10 * GIB, ()),
        (10 * GIB - 1, ("10.0GiB of 100.0GiB",)),
        (3 * GIB // 2, ("1.5GiB of 100.0GiB",)),
        (0, ("0.0GiB of 100.0GiB",)),
    ],
)
def test_a_sweep_warns_of_each_disk_of_which_less_than_a_tenth_is_left(
    free: int, told: tuple[str, ...]
) -> None:
    look = seen("node1", disk=100 * GIB)
    scarce = replace(look, stats=replace(look.stats, disk_free=free))
    plan = reconcile(world(observed=[scarce, seen("node2")]), ALGORITHMS["spread"])
    cure = "see: cube image prune --plan"
    assert plan.warnings == tuple(
        f"node1: the disk of its engine is almost full: {left} are left; {cure}" for left in told
    )


@given(
    has=st.sets(st.sampled_from(["id1", "id2", "id3", "other"])),
    runs=st.sets(st.sampled_from(["id1", "id2", "id3", "other"])),
    kept=st.sets(st.sampled_from([OLD.version, MIDDLE.version, NEW.version])),
    budget=st.integers(0, 500),
)
def test_never_takes_what_runs_or_is_kept_or_is_not_ours(
    has: set[str], runs: set[str], kept: set[int], budget: int
) -> None:
    look = node(
        *(image(found) for found in sorted(has)),
        containers=tuple(replace(container(task()), image_id=found) for found in runs),
    )
    stays = tuple(each for each in (OLD, MIDDLE, NEW) if each.version in kept)
    taken = {left.image.id for left in leftovers(look, (OLD, MIDDLE, NEW), stays, budget=budget)}
    assert not taken & (runs | {f"id{version}" for version in kept} | {"other"})
    left = has - taken - runs - {f"id{version}" for version in kept} - {"other"}
    assert len(left) * 100 <= budget
