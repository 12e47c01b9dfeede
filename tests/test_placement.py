"""Which slots get a place, in which order, chosen by whom, and when none of a job does."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

import pytest

from cube.model.action import Place, Refusal, Wait
from cube.model.architecture import ARCHITECTURE
from cube.model.image import Image
from cube.model.job import Constraint, Group, Job, JobType, Operator, TaskSpec, Volume
from cube.model.node import Node, Overcommit
from cube.model.observation import Seen
from cube.model.policy import Condition
from cube.model.resources import Resources
from cube.model.software import release
from cube.model.task import State, Task
from cube.reconciler.guards import check_room
from cube.reconciler.line import Opening
from cube.reconciler.placement import FRESH, room_of
from cube.reconciler.reconcile import reconcile
from cube.reconciler.wants import wants_of
from cube.reconciler.world import World, as_seen
from cube.scheduler.algorithms import ALGORITHMS
from cube.scheduler.state import NodeState, Request
from cube.spec.demands import constraint
from tests.build import GIB, NOW, container, job, node, seen, spec, task, unknown, world


def big(cpu: int, memory: int = GIB // 8) -> TaskSpec:
    return TaskSpec(image="app:1", resources=Resources(cpu=cpu, memory=memory))


def actions(given: World) -> list[Place | Wait]:
    found = reconcile(given, ALGORITHMS["tight"]).actions
    return [action for action in found if isinstance(action, Place | Wait)]


def places(given: World) -> list[str]:
    return [f"{found.slot} on {found.node}" for found in actions(given) if isinstance(found, Place)]


def waits(given: World) -> list[str]:
    return [f"{found.slot} {found.reason}" for found in actions(given) if isinstance(found, Wait)]


class TestTheSchedulerOfAJob:
    """tight fills a machine up, spread takes the emptiest: on a fleet with one half full they differ."""

    HALF_FULL = task(job="old", spec=big(2000))
    LOOKS = (seen("node1"), seen("node2"))

    def fleet(self, *jobs: Job) -> World:
        old = job("old", task=big(2000))
        return world(jobs=[old, *jobs], tasks=[self.HALF_FULL], observed=self.LOOKS)

    def test_is_the_clusters_where_it_names_none(self) -> None:
        assert places(self.fleet(job("web"))) == ["web/main[0] on node1"]

    def test_is_its_own_where_it_names_one(self) -> None:
        assert places(self.fleet(job("web", scheduler="spread"))) == ["web/main[0] on node2"]

    def test_is_told_by_each_decision(self) -> None:
        found = actions(self.fleet(job("api"), job("web", scheduler="spread")))
        assert [action.decision.scheduler for action in found] == ["tight", "spread"]

    def test_sees_what_the_one_before_it_has_promised_p13(self) -> None:
        jobs = [job("a", task=big(2000)), job("b", task=big(2000), scheduler="spread")]
        given = replace(self.fleet(*jobs), observed={"node1": seen("node1")})
        assert len(places(given)) == 1

    def test_that_is_not_installed_keeps_its_job_waiting_and_no_other(self) -> None:
        given = self.fleet(job("odd", scheduler="elsewhere"), job("web"))
        assert waits(given) == ["odd/main[0] there is no scheduler 'elsewhere' on this machine"]
        assert places(given) == ["web/main[0] on node1"]


class TestALookOfLongAgo:
    """tight takes node1, which is half full; but not where nobody knows how busy it is."""

    def placed(self, *ages: float) -> Place:
        looks = [replace(seen(f"node{number}"), at=NOW - age) for number, age in enumerate(ages, start=1)]
        old = job("old", task=big(2000))
        (found,) = actions(world(jobs=[old, job()], tasks=[task(job="old", spec=big(2000))], observed=looks))
        assert isinstance(found, Place)
        return found

    def test_does_for_so_many_seconds(self) -> None:
        assert FRESH == 300
        assert self.placed(FRESH, 0).node == "node1"

    def test_lets_its_node_be_taken_last(self) -> None:
        found = self.placed(FRESH + 1, 0)
        assert found.node == "node2"
        assert found.decision.last == {"node1": "nobody knows how busy it is"}

    def test_does_not_count_where_there_is_no_other(self) -> None:
        assert self.placed(FRESH + 1, FRESH + 1).node == "node1"


class TestAPropertyThatFewTasksMayShare:
    """Two nodes in rack a, one in rack b, and one in none."""

    RACKS = MappingProxyType({"node1": "a", "node2": "a", "node3": "b", "node4": ""})

    def found(self, rule: str, count: int) -> tuple[list[str], Sequence[Refusal]]:
        """The racks of the tasks that are placed, and why the one after them is not."""
        nodes = [node(name, labels={"rack": rack} if rack else {}) for name, rack in self.RACKS.items()]
        other = task(job="other", node="node3")
        wanted = job(count=count, constraints=(constraint(rule),))
        looks = [seen(name) for name in self.RACKS]
        given = world(jobs=[job("other"), wanted], tasks=[other], observed=looks, nodes=nodes)
        done = actions(given)
        racks = sorted(self.RACKS[found.node] for found in done if isinstance(found, Place))
        (wait,) = (found for found in done if isinstance(found, Wait))
        return racks, wait.decision.refusals

    @pytest.mark.parametrize(("rule", "most"), [("", 1), (" 1", 1), (" 2", 2), (" 3", 3)])
    def test_takes_so_many_under_each_value_and_not_one_more(self, rule: str, most: int) -> None:
        racks, refusals = self.found(f"label.rack distinct_property{rule}", 2 * most + 1)
        assert racks == ["a"] * most + ["b"] * most
        told = [(found.node, found.filter, found.wanted, found.found) for found in refusals]
        full = [(name, "peers", f"at most {most}", f"{most}") for name in ("node1", "node2", "node3")]
        assert told == [*full, ("node4", "peers", f"label.rack distinct_property{rule}", "not set")]


class TestNewSlots:
    def test_are_placed_the_hardest_first(self) -> None:
        small, large = Group(name="a", spec=big(1000), count=2), Group(name="b", spec=big(3000))
        given = world(jobs=[Job(name="web", groups=(small, large), version=1)], observed=[seen("node1")])
        assert places(given) == ["web/b[0] on node1", "web/a[0] on node1"]

    def test_on_a_small_fleet_stand_in_line_exactly_by_hardness(self) -> None:
        jobs = [job("a", task=big(1000)), job("b", task=big(1100)), job("c", task=big(1000))]
        told = [place.split()[0] for place in places(world(jobs=jobs))]
        assert told == ["b/main[0]", "a/main[0]", "c/main[0]"]

    def test_of_a_large_deploy_are_placed_in_the_order_that_needs_the_fewest_nodes(self) -> None:
        """Kind after kind, 120 that ask for CPU fill 30 nodes, and 120 that ask for memory 30 more."""
        kinds = big(1000), big(125, 2 * GIB)
        jobs = [job(f"j{number:03}", task=kinds[number // 120]) for number in range(240)]
        looks = [seen(f"node{number:02}", cpus=4, memory=8 * GIB) for number in range(80)]
        found = [place.split()[-1] for place in places(world(jobs=jobs, observed=looks))]
        assert len(found) == 240
        assert len(set(found)) <= 40

    def test_come_after_those_that_have_waited(self) -> None:
        waiting = task(job="old", node=None, state=State.PENDING, spec=big(1000))
        jobs = [job("new", task=big(4000)), job("old", task=big(1000))]
        given = world(jobs=jobs, tasks=[waiting], observed=[seen("node1")])
        assert places(given) == ["old/main[0] on node1"]


class TestAJobThatIsPlacedAsAWhole:
    def test_is_started_where_all_of_it_fits(self) -> None:
        given = world(jobs=[job(count=4, task=big(2000), all_or_nothing=True)])
        assert len(places(given)) == 4

    def test_is_not_started_at_all_where_one_task_does_not_fit(self) -> None:
        given = world(jobs=[job(count=5, task=big(2000), all_or_nothing=True)])
        assert places(given) == []
        why = "all of web is placed or nothing: 1 of 5 tasks fit nowhere"
        told = [f"web/main[{index}] {why}" for index in range(4)]
        assert waits(given) == [*told, "web/main[4] fits on none of 2 nodes"]

    def test_else_gets_what_fits(self) -> None:
        assert len(places(world(jobs=[job(count=5, task=big(2000))]))) == 4

    def test_leaves_its_room_to_those_behind_it_where_it_does_not_fit(self) -> None:
        jobs = [job("a", count=5, task=big(2000), all_or_nothing=True), job("b", count=2, task=big(2000))]
        assert len(places(world(jobs=jobs))) == 2

    def test_counts_its_groups_that_come_later_and_stay_beside(self) -> None:
        def whole(condition: Condition) -> World:
            first = Group(name="a", spec=big(3000))
            later = Group(name="b", spec=big(3000), depends_on={"a": condition})
            both = Job(name="web", groups=(first, later), version=1, all_or_nothing=True)
            return world(jobs=[both], observed=[seen("node1")])

        assert places(whole(Condition.HEALTHY)) == []
        assert places(whole(Condition.COMPLETED)) == ["web/a[0] on node1"]

    def test_is_put_right_one_by_one_where_it_had_its_place(self) -> None:
        want = wants_of(world(jobs=[job(all_or_nothing=True)]))[task().slot]
        assert Opening(want=want).together == "web"
        assert Opening(want=want, is_move=True).together == ""
        assert Opening(want=want, resumes=True).together == ""
        assert Opening(want=want, beside=task()).together == ""

    def test_that_has_its_tasks_is_left_alone_p10(self) -> None:
        wanted = job(count=2, all_or_nothing=True, task=spec())
        assert actions(world(jobs=[wanted], tasks=[task(0), task(1, node="node2")])) == []


class TestTheImageOfATask:
    """It is fetched where it is not, so of nodes that are equal otherwise the one that has it is taken."""

    APP = Image(id="sha256:app", names=("app:9",), size=1, created_at=1.0)
    BARE = replace(seen("node1"), images=())

    def place(self, look: Seen, pinned: str = "") -> list[str]:
        wanted = job(task=TaskSpec(image="app:9", pinned=pinned))
        return places(world(jobs=[wanted], observed=[self.BARE, look]))

    def test_draws_it_to_a_node_that_lists_it_though_nothing_runs_from_it(self) -> None:
        assert self.place(replace(seen("node2"), images=(self.APP,))) == ["web/main[0] on node2"]

    def test_is_the_one_of_its_id_and_no_older_one_of_its_name(self) -> None:
        look = replace(seen("node2"), images=(self.APP,))
        assert self.place(look, pinned="sha256:app") == ["web/main[0] on node2"]
        assert self.place(look, pinned="sha256:new") == ["web/main[0] on node1"]

    def test_is_looked_for_among_what_runs_where_the_engine_did_not_tell(self) -> None:
        runs = container(task(spec=spec("app:9")), owner="somebody else")
        assert self.place(replace(seen("node2", runs), images=None)) == ["web/main[0] on node2"]

    def test_that_is_gone_by_what_the_engine_tells_is_not_there_whatever_runs_p3(self) -> None:
        runs = container(task(spec=spec("app:9")), owner="somebody else")
        assert self.place(replace(seen("node2", runs), images=())) == ["web/main[0] on node1"]

    def test_that_nobody_knows_of_is_nothing_against_a_node_p7(self) -> None:
        bare, untold = (
            room_of(world(observed=[found]))["node1"]
            for found in (self.BARE, replace(self.BARE, images=None))
        )
        assert not bare.images.has("app:9", "")
        assert score(bare) == score(untold)


def score(state: NodeState) -> float:
    wanted = job(task=spec("app:9"))
    request = Request.of(wanted, wanted.groups[0], index=0, order=0)
    return ALGORITHMS["tight"].score(request, [state])["node1"]


class TestAnImageOfOneArchitecture:
    WANTS = Constraint(attribute=ARCHITECTURE, operator=Operator.EQUAL, values=("arm64",))

    def fleet(self, *nodes: Node, job_type: JobType = JobType.SERVICE, tasks: Sequence[Task] = ()) -> World:
        wanted = job(constraints=(self.WANTS,), type=job_type)
        looks = [seen(found.name, *(container(of) for of in tasks)) for found in nodes]
        return world(jobs=[wanted], nodes=nodes, observed=looks, tasks=tasks)

    def test_goes_to_such_a_machine(self) -> None:
        nodes = node("node1", architecture="amd64"), node("node2", architecture="arm64")
        assert places(self.fleet(*nodes)) == ["web/main[0] on node2"]

    def test_does_not_go_where_nobody_knows_and_says_so(self) -> None:
        (wait,) = actions(self.fleet(node("node1")))
        assert [refusal.reason for refusal in wait.decision.refusals] == [
            "node.architecture = arm64: it is not set"
        ]

    def test_is_not_moved_because_nobody_knows_p7(self) -> None:
        assert reconcile(self.fleet(node("node1"), tasks=[task()]), ALGORITHMS["tight"]).actions == ()

    def test_of_a_system_job_is_wanted_only_where_it_runs(self) -> None:
        nodes = node("node1", architecture="amd64"), node("node2", architecture="arm64")
        assert places(self.fleet(*nodes, job_type=JobType.SYSTEM)) == ["web/main[0] on node2"]

    def test_of_a_system_job_keeps_its_slot_while_its_node_is_silent_p3(self) -> None:
        before = self.fleet(node("node1"), node("node2", architecture="arm64"), job_type=JobType.SYSTEM)
        silent = replace(before, tasks=(task(),), observed={**before.observed, "node1": unknown("node1")})
        assert places(silent) == ["web/main[1] on node2"]

    def test_is_what_the_last_look_showed(self) -> None:
        look = seen("node1")
        arm = replace(look, stats=replace(look.stats, architecture="arm64"))
        assert as_seen([node("node1")], {"node1": arm})["node1"].architecture == "arm64"
        assert as_seen([node("node1")], {"node1": unknown("node1")})["node1"].architecture == ""


class TestADemandOnWhatRunsBelow:
    """A version is asked of what a look shows as it is of a label."""

    def fleet(self, asked: str, *nodes: Node, tasks: Sequence[Task] = ()) -> World:
        looks = [seen(found.name, *(container(of) for of in tasks)) for found in nodes]
        return world(jobs=[job(constraints=(constraint(asked),))], nodes=nodes, observed=looks, tasks=tasks)

    @pytest.mark.parametrize(
        ("asked", "told"),
        [
            ("node.kernel version >= 5.10, < 7", {"kernel": "6.1.0"}),
            ("node.docker version >= 20.10.24", {"docker": "24.0.5"}),
            ("node.os = debian", {"os": "debian"}),
            ("node.os_version version >= 12", {"os_version": "12"}),
        ],
    )
    def test_is_met_by_what_the_look_showed_and_by_nothing_else(
        self, asked: str, told: dict[str, str]
    ) -> None:
        old = node("node1", kernel="4.19.0", docker="19.3.1", os="alpine", os_version="3.9")
        new = replace(node("node2"), **told)  # type: ignore[arg-type] # each is a text
        assert places(self.fleet(asked, old, node("node3"), new)) == ["web/main[0] on node2"]
        assert reconcile(self.fleet(asked, node("node1"), tasks=[task()]), ALGORITHMS["tight"]).actions == ()

    def test_is_what_the_last_look_showed(self) -> None:
        look = seen("node1")
        told = {"kernel": "6.1.0", "os": "debian", "os_version": "12", "docker": "24.0.5"}
        newer = replace(look, stats=replace(look.stats, **told))  # type: ignore[arg-type] # as above
        (found,) = as_seen([node("node1")], {"node1": newer}).values()
        assert {name: getattr(found, name) for name in told} == told

    @pytest.mark.parametrize(
        ("text", "numbers"),
        [
            ("5.10.0-8-amd64", "5.10.0"),
            ("20.10.24+dfsg1", "20.10.24"),
            ("6.18.44-fc-v669", "6.18.44"),
            ("dev", ""),
        ],
    )
    def test_is_about_the_numbers_of_a_release_which_every_distribution_adds_to(
        self, text: str, numbers: str
    ) -> None:
        assert release(text) == numbers


class TestANodeThatIsOvercommitted:
    def test_takes_more_than_it_has(self) -> None:
        twice = node("node1", overcommit=Overcommit(cpu=2.0))
        given = world(jobs=[job(count=3, task=big(3000))], nodes=[twice], observed=[seen("node1")])
        assert len(places(given)) == 2

    def test_takes_so_much_of_what_is_not_reserved(self) -> None:
        found = node("node1", overcommit=Overcommit(memory=1.5), reserved=Resources(cpu=500, memory=GIB))
        assert found.room(Resources(cpu=4000, memory=3 * GIB, disk=7)) == Resources(
            cpu=3500, memory=3 * GIB, disk=7
        )

    def test_passes_the_guard_that_no_node_is_promised_more_than_it_has_p13(self) -> None:
        twice = node("node1", overcommit=Overcommit(cpu=2.0))
        given = world(jobs=[job(count=2, task=big(3000))], nodes=[twice], observed=[seen("node1")])
        check_room(reconcile(given, ALGORITHMS["tight"]), given)


class TestAVolumeThatSomebodyElseMakes:
    SPEC = replace(spec(), volumes=(Volume(source="photos", target="/photos", external=True),))

    def fleet(self, **volumes: tuple[str, ...] | None) -> World:
        looks = [replace(seen(name), volumes=found) for name, found in volumes.items()]
        return world(jobs=[job(task=self.SPEC)], observed=looks)

    def test_draws_the_task_to_its_node(self) -> None:
        assert places(self.fleet(node1=(), node2=("photos",))) == ["web/main[0] on node2"]

    def test_that_is_nowhere_keeps_the_task_waiting_and_says_what_helps(self) -> None:
        (wait,) = actions(self.fleet(node1=("other",)))
        assert [found.reason for found in wait.decision.refusals] == ["volume photos: it is not there"]
        (remedy,) = wait.decision.remedies
        assert remedy.fault == "has no volume photos"
        assert remedy.change.startswith("make photos there")

    def test_is_not_taken_for_absent_where_the_engine_did_not_tell_p3(self) -> None:
        (wait,) = actions(self.fleet(node1=None))
        assert [found.found for found in wait.decision.refusals] == ["unknown"]

    def test_is_not_asked_for_where_cube_makes_it(self) -> None:
        own = replace(spec(), volumes=(Volume(source="photos", target="/photos"),))
        assert len(places(world(jobs=[job(task=own)]))) == 1
