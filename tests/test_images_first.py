"""Images before containers, and which image a name means: decision by decision."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from cube.model.action import Action, Fetch, Place, Push, Start, Stop
from cube.model.image import Image
from cube.model.job import Job, TaskSpec
from cube.model.node import Cordon
from cube.model.observation import Container, Observation, Seen
from cube.model.policy import Order, Pull
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import State
from cube.reconciler.pins import pinned, unsettled
from cube.reconciler.reconcile import reconcile
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from tests.build import NOW, container, job, seen, spec, task, unknown, world

ID = "sha256:new"
STOCK = {"app:2": ID}
NEW = spec("app:2", pinned=ID)
ROLLOUT = Rollout(job="web", version=2, since=NOW - 5, stable=1)


def image(name: str, identity: str = ID) -> Image:
    return Image(id=identity, names=(name,) if name else (), size=1000, created_at=1.0)


def on_containerd(*pins: str) -> Image:
    """`app:2` on an engine that calls it by an id of its own."""
    own = f"sha256:{'0' * 64}"
    return Image(id=own, names=("app:2", f"app@{own}"), size=1000, created_at=1.0, pins=pins)


def look(name: str, *containers: Container, images: Iterable[Image] | None = ()) -> Observation:
    return replace(seen(name, *containers), images=None if images is None else tuple(images))


def given(stock: Mapping[str, str] = STOCK, **what: Any) -> World:
    return replace(world(**what), stock=stock)


def actions(found: World, *kinds: type[Action]) -> list[Any]:
    return [action for action in reconcile(found, ALGORITHMS["spread"]).actions if isinstance(action, kinds)]


def pushes(found: World) -> list[tuple[str, str]]:
    return [(push.node, push.image) for push in actions(found, Push)]


class TestANewTask:
    def test_waits_for_its_image_where_the_node_lacks_it_and_the_push_says_for_whom(self) -> None:
        found = given(jobs=[job(task=NEW)], observed=[look("node1")])
        (push,) = actions(found, Push, Place)
        assert (push.node, push.image, push.pinned, push.job) == ("node1", "app:2", ID, "web")
        assert push.reason == "web/main[0] needs it there, and the node does not have it"

    def test_starts_at_once_where_the_node_has_it_under_whatever_name(self) -> None:
        found = given(jobs=[job(task=NEW)], observed=[look("node1", images=[image("")])])
        assert [place.node for place in actions(found, Push, Place)] == ["node1"]

    def test_waits_where_the_node_has_another_image_by_that_name(self) -> None:
        found = given(jobs=[job(task=NEW)], observed=[look("node1", images=[image("app:2", "sha256:old")])])
        assert pushes(found) == [("node1", "app:2")]

    def test_starts_where_nobody_knows_which_images_the_node_has_p3(self) -> None:
        found = given(jobs=[job(task=NEW)], observed=[look("node1", images=None)])
        assert pushes(found) == []
        assert len(actions(found, Place)) == 1

    @pytest.mark.parametrize("stock", [{}, {"app:1": ID}, {"app:2": "sha256:other"}])
    def test_is_left_to_its_registry_where_this_machine_does_not_have_that_image(
        self, stock: Mapping[str, str]
    ) -> None:
        found = given(stock, jobs=[job(task=NEW)], observed=[look("node1")])
        assert (pushes(found), len(actions(found, Place))) == ([], 1)

    def test_is_left_to_its_registry_where_its_job_says_so(self) -> None:
        found = given(jobs=[job(task=NEW, pull=Pull.ALWAYS)], observed=[look("node1")])
        assert (pushes(found), len(actions(found, Place))) == ([], 1)

    def test_shares_one_push_with_all_others_of_its_node(self) -> None:
        found = given(jobs=[job(count=4, task=NEW)], observed=[look("node1"), look("node2")])
        assert sorted(pushes(found)) == [("node1", "app:2"), ("node2", "app:2")]

    def test_on_a_node_that_has_the_image_does_not_wait_for_another_node(self) -> None:
        looks = [look("node1", images=[image("app:2")]), look("node2")]
        found = given(jobs=[job(count=2, task=NEW)], observed=looks)
        assert pushes(found) == [("node2", "app:2")]
        assert [place.node for place in actions(found, Place)] == ["node1"]

    def test_waits_where_nobody_knows_whether_what_the_node_has_by_that_name_is_it(self) -> None:
        """A push tells: one on containerd has an id of its own for what it has already."""
        found = given(jobs=[job(task=NEW)], observed=[look("node1", images=[on_containerd()])])
        (push,) = actions(found, Push, Place)
        assert (push.image, push.reason.partition(", and ")[2]) == (
            "app:2",
            "the node has one of that name, of which nobody knows whether it is this one",
        )
        told = given(jobs=[job(task=NEW)], observed=[look("node1", images=[on_containerd(ID)])])
        assert (pushes(told), len(actions(told, Place))) == ([], 1)

    def test_starts_from_what_the_node_has_by_that_name_where_nobody_can_tell(self) -> None:
        found = given({}, jobs=[job(task=NEW)], observed=[look("node1", images=[on_containerd()])])
        assert len(actions(found, Place)) == 1


def test_a_container_that_is_gone_with_its_image_gets_both_back_in_this_order() -> None:
    lost = task(spec=NEW, state=State.SCHEDULED)
    without = given(jobs=[job(task=NEW)], tasks=[lost], observed=[look("node1")])
    assert (pushes(without), actions(without, Start)) == ([("node1", "app:2")], [])
    again = given(jobs=[job(task=NEW)], tasks=[lost], observed=[look("node1", images=[image("app:2")])])
    assert (pushes(again), len(actions(again, Start))) == ([], 1)


class TestAnUpdate:
    def update(self, has_it: Iterable[str], **changes: Any) -> World:
        """Two tasks of version 1 run on two nodes, and version 2 has another image."""
        tasks = [task(index, node=f"node{index + 1}") for index in (0, 1)]
        looks = [
            look(found.node, container(found), images=[image("app:2")] if found.node in has_it else [])
            for found in tasks
            if found.node
        ]
        wanted = job(count=2, task=NEW, version=2, **changes)
        return given(jobs=[wanted], tasks=tasks, observed=looks, rollouts=[ROLLOUT])

    @pytest.mark.parametrize("order", [Order.START_FIRST, Order.STOP_FIRST])
    @pytest.mark.parametrize("has_it", [(), ("node1",), ("node2",)])
    def test_touches_nothing_that_runs_before_every_node_of_the_group_has_the_image_p19(
        self, order: Order, has_it: tuple[str, ...]
    ) -> None:
        found = self.update(has_it, order=order)
        assert {node for node, _ in pushes(found)} == {"node1", "node2"} - set(has_it)
        assert actions(found, Place, Stop) == []

    @pytest.mark.parametrize("order", [Order.START_FIRST, Order.STOP_FIRST])
    def test_goes_on_once_they_have(self, order: Order) -> None:
        found = self.update(("node1", "node2"), order=order)
        assert pushes(found) == []
        assert len(actions(found, Place, Stop)) == 1

    def test_of_another_group_does_not_wait(self) -> None:
        other = task(job="api")
        new = spec("app:1", env={"A": "1"})
        found = self.update(())
        looks = [
            *found.observed.values(),
            look("node3", container(other), images=[image("app:1", "sha256:1")]),
        ]
        both = given(
            jobs=[*found.jobs, job("api", task=new, version=2)],
            tasks=[*found.tasks, replace(other, node="node3")],
            observed=looks,
            rollouts=[ROLLOUT, replace(ROLLOUT, job="api")],
        )
        assert {place.slot.job for place in actions(both, Place)} == {"api"}

    def test_does_not_hold_up_a_drain(self) -> None:
        found = self.update(("node1",))
        drained = replace(found, cordons={"node2": Cordon(node="node2", at=NOW, actor="ann", draining=True)})
        assert pushes(drained) == []
        assert actions(drained, Place, Stop)

    def test_on_a_node_that_is_unknown_holds_up_no_other_p3(self) -> None:
        found = self.update(("node1",))
        looks = {**found.observed, "node2": unknown("node2")}
        assert pushes(replace(found, observed=looks)) == []

    @pytest.mark.parametrize("stock", [STOCK, {}])
    def test_stops_nothing_on_a_node_that_has_not_told_its_images_and_asks_it_again_p3_p19(
        self, stock: Mapping[str, str]
    ) -> None:
        told = replace(self.update(("node1", "node2"), order=Order.STOP_FIRST, max_parallel=2), stock=stock)
        late = look("node1", container(told.tasks[0]), images=None)
        found = replace(told, observed={**told.observed, "node1": late})
        assert [stop.node for stop in actions(found, Stop)] == ["node2"]
        plan = reconcile(found, ALGORITHMS["spread"])
        assert [str(held) for held in plan.held] == [
            "web/main: 1 still to be replaced: node1 has not told in time which images it has"
        ]
        assert plan.due["web"] == NOW + 1

    def test_that_asks_its_registry_at_each_start_waits_for_no_list_of_images(self) -> None:
        found = self.update((), order=Order.STOP_FIRST, pull=Pull.ALWAYS)
        late = {each.node: look(each.node, container(each), images=None) for each in found.tasks if each.node}
        assert len(actions(replace(found, observed=late), Stop)) == 1


class TestAnUpdateFromARegistry:
    """This machine does not have the image of the new version."""

    def update(
        self, has_it: Iterable[str] = (), state: RolloutState = RolloutState.RUNNING, **changes: Any
    ) -> World:
        found = TestAnUpdate().update(has_it, **changes)
        return replace(found, stock={}, rollouts={"web": replace(ROLLOUT, state=state)})

    @pytest.mark.parametrize("order", [Order.START_FIRST, Order.STOP_FIRST])
    @pytest.mark.parametrize("has_it", [(), ("node1",), ("node2",)])
    def test_touches_nothing_that_runs_before_every_node_of_the_group_has_fetched_the_image_p19(
        self, order: Order, has_it: tuple[str, ...]
    ) -> None:
        found = self.update(has_it, order=order)
        assert {(each.node, each.image, each.pinned) for each in actions(found, Fetch)} == {
            (node, "app:2", ID) for node in {"node1", "node2"} - set(has_it)
        }
        assert actions(found, Place, Stop, Push) == []

    def test_goes_on_once_they_have(self) -> None:
        found = self.update(("node1", "node2"))
        assert len(actions(found, Place, Stop)) == 1
        assert actions(found, Fetch) == []

    @pytest.mark.parametrize("pull", [Pull.ALWAYS, Pull.NEVER])
    def test_fetches_nothing_where_its_job_says_so(self, pull: Pull) -> None:
        found = self.update(pull=pull)
        assert actions(found, Fetch) == []
        assert actions(found, Place, Stop)

    @pytest.mark.parametrize("state", [RolloutState.PAUSED, RolloutState.FAILED])
    def test_fetches_nothing_while_it_takes_no_step(self, state: RolloutState) -> None:
        assert actions(self.update(state=state), Fetch, Place, Stop) == []

    @pytest.mark.parametrize(
        ("name", "listed"),
        [("app@sha256:abc", "app@sha256:abc"), ("docker.io/team/app:2@sha256:abc", "team/app@sha256:abc")],
    )
    def test_knows_an_image_by_its_digest_again(self, name: str, listed: str) -> None:
        new = spec(name)
        runs = task(node="node1")
        for images, fetched in (((), [name]), ((image(listed, "sha256:x"),), [])):
            looks = [look("node1", container(runs), images=images)]
            wanted = job(task=new, version=2)
            found = given({}, jobs=[wanted], tasks=[runs], observed=looks, rollouts=[ROLLOUT])
            assert [each.image for each in actions(found, Fetch)] == fetched

    def test_asks_no_registry_for_an_id(self) -> None:
        runs = task(node="node1")
        looks = [look("node1", container(runs))]
        wanted = job(task=spec("sha256:abc"), version=2)
        found = given({}, jobs=[wanted], tasks=[runs], observed=looks, rollouts=[ROLLOUT])
        assert actions(found, Fetch) == []


class TestAName:
    """Which image it means when its job is deployed."""

    def pin(self, wanted: Job, found: World) -> str:
        return pinned(wanted, found).groups[0].spec.pinned

    NEXT = job(task=spec("app:2"))

    def test_means_what_this_machine_has_by_it_whatever_nodes_have(self) -> None:
        looks = [look("node1", images=[image("app:2", "sha256:old")])]
        assert self.pin(self.NEXT, given(observed=looks)) == ID

    def test_means_what_all_nodes_have_by_it_where_this_machine_has_nothing(self) -> None:
        looks = [look(name, images=[image("app:2")]) for name in ("node1", "node2")]
        assert self.pin(self.NEXT, given({}, observed=[*looks, look("node3"), unknown("node4")])) == ID

    def test_that_nodes_disagree_on_is_left_open(self) -> None:
        looks = [look("node1", images=[image("app:2")]), look("node2", images=[image("app:2", "sha256:x")])]
        assert self.pin(self.NEXT, given({}, observed=looks)) == ""

    def test_means_one_image_whatever_ids_some_nodes_have_for_it(self) -> None:
        looks = [
            look("node1", images=[image("app:2")]),
            look("node2", images=[on_containerd("sha256:x", ID)]),
        ]
        assert self.pin(self.NEXT, given({}, observed=looks)) == ID
        unpinned = [look("node1", images=[image("app:2")]), look("node2", images=[on_containerd()])]
        assert self.pin(self.NEXT, given({}, observed=unpinned)) == ID
        assert self.pin(self.NEXT, given({}, observed=unpinned[1:])) == ""

    def test_that_nobody_knows_is_left_open(self) -> None:
        assert self.pin(self.NEXT, given({}, observed=[look("node1"), look("node2", images=None)])) == ""

    @pytest.mark.parametrize("exact", ["app@sha256:abc", "sha256:abc"])
    def test_that_can_mean_one_image_only_needs_no_pin(self, exact: str) -> None:
        found = given({exact: ID}, observed=[look("node1")])
        assert self.pin(job(task=spec(exact)), found) == ""

    def test_that_is_pulled_before_each_start_is_the_registrys(self) -> None:
        wanted = job(task=spec("app:2"), pull=Pull.ALWAYS)
        assert self.pin(wanted, given(observed=[look("node1")])) == ""

    def test_without_a_tag_is_the_latest(self) -> None:
        assert self.pin(job(task=spec("app")), given({"app:latest": ID}, observed=[])) == ID

    def test_keeps_its_meaning_while_a_node_has_the_image_though_under_no_name(self) -> None:
        known = job(task=NEW)
        assert (
            self.pin(self.NEXT, given({}, jobs=[known], observed=[look("node1", images=[image("")])])) == ID
        )
        assert self.pin(self.NEXT, given({}, jobs=[known], observed=[look("node1")])) == ""

    @pytest.mark.parametrize(
        "there", [unknown("node1"), look("node1", container(task(spec=NEW)), images=None)]
    )
    def test_keeps_its_meaning_while_its_tasks_run_from_it_where_nobody_tells_p3_p10(
        self, there: Observation
    ) -> None:
        found = given({}, jobs=[job(task=NEW)], tasks=[task(spec=NEW)], observed=[there])
        assert self.pin(self.NEXT, found) == ID

    def test_keeps_it_too_where_others_wait_in_the_slots_of_those_that_are_out_of_sight_p3_p10(self) -> None:
        """Seed 889001726: the tasks on a node that came back were replaced for nothing."""
        waits = task(id="w", spec=NEW, node=None, state=State.PENDING, order=9)
        looks = [unknown("node1"), look("node2")]
        found = given({}, jobs=[job(task=NEW)], tasks=[task(spec=NEW), waits], observed=looks)
        assert self.pin(self.NEXT, found) == ID

    def test_that_was_open_stays_so_while_nobody_sees_what_its_tasks_run_from_p3_p10(self) -> None:
        before = spec("app:2")
        looks = [unknown("node1"), look("node2", images=[image("app:2")])]
        found = given({}, jobs=[job(task=before)], tasks=[task(spec=before)], observed=looks)
        assert self.pin(self.NEXT, found) == ""

    def test_that_was_open_stays_so_when_a_version_of_another_image_is_taken_back_p10(self) -> None:
        ran = self.running(ID, spec("app:2"))
        failed = replace(ran, jobs=(job(task=spec("app:3"), version=2),))
        assert self.pin(self.NEXT, failed) == ""

    def running(self, identity: str, before: TaskSpec) -> World:
        """The job runs, and its node has that image by its name by now."""
        runs = task(spec=before, state=State.RUNNING)
        held = replace(container(runs), image_id=identity)
        looks = [look("node1", held, images=[image("app:2")])]
        return given({}, jobs=[job(task=before)], tasks=[runs], observed=looks)

    def test_that_was_open_when_its_tasks_pulled_this_very_image_is_no_change_p10(self) -> None:
        assert self.pin(self.NEXT, self.running(ID, spec("app:2"))) == ""

    @pytest.mark.parametrize(("there", "pin"), [(on_containerd(ID), ""), (on_containerd("sha256:old"), ID)])
    def test_that_was_open_is_compared_with_what_its_tasks_run_from_by_any_id_of_it(
        self, there: Image, pin: str
    ) -> None:
        ran = self.running(there.id, spec("app:2"))
        (look,) = (found for found in ran.observed.values() if isinstance(found, Seen))
        seen_so = {"node1": replace(look, images=(there,))}
        assert self.pin(self.NEXT, replace(ran, observed=seen_so, stock=STOCK)) == pin

    def test_that_was_open_and_means_another_image_by_now_is_a_change(self) -> None:
        assert self.pin(self.NEXT, self.running("sha256:old", spec("app:2"))) == ID


class TestARegistry:
    """What it tells of a name that nobody else knows."""

    NEXT = job(task=spec("app:2"))
    SETTLED = job(task=spec("app:2@sha256:told"))
    NOBODY = given({}, observed=[look("node1"), look("node2")])

    def image(self, found: World, told: str = "") -> str:
        return pinned(self.NEXT, found, {"app:2": told} if told else {}).groups[0].spec.image

    def runs(self, before: TaskSpec, *names: str) -> World:
        """The job runs from that on a node that has one image by those names."""
        held = replace(container(task(spec=before)), image_id=ID)
        images = [Image(id=ID, names=names, size=1, created_at=1.0)]
        looks = [look("node1", held, images=images)]
        return given({}, jobs=[job(task=before)], tasks=[task(spec=before)], observed=looks)

    def test_is_asked_of_a_name_that_no_engine_knows_and_settles_it(self) -> None:
        assert unsettled(self.NEXT, self.NOBODY) == ("app:2",)
        assert self.image(self.NOBODY, told="sha256:told") == "app:2@sha256:told"
        assert self.image(self.NOBODY) == "app:2"

    @pytest.mark.parametrize("stock", [STOCK, {}])
    def test_is_not_asked_of_a_name_that_an_engine_here_knows(self, stock: Mapping[str, str]) -> None:
        looks = [look("node1", images=[] if stock else [image("app:2")])]
        assert unsettled(self.NEXT, given(stock, observed=looks)) == ()

    def test_is_asked_of_a_name_that_nodes_disagree_on(self) -> None:
        looks = [look("node1", images=[image("app:2")]), look("node2", images=[image("app:2", "sha256:x")])]
        assert unsettled(self.NEXT, given({}, observed=looks)) == ("app:2",)

    def test_is_asked_at_each_deploy_of_what_is_pulled_always_and_never_of_what_is_pulled_never(self) -> None:
        looks = [look("node1", images=[image("app:2")])]
        asked = [unsettled(job(task=spec("app:2"), pull=pull), given({}, observed=looks)) for pull in Pull]
        assert dict(zip(Pull, asked, strict=True)) == {
            Pull.MISSING: (),
            Pull.ALWAYS: ("app:2",),
            Pull.NEVER: (),
        }

    def test_that_tells_the_same_again_changes_nothing_p10(self) -> None:
        found = self.runs(self.SETTLED.groups[0].spec, "app@sha256:told")
        assert unsettled(self.NEXT, found) == ("app:2",)
        assert self.image(found, told="sha256:told") == "app:2@sha256:told"

    def test_that_cannot_be_asked_leaves_the_name_what_it_was_p10(self) -> None:
        assert self.image(self.runs(self.SETTLED.groups[0].spec)) == "app:2@sha256:told"

    def test_is_not_asked_where_somebody_gave_the_same_image_its_tag_on_a_node_p10(self) -> None:
        found = self.runs(self.SETTLED.groups[0].spec, "app:2", "app@sha256:told")
        assert unsettled(self.NEXT, found) == ()
        assert self.image(found) == "app:2@sha256:told"

    def test_is_not_asked_of_what_runs_and_was_left_open_p10(self) -> None:
        assert unsettled(self.NEXT, self.runs(spec("app:2"))) == ()
