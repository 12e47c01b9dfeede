"""The files of tasks that run, and the order in which a task leaves them and ends: decision by decision."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cube.manager.planning import planned
from cube.manager.served import served_by
from cube.model.action import Place, Plan, Refresh, Stop
from cube.model.files import Delivered, hash_of, mark_of
from cube.model.job import Job, OnChange, Port, Telling, Template
from cube.model.node import Access, Cluster, Node
from cube.model.observation import Container, Observation
from cube.model.policy import UpdatePolicy
from cube.model.rollout import Rollout
from cube.model.task import Health, State, Task
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from tests.build import NOW, container, job, seen, spec, task, unknown, world

NODES = tuple(Node(name=f"node{n}", access=Access(address=f"192.0.2.{n}")) for n in (1, 2, 3))
CLUSTER = Cluster(name="test", nodes=NODES)
HUP = OnChange(telling=Telling.SIGNAL, signal="SIGHUP")
RESTART = OnChange()
NONE = OnChange(telling=Telling.NONE)
CHECK = OnChange(telling=Telling.EXEC, command=("nginx", "-s", "reload"))
LIST = "{% for each in service('web') %}{{ each.address }}:{{ each.ports.http }}\n{% endfor %}"
LONG_AGO = NOW - 1000
WEB = spec(ports=(Port(name="http", container=80),))


def template(text: str = LIST, on_change: OnChange = HUP, target: str = "/etc/list") -> Template:
    return Template(target=target, source="list.j2", text=text, on_change=on_change)


def web(number: int, *, version: int = 1, node: str = "node1", **changes: Any) -> Task:
    found = task(0, node=node, version=version, spec=replace(WEB, env={"V": str(version)}))
    return replace(found, id=f"web-{number}", order=number, ports={"http": 20000 + number}, **changes)


def proxy(*templates: Template, index: int = 0, node: str = "node2") -> Task:
    found = task(index, job="proxy", node=node, spec=spec(templates=templates or (template(),)))
    return replace(found, order=100 + index)


def there(*texts: str, told: Sequence[str] | None = None, at: float = LONG_AGO) -> Delivered:
    """Files with these texts, their process told of `told`, by default of the same."""
    hashes = tuple(hash_of(text) if text else "" for text in texts)
    mark = mark_of(hashes if told is None else map(hash_of, told))
    return Delivered(hashes=hashes, told=mark, told_at=at)


def listing(*numbers: int) -> str:
    return "".join(f"192.0.2.1:{20000 + number}\n" for number in numbers)


def held(of: Task, files: Delivered | None) -> Container:
    return container(of, files=files)


def given(
    tasks: Iterable[Task],
    files: Mapping[str, Delivered | None],
    *,
    jobs: Iterable[Job],
    silent: Sequence[str] = (),
) -> World:
    """Every task runs on its node, with those files; nodes that are silent are unknown."""
    found = tuple(tasks)
    looks: list[Observation] = []
    for node in NODES:
        containers = [held(each, files.get(each.id)) for each in found if each.node == node.name]
        looks.append(unknown(node.name) if node.name in silent else seen(node.name, *containers))
    rollouts = [Rollout(job=each.name, version=each.version, since=LONG_AGO) for each in jobs]
    return world(jobs=jobs, tasks=found, observed=looks, nodes=NODES, rollouts=rollouts)


def plan_of(found: World) -> Plan:
    return planned(CLUSTER, found, ALGORITHMS["spread"])


def refreshes(plan: Plan) -> list[Refresh]:
    return [action for action in plan.actions if isinstance(action, Refresh)]


def stops(plan: Plan) -> list[str]:
    return [action.task.id for action in plan.actions if isinstance(action, Stop) and action.task]


class TestWhoServes:
    def names(self, *tasks: Task, leaving: Sequence[str] = ()) -> list[str]:
        return [each["name"] for each in served_by(CLUSTER, world(tasks=tasks), leaving).service("web")]

    @pytest.mark.parametrize(
        ("changes", "is_listed"),
        [
            ({}, True),
            ({"health": Health.HEALTHY}, True),
            ({"health": Health.STARTING}, False),
            ({"health": Health.UNHEALTHY}, False),
            ({"state": State.SCHEDULED}, False),
            ({"state": State.FAILED}, False),
            ({"node": "gone"}, False),
        ],
    )
    def test_are_those_that_run_and_are_healthy_where_that_is_asked(
        self, changes: dict[str, Any], *, is_listed: bool
    ) -> None:
        assert bool(self.names(replace(web(1), **changes))) is is_listed

    def test_are_listed_in_one_order_with_all_that_a_proxy_needs(self) -> None:
        tasks = [web(2, version=2), web(1), replace(task(3, node="node2"), health=Health.HEALTHY)]
        service = served_by(CLUSTER, world(tasks=tasks)).service
        backwards = served_by(CLUSTER, world(tasks=reversed(tasks))).service
        assert service("web") == backwards("web") == service("web/main")
        assert service("web")[0] == {
            "name": "web-main-0-web-1",
            "task": "web/main[0]",
            "job": "web",
            "group": "main",
            "index": 0,
            "version": 1,
            "canary": False,
            "node": "node1",
            "address": "192.0.2.1",
            "datacenter": "dc1",
            "health": "unchecked",
            "ports": {"http": 20001},
            "port": 20001,
        }
        assert "port" not in service("web")[2]
        assert service("web/other") == service("nobody") == []

    def test_are_not_those_that_leave(self) -> None:
        assert self.names(web(1), web(2), leaving=["web-1"]) == ["web-main-0-web-2"]


class TestAFile:
    def plan(self, files: Delivered | None, *templates: Template) -> Plan:
        """Of a proxy with that on its node, where web-1 serves."""
        one = proxy(*templates)
        jobs = [job("web", task=web(1).spec), job("proxy", task=one.spec)]
        return plan_of(given([web(1), one], {one.id: files}, jobs=jobs))

    def test_that_is_as_it_is_to_be_is_left_alone(self) -> None:
        assert self.plan(there(listing(1))).changes == ()

    def test_is_changed_when_it_is_to_be_another_and_the_task_is_told(self) -> None:
        (refresh,) = refreshes(self.plan(there("old")))
        assert (refresh.texts, refresh.tellings, refresh.node) == ((listing(1),), (HUP,), "node2")
        assert refresh.reason == "/etc/list is another file now"

    def test_is_not_touched_where_nobody_could_tell_what_is_there(self) -> None:
        assert self.plan(None).changes == ()

    def test_whose_task_was_not_told_is_told_again(self) -> None:
        (refresh,) = refreshes(self.plan(there(listing(1), told=["old"])))
        assert (refresh.tellings, refresh.reason) == ((HUP,), "it was not told of its files as they are")

    @pytest.mark.parametrize(("tries", "wait"), [(1, 5), (2, 10), (4, 40), (7, 320), (40, 600)])
    def test_whose_task_could_not_be_told_is_told_again_later_each_time(self, tries: int, wait: int) -> None:
        waiting, due = (
            self.plan(replace(there(listing(1), told=["old"], at=NOW - ago), tries=tries))
            for ago in (wait - 1, wait)
        )
        assert (refreshes(waiting), waiting.later["proxy"]) == ([], NOW + 1)
        assert waiting.due == ({"proxy": NOW + 1} if tries < 5 else {}), (
            "a command waits for no more than the first tries"
        )
        assert [refresh.tries for refresh in refreshes(due)] == [tries]

    def test_that_is_to_be_another_is_changed_at_once_however_often_telling_failed(self) -> None:
        (refresh,) = refreshes(self.plan(replace(there("old", told=["older"], at=NOW), tries=6)))
        assert refresh.texts == (listing(1),)

    def test_that_an_older_cube_brought_is_left_alone_where_it_is_right(self) -> None:
        assert self.plan(replace(there(listing(1)), told=None)).changes == ()

    @pytest.mark.parametrize("how", [HUP, NONE])
    def test_that_was_removed_is_put_back_by_a_restart_for_only_that_mounts_it_anew(
        self, how: OnChange
    ) -> None:
        (refresh,) = refreshes(self.plan(there(""), template(on_change=how)))
        assert (refresh.tellings, refresh.restarts) == ((RESTART,), True)
        assert refresh.reason == "/etc/list was removed from the node"

    def test_of_which_nobody_is_told_is_only_written(self) -> None:
        (refresh,) = refreshes(self.plan(there("old"), template(on_change=NONE)))
        assert refresh.tellings == ()

    def test_that_was_put_back_and_not_mounted_yet_is_mounted_by_a_restart_p9(self) -> None:
        put_back = there(listing(1), told=[])
        (refresh,) = refreshes(self.plan(put_back, template(on_change=NONE)))
        assert refresh.tellings == (RESTART,)

    def test_tells_in_its_own_way_once_and_a_restart_tells_all(self) -> None:
        two = template("two", HUP, "/two"), template("three", CHECK, "/three"), template("four", HUP, "/four")
        (refresh,) = refreshes(self.plan(there("two", "old", "old"), *two))
        assert refresh.tellings == (CHECK, HUP)
        (refresh,) = refreshes(self.plan(there("old", "three", "four", told=[]), *two))
        assert refresh.tellings == (HUP, CHECK)
        (refresh,) = refreshes(
            self.plan(there("old", "old"), template("a", HUP, "/a"), template("b", RESTART, "/b"))
        )
        assert refresh.tellings == (RESTART,)

    def test_that_cannot_be_made_stays_as_it_is_and_a_person_is_warned(self) -> None:
        plan = self.plan(there("old"), template("{{ service('web')[7].address }}"))
        assert refreshes(plan) == []
        assert "the files of proxy/main[0] stay as they are: templates/list.j2:1:1" in plan.warnings[0]

    def test_restarts_no_more_of_a_group_at_once_than_an_update_would(self) -> None:
        found = [proxy(template("new", RESTART), index=index, node=f"node{index + 1}") for index in range(3)]
        wanted = [job("proxy", count=3, task=found[0].spec, max_parallel=2)]
        old = {each.id: there("old") for each in found}
        assert len(refreshes(plan_of(given(found, old, jobs=wanted)))) == 2
        fresh = replace(found[0], healthy_since=NOW - 1)
        plan = plan_of(given([fresh, *found[1:]], old, jobs=wanted))
        assert (len(refreshes(plan)), plan.due) == (1, {"proxy": NOW - 1 + UpdatePolicy().min_healthy_time})
        told = [proxy(template("new"), index=index, node=f"node{index + 1}") for index in range(3)]
        wanted = [job("proxy", count=3, task=told[0].spec)]
        assert len(refreshes(plan_of(given(told, old, jobs=wanted)))) == 3, "a signal takes nobody away"


class TestATaskThatLeaves:
    """web-2, of the new version, has proven itself beside web-1."""

    def plan(self, files: Delivered | None, *, silent: Sequence[str] = (), **changes: Any) -> Plan:
        wanted = [job("web", task=web(2, version=2).spec, version=2), job("proxy", task=proxy().spec)]
        drain = changes.pop("drain", 5.0)
        wanted[0] = replace(wanted[0], groups=(replace(wanted[0].groups[0], drain=drain),))
        tasks = [web(1), web(2, version=2), replace(proxy(), **changes)]
        return plan_of(given(tasks, {proxy().id: files}, jobs=wanted, silent=silent))

    def test_leaves_the_file_first_and_serves_on(self) -> None:
        plan = self.plan(there(listing(1, 2)))
        (refresh,) = refreshes(plan)
        assert refresh.texts == (listing(2),)
        assert stops(plan) == []
        why = "the files of proxy/main[0] on node2 name it: they are being changed"
        assert [str(each) for each in plan.held] == [f"web/main: 1 still to be replaced: {why}"]

    def test_serves_on_until_the_reader_was_told_and_not_only_its_file_is_right(self) -> None:
        assert stops(self.plan(there(listing(2), told=[listing(1, 2)]))) == []

    def test_waits_no_more_for_a_reader_that_could_not_be_told_five_times(self) -> None:
        untold = [replace(there(listing(2), told=[listing(1, 2)]), tries=tries) for tries in (4, 5)]
        assert [stops(self.plan(each)) for each in untold] == [[], ["web-1"]]
        assert any("nobody waits for proxy/main[0]" in told for told in self.plan(untold[1]).warnings)

    def test_drains_and_then_ends(self) -> None:
        plan = self.plan(there(listing(2), at=NOW - 3))
        assert (stops(plan), refreshes(plan), plan.due) == ([], [], {"web": NOW + 3})
        assert stops(self.plan(there(listing(2), at=NOW - 6))) == ["web-1"]
        assert stops(self.plan(there(listing(2), at=NOW - 6), drain=60.0)) == []

    def test_is_not_ended_where_nobody_could_tell_what_the_reader_has(self) -> None:
        assert stops(self.plan(None)) == []

    def test_waits_for_no_reader_on_a_node_that_does_not_answer(self) -> None:
        assert stops(self.plan(there(listing(1, 2)), silent=["node2"])) == ["web-1"]

    def test_waits_for_no_reader_that_serves_nobody(self) -> None:
        assert stops(self.plan(there(listing(1, 2)), health=Health.STARTING)) == ["web-1"]

    def test_ends_at_once_where_no_file_names_its_job(self) -> None:
        other = template("{{ service('other') | length }}")
        wanted = [job("web", task=web(2, version=2).spec, version=2), job("proxy", task=proxy(other).spec)]
        tasks = [web(1), web(2, version=2), proxy(other)]
        assert stops(plan_of(given(tasks, {proxy(other).id: there("0")}, jobs=wanted))) == ["web-1"]

    @pytest.mark.parametrize(("most", "drained", "begun"), [(1, 3, 0), (2, 3, 1), (1, 6, 1)])
    def test_counts_as_under_way_until_it_has_ended(self, most: int, drained: int, begun: int) -> None:
        """Else old tasks would pile up while they drain, and each new one begin the drain of all anew."""
        new = web(2, version=2)
        wanted = job("web", count=3, task=new.spec, version=2, max_parallel=most)
        others = [replace(task(index, node="node1", spec=web(1).spec), ports={}) for index in (1, 2)]
        tasks = [web(1), new, *others, proxy(template("{{ service('web') | length }}"))]
        files = {proxy().id: there("3", at=NOW - drained)}
        jobs = [wanted, job("proxy", task=tasks[-1].spec)]
        plan = plan_of(given(tasks, files, jobs=jobs))
        assert len([action for action in plan.actions if isinstance(action, Place)]) == begun
        assert len(stops(plan)) == (drained == 6)

    def test_is_back_in_the_file_where_the_new_one_does_not_serve_after_all(self) -> None:
        wanted = [job("web", task=web(2, version=2).spec, version=2), job("proxy", task=proxy().spec)]
        tasks = [web(1), web(2, version=2, health=Health.STARTING), proxy()]
        plan = plan_of(given(tasks, {proxy().id: there("")}, jobs=wanted))
        assert refreshes(plan)[0].texts == (listing(1),)
