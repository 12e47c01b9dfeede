"""`cube why`: a decision is kept as it was made, and told so that a person can check the sum."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cube.cli import why_now, why_recorded, why_told
from cube.cli.options import Output
from cube.cli.progress import print_plan, print_plan_and_why
from cube.errors import InputError
from cube.manager.office import Office
from cube.model.action import Decision, Place, Plan, Refusal, Wait
from cube.model.job import Job
from cube.model.node import Cluster, Cordon
from cube.model.resources import Resources
from cube.reconciler.fitting import Fitting, fittings
from cube.reconciler.reconcile import reconcile
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from cube.store.changes import decision_of
from cube.store.store import Store, open_store
from tests.build import GIB, NOW, job, node, seen, spec, task, unknown, world

TIGHT = ALGORITHMS["tight"]
NODES = tuple(node(f"node{number}") for number in (1, 2, 3, 4))
WEB = job("web", count=2)
HUGE = job("huge", task=replace(spec(), resources=Resources(cpu=100, memory=900 * GIB)))
SLOT = "web/main[0]"


@pytest.fixture
def place(tmp_path: Path) -> Office:
    return Office(cluster=Cluster(name="test", nodes=NODES), state=tmp_path / "test.db", keys=tmp_path)


@pytest.fixture
def store(place: Office) -> Iterator[Store]:
    made = open_store(place.state)
    yield made
    made.close()


def fleet(*jobs: Job) -> World:
    """Of four nodes node2 has another task, node3 takes no new ones, and node4 is silent."""
    return world(
        jobs=[job("old"), *jobs],
        tasks=[task(job="old", node="node2")],
        nodes=NODES,
        observed=[seen("node1"), seen("node2"), seen("node3"), unknown("node4")],
        cordons=[Cordon(node="node3", at=NOW, actor="ann")],
    )


def decided(*jobs: Job) -> dict[str, Place | Wait]:
    plan = reconcile(fleet(*jobs), TIGHT)
    return {str(found.slot): found for found in plan.actions if isinstance(found, Place | Wait)}


def record(store: Store, *jobs: Job, at: float = NOW) -> None:
    write(store, tuple(decided(*jobs).values()), at)


def write(store: Store, actions: Sequence[Place | Wait], at: float = NOW) -> None:
    for wanted in {action.slot.job for action in actions}:
        if store.job(wanted) is None:
            store.put_job(job(wanted), now=at, actor="ann", reason="deployed")
    store.record_plan(Plan(actions=tuple(actions)), now=at, actor="ann")


def told(place: Office, name: str, node: str | None = None, at: float = NOW) -> None:
    why_recorded.tell(place, name, node, at, Output.TABLE)


def cluster_of(names: Sequence[str]) -> Cluster:
    return Cluster(name="test", nodes=tuple(node(name) for name in names))


class TestWhatIsKept:
    def test_the_event_holds_the_decision_as_it_was_made(self, store: Store) -> None:
        record(store, WEB, HUGE)
        made = decided(WEB, HUGE)
        events = [event for event in store.events() if event.task]
        assert {str(event.slot) for event in events} == set(made)
        for event in events:
            kept, whole = decision_of(event), made[str(event.slot)].decision
            assert kept is not None
            assert kept == replace(whole, refused=whole.refusals_by_filter)

    def test_it_stays_small_however_many_nodes_there_are(self, store: Store) -> None:
        names = [f"n{number:04}" for number in range(2000)]
        many = Decision(
            scores=dict.fromkeys(names, 0.5),
            refusals=tuple(Refusal(node=f"r{name}", reason="full", filter="cpu") for name in names),
        )
        write(store, [replace(decided(WEB)[SLOT], decision=many)])
        (event,) = (event for event in store.events() if event.task)
        kept = decision_of(event)
        assert kept is not None
        assert len(json.dumps(dict(event.detail))) < 16_000
        assert (len(kept.scores) + kept.others, kept.refused) == (2000, {"cpu": 2000})

    def test_of_a_hundred_nodes_it_tells_of_each_also_where_they_were_asked_in_arrays(
        self, store: Store, place: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = [f"n{number:03}" for number in range(100)]
        looks = [seen(name, cpus=8 if at < 50 else 1) for at, name in enumerate(names)]
        large = replace(spec(), resources=Resources(cpu=2000, memory=GIB))
        plan = reconcile(world(jobs=[job("web", count=110, task=large)], observed=looks), TIGHT)
        write(store, [found for found in plan.actions if isinstance(found, Place)])
        events = [event for event in store.events() if event.task]
        assert len(events) == 110
        for event in events:
            kept = decision_of(event)
            assert kept is not None
            assert {*kept.scores, *(refusal.node for refusal in kept.refusals)} == set(names)
            assert len(json.dumps(dict(event.detail))) < 32_000
        told(replace(place, cluster=cluster_of(names)), "web/main[0]", "n099")
        assert "n099 could not take it" in capsys.readouterr().out

    def test_nodes_are_counted_that_refuse_and_not_their_reasons(self, store: Store) -> None:
        filters = ("cpu", "memory", "disk", "devices")
        refusals = tuple(
            Refusal(node=f"n{number:03}", reason="full", filter=name)
            for number in range(120)
            for name in filters
        )
        write(store, [replace(decided(WEB)[SLOT], decision=Decision(scores={}, refusals=refusals))])
        (event,) = (event for event in store.events() if event.task)
        kept = decision_of(event)
        assert kept is not None
        assert kept.refusals == refusals[: 50 * len(filters)]
        assert kept.refused == dict.fromkeys(filters, 120)

    def test_terms_add_up_to_the_score_and_margins_to_the_difference_exactly(self) -> None:
        decision = decided(WEB)[SLOT].decision
        assert set(decision.terms) == {"node1", "node2"}
        for name, terms in decision.terms.items():
            assert sum(term.points for term in terms) == round(decision.scores[name] * why_told.WHOLE)
        difference = decision.scores["node2"] - decision.scores["node1"]
        margins = why_told.margin(decision, "node2", "node1")
        assert sum(margins.values()) == round(difference * why_told.WHOLE)

    def test_a_silent_node_refuses_as_unknown_and_never_as_absent(self) -> None:
        (refusal,) = (found for found in decided(WEB)[SLOT].decision.refusals if found.node == "node4")
        assert (refusal.filter, refusal.wanted, refusal.found) == ("reachable", "an answer", "timed out")


class TestWhy:
    def test_a_placed_task_shows_every_candidate_the_margin_and_every_refusal(
        self, place: Office, store: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record(store, WEB)
        told(place, SLOT)
        shown = capsys.readouterr().out
        assert "Scheduled on node2" in shown
        assert "node2 beside node1, the runner-up:" in shown
        assert "node3  schedulable  open to new tasks  it is cordoned" in shown
        assert "node4  reachable    an answer          timed out" in shown

    def test_a_waiting_task_shows_every_filter_and_the_smallest_change(
        self, place: Office, store: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record(store, HUGE)
        told(place, "huge")
        shown = capsys.readouterr().out
        assert "Pending" in shown
        assert [line.split()[:2] for line in shown.splitlines() if line.startswith("node3")] == [
            ["node3", "schedulable"],
            ["node3", "memory"],
        ]
        assert "smallest change: node1 has no more than 8192MiB of memory in all" in shown

    def test_every_node_of_a_small_fleet_is_told_of_however_many_filters_refuse(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        refusals = tuple(
            Refusal(node=f"n{number}", reason="full", filter=name)
            for number in range(8)
            for name in ("cpu", "memory", "disk", "devices")
        )
        why_told.print_decision(Decision(scores={}, refusals=refusals), None)
        shown = capsys.readouterr().out
        assert [line.split()[:2] for line in shown.splitlines() if line.startswith("n")] == [
            [refusal.node, refusal.filter] for refusal in refusals
        ]
        assert "in all" not in shown

    def test_of_many_equal_nodes_the_one_that_was_picked_is_told_of_whatever_it_is_called(
        self, place: Office, store: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        names = [f"n{number:02}" for number in reversed(range(27))]
        nodes, looks = [node(name) for name in names], [seen(name) for name in names]
        plan = reconcile(world(jobs=[job()], nodes=nodes, observed=looks), TIGHT)
        write(store, [found for found in plan.actions if isinstance(found, Place)])
        told(place, SLOT)
        shown = capsys.readouterr().out
        assert "n26 beside n25, the runner-up:" in shown
        assert "and 7 candidates more" in shown

    def test_an_event_of_an_older_cube_that_did_not_keep_the_picked_node_is_told_all_the_same(
        self, place: Office, store: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(store, [replace(decided(WEB)[SLOT], decision=Decision(scores={"node1": 0.5, "node3": 0.5}))])
        told(place, SLOT)
        assert "node2 (its score was not kept), node1 0.5000" in capsys.readouterr().out
        told(place, SLOT, "node1")
        assert "node1 0.5000, node2 (its score was not kept)" in capsys.readouterr().out

    def test_of_a_node_that_the_event_does_not_tell_of_it_is_said_what_it_could_take_by_the_last_look(
        self, place: Office, store: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write(store, [replace(decided(WEB)[SLOT], decision=Decision(scores={"node2": 0.5}, others=3))])
        store.put_observations([seen("node1"), seen("node2"), unknown("node3")])
        told(place, SLOT, "node1")
        shown = capsys.readouterr().out
        assert "of node1 nothing was kept" in shown
        assert "as the fleet was seen last, not as it was then:\nweb/main: node1 " in shown
        told(place, SLOT, "node3")
        assert "what it could take now is not known" in capsys.readouterr().out

    def test_one_node_is_told_of_in_full_beside_the_one_that_was_picked(
        self, place: Office, store: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record(store, WEB)
        told(place, SLOT, "node1")
        assert "node1 beside node2, which is picked:" in capsys.readouterr().out
        told(place, SLOT, "node3")
        assert "it is cordoned" in capsys.readouterr().out

    def test_it_answers_for_the_past(
        self, place: Office, store: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What waited an hour ago and has its place now."""
        record(store, HUGE, at=NOW - 3600)
        small = replace(HUGE, groups=WEB.groups)
        (waiting,) = store.tasks("huge")
        action = decided(small)["huge/main[0]"]
        write(store, [replace(action, pending=waiting)])
        told(place, "huge/main[0]", at=NOW - 1800)
        assert "Pending" in capsys.readouterr().out
        told(place, waiting.id[:6], at=NOW)
        assert "Scheduled on node2" in capsys.readouterr().out

    def test_a_task_that_waits_for_something_else_since_is_told_that_and_no_older_refusals(
        self, place: Office, store: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        record(store, HUGE)
        (waiting,) = store.tasks("huge")
        later = replace(
            decided(HUGE)["huge/main[0]"],
            pending=waiting,
            decision=Decision(scores={}),
            reason="needs db",
        )
        write(store, [later], NOW + 1)
        told(place, "huge", at=NOW + 2)
        shown = capsys.readouterr().out
        assert "needs db" in shown
        assert "memory" not in shown

    def test_json_adds_up_too(self, place: Office, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
        record(store, WEB)
        why_recorded.tell(place, SLOT, None, NOW, Output.JSON)
        data = json.loads(capsys.readouterr().out)
        assert (data["picked"], data["runner_up"]) == ("node2", "node1")
        terms = {
            name: sum(term["points"] for term in found) for name, found in data["decision"]["terms"].items()
        }
        assert sum(data["margin"].values()) == terms["node2"] - terms["node1"]

    @pytest.mark.parametrize(
        ("name", "node", "cure"),
        [
            ("wep/main[0]", None, "Did you mean 'web/main[0]'"),
            ("web", None, r"One of: web/main\[0\], web/main\[1\]"),
            (SLOT, "noed1", "Did you mean 'node1'"),
        ],
    )
    def test_an_unknown_name_is_refused_with_the_nearest_one(
        self, place: Office, store: Store, name: str, node: str | None, cure: str
    ) -> None:
        record(store, WEB)
        with pytest.raises(InputError, match=cure.replace("[0]'", r"\[0\]'")):
            told(place, name, node)


class TestWhyNot:
    def fitting(self, node: str, of: Job = WEB) -> Fitting:
        (found,) = fittings(fleet(of), of, node, TIGHT)
        return found

    def test_a_node_that_can_is_told_beside_the_one_that_would_be_picked(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = self.fitting("node1")
        assert (found.fits, found.picked) == (True, "node2")
        why_now.print_fitting(found, "web")
        shown = capsys.readouterr().out
        assert "node1 could take one task more, and node2 would be picked" in shown
        assert "node1 beside node2, which is picked:" in shown

    def test_a_node_that_cannot_is_told_with_every_filter_and_what_would_help(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = self.fitting("node3", HUGE)
        assert not found.fits
        why_now.print_fitting(found, "huge")
        shown = capsys.readouterr().out
        assert "schedulable" in shown
        assert "memory" in shown
        assert "smallest change: cube node uncordon node3; and ask for 8192MiB, or add a node" in shown

    def test_the_answer_is_what_a_deploy_of_one_task_more_would_do(self) -> None:
        more = decided(job("web", count=1))[SLOT]
        assert isinstance(more, Place)
        assert self.fitting("node1").picked == more.node


class TestAPlan:
    def test_says_in_one_line_what_spoke_for_each_node(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_plan(Plan(actions=tuple(decided(WEB).values())))
        lines = capsys.readouterr().out.splitlines()
        at = next(number for number, line in enumerate(lines) if "+ start web/main[0] on node2" in line)
        assert lines[at + 1].strip().startswith("against node1 (")
        assert "own +" in lines[at + 1]

    def test_says_of_a_slot_that_fits_nowhere_what_would_help(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        print_plan(Plan(actions=tuple(decided(HUGE).values())))
        assert "smallest change: node1 has no more than" in capsys.readouterr().out

    def test_tells_all_where_that_is_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        print_plan_and_why(Plan(actions=tuple(decided(WEB, HUGE).values())))
        shown = capsys.readouterr().out
        assert "node2 beside node1, the runner-up:" in shown
        assert "huge/main[0] waits: fits on none of 4 nodes" in shown

    def test_of_many_nodes_that_refuse_tells_how_many_each_filter_refuses(self) -> None:
        refusals = tuple(
            Refusal(node=f"n{number}", reason="full", filter="cpu" if number else "disk")
            for number in range(1000)
        )
        (line,) = why_told.why_nowhere(Decision(scores={}, refusals=refusals))
        assert line == "refused by cpu on 999 nodes, disk on 1 node"
