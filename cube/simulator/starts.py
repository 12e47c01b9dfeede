"""The laws about a start: where it may be, and when, given what its command has seen."""

from collections.abc import Mapping
from dataclasses import dataclass

from cube.model.action import Start
from cube.model.job import Group, Job, JobType
from cube.model.observation import Observation, Seen
from cube.model.policy import Condition, OnDisconnect, RestartMode
from cube.model.task import Health, Slot, State
from cube.simulator.history import History
from cube.simulator.laws import (
    ROUNDING,
    as_written,
    containers,
    must,
    ours,
    over_promised,
    parent_of,
    runs,
    slot_of,
)

MOVES = 2
"""Tasks of silent nodes that may be on their way elsewhere at a time; a tenth of all, if that is more."""


@dataclass(slots=True)
class Starts:
    """The starts of one command: `seen` is what it has seen, `moved` what has left silent nodes since."""

    history: History
    seen: Mapping[str, Observation]
    moved: int = 0

    def begins(self, effect: Start) -> None:
        """Every law about a task that is about to be started."""
        job = self.history.reading.job(effect.task.slot.job)
        group = job.group(effect.task.slot.group) if job else None
        self._has_room(effect)
        if job is None or group is None:
            return
        self._is_not_too_soon(effect, group)
        self._is_not_too_often(effect, group)
        if self.history.reading.starts(effect.task.id) == 1:
            self._leaves_silent_nodes_their_time(effect, group)
            self._is_on_no_node_that_left(effect)
            what = f"{effect.task.slot} of version {effect.task.version}"
            must(
                effect.task.spec == group.spec,
                f"1 only what is wanted is begun: {what}, {job.version} is wanted",
            )
            self._finds_what_it_depends_on(effect, job, group)
            self._goes_where_it_is_to_go(effect)
            if job.type_of(group) is JobType.SYSTEM:  # Its slots belong to nodes, and so does its data.
                self._is_its_nodes_own(effect)
            else:
                self._goes_where_its_data_is(effect)
            self._is_not_tried_elsewhere(effect, group)
            self._is_the_only_run(effect, job)
            self._is_no_double(effect)

    def _has_room(self, effect: Start) -> None:
        """P13, 5: what is recorded on the node fits into it, and each host port has one owner."""
        machine = self.history.site.machines.get(effect.node)
        if machine is None:
            return
        tasks = self.history.reading.tasks_on(effect.node)
        ports = (port for task in tasks for port in task.ports)
        too_much = over_promised(machine, [task.spec for task in tasks], ports)
        must(not too_much, too_much)

    def _leaves_silent_nodes_their_time(self, effect: Start, group: Group) -> None:
        """P8, 7, 17: no task is moved off a node that may come back, while we are cut off, or in a herd."""
        silent = {name for name, found in self.seen.items() if not isinstance(found, Seen)}
        here = [
            task
            for task in self.history.reading.tasks_of(effect.task.slot)
            if task.id != effect.task.id and task.spec == effect.task.spec and task.node in silent
        ]
        if not here:
            return
        what = f"{effect.task.slot} of silent {here[0].node} is started on {effect.node}"
        is_cut_off = len(silent) == len(self.seen) or (len(silent) > 2 and len(silent) * 2 > len(self.seen))
        must(not is_cut_off, f"P8 brakes: {what}")
        must(group.disconnect.then is not OnDisconnect.KEEP, f"P8 it was to be kept: {what}")
        self.moved += 1
        most = max(MOVES, self.history.reading.live() // 10)
        must(self.moved <= most, f"17 {self.moved} tasks move at a time: {what}")
        waited = self.history.engine.time - max(self.history.last_answer(task.node or "") for task in here)
        is_long = waited >= group.disconnect.lost_after - ROUNDING
        must(self.history.has_jumped or is_long, f"P8 after {waited:.0f}s of silence: {what}")

    def _is_on_no_node_that_left(self, effect: Start) -> None:
        """P3: what is on a machine that has left the inventory may run on, until somebody forgets it."""
        away = self.history.departed.keys() - self.seen.keys()
        left = [
            task.node
            for task in self.history.reading.tasks_of(effect.task.slot)
            if task.node in away
            and task.spec == effect.task.spec
            and task.id not in {effect.task.id, *self.history.forgotten}
        ]
        must(not left, f"P3 unknown is not absent: {effect.task.slot} begins, and is on {left}")

    def _is_not_too_soon(self, effect: Start, group: Group) -> None:
        """P8, 17: the k-th restart waits for at least half of `delay` * 2^(k-1), as far as `max_delay`."""
        events = self.history.reading.last_events(effect.task.id)
        failed_at = self.history.reading.failed_at(effect.task.id)
        was_failed = len(events) > 1 and events[1][0] == State.FAILED.value
        if self.history.has_jumped or failed_at is None or not was_failed:
            return
        policy, waited = group.restart, events[0][1] - failed_at
        wait = min(policy.max_delay, policy.delay * 2.0 ** max(effect.task.restarts - 1, 0)) / 2
        what = f"{effect.reason} of {effect.task.slot} after {waited:.1f}s"
        must(waited >= wait - ROUNDING, f"P8 backoff: {what}")

    def _is_not_too_often(self, effect: Start, group: Group) -> None:
        """P8, 17: no task is restarted more than `attempts` times within a window, whatever follows then."""
        now, policy = self.history.clock.now(), group.restart
        events = self.history.reading.last_events(effect.task.id)
        was_failed = len(events) > 1 and events[1][0] == State.FAILED.value
        if self.history.has_jumped or not was_failed:
            return
        restarts = self.history.reading.restarts(effect.task.id, since=now - policy.window + ROUNDING)
        what = f"{effect.task.slot} is restarted {restarts} times in {policy.window:.0f}s"
        must(restarts <= policy.attempts, f"P8 {what}: {effect.reason}")

    def _is_its_nodes_own(self, effect: Start) -> None:
        """P4, P7: a node gets no second task of a system group, and none that another node has."""
        slot = effect.task.slot
        here = self.history.reading.tasks_on(effect.node)
        others = [
            str(task.slot) for task in here if task.slot.group_key == slot.group_key and task.slot != slot
        ]
        must(not others, f"P4 at most one: {slot} begins on {effect.node} beside {others}: {effect.reason}")
        there = [
            task.node
            for task in self.history.reading.tasks_of(slot)
            if task.node not in (effect.node, None) and isinstance(self.seen.get(task.node or ""), Seen)
        ]
        must(not there, f"P7 no move without cause: {slot} of {there} begins on {effect.node}")

    def _is_not_tried_elsewhere(self, effect: Start, group: Group) -> None:
        """P7: what is to be tried again where it is gets no other task because it failed."""
        last = self.history.reading.last_on_a_node(effect.task.slot, but_not=effect.task.id)
        is_to_stay = group.restart.mode is RestartMode.DELAY and group.restart.attempts > 0
        if last is not None and last.spec == effect.task.spec and is_to_stay:
            what = f"{effect.task.slot} of {last.node} begins anew on {effect.node}: {effect.reason}"
            must(effect.task.reschedules == 0, f"P7 no move without cause: {what}")

    def _finds_what_it_depends_on(self, effect: Start, job: Job, group: Group) -> None:
        """A task is begun only when every group that its own waits for is there; or it takes a slot over."""
        if len(self.history.reading.tasks_of(effect.task.slot)) > 1:
            return
        alive = {
            slot_of(found)
            for look in self.seen.values()
            for found in containers(look)
            if found.identity is not None and runs(found)
        }
        for name, condition in group.depends_on.items():
            other = job.group(name)
            if condition is Condition.COMPLETED and other is not None:
                left = [index for index in range(other.count) if not self._has_ended_well(job, other, index)]
                what = f"{effect.task.slot} begins before {left} of {name} have ended well"
                must(not left, f"depends_on: {what}")
            if condition is Condition.HEALTHY and other is not None:
                up = sum((slot.job, slot.group) == (job.name, name) for slot in alive)
                # Closed and silent nodes have none.
                most = 1 if job.type_of(other) is JobType.SYSTEM else other.count
                what = f"{effect.task.slot} begins while {up} of {most} of {name} run"
                must(up >= most, f"depends_on: {what}")

    def _has_ended_well(self, job: Job, group: Group, index: int) -> bool:
        """Some task of the slot has, of the spec that is wanted, as the machine tells on which it was."""
        machines = (*self.history.site.machines.values(), *self.history.departed.values())
        done = {task for machine in machines for task, codes in machine.exits.items() if 0 in codes}
        tasks = self.history.reading.ended(Slot(job=job.name, group=group.name, index=index))
        return any(task.id in done and as_written(task.spec) == as_written(group.spec) for task in tasks)

    def _goes_where_it_is_to_go(self, effect: Start) -> None:
        """A slot that moves gets its new task on that node and nowhere else."""
        target = self.history.reading.moves().get(effect.task.slot, effect.node)
        must(target == effect.node, f"{effect.task.slot} begins on {effect.node}, and is to move to {target}")

    def _goes_where_its_data_is(self, effect: Start) -> None:
        """What the slot's last task has written is not left behind, unless somebody gave it up."""
        task = effect.task
        home = self.history.home(task.slot, task.spec, before=task.id)
        is_free = home in (None, effect.node, *self.history.given_up) or task.slot in self.history.moving
        must(is_free, f"{task.slot} begins anew on {effect.node}, and its data is on {home}")

    def _is_the_only_run(self, effect: Start, job: Job) -> None:
        """A run begins while another one is there only where its schedule allows it."""
        parent = self.history.reading.job(job.parent) if job.parent else None
        if parent is None or parent.schedule is None or not parent.schedule.prohibit_overlap:
            return
        others = [
            found.name
            for look in self.seen.values()
            for found in containers(look)
            if found.identity is not None
            and runs(found)
            and parent_of(slot_of(found).job) == parent.name
            and slot_of(found).job != job.name
        ]
        must(not others, f"prohibit_overlap: {effect.task.slot} begins beside {others}")

    def _is_no_double(self, effect: Start) -> None:
        """P4, 2: no slot is given a second task beside one that was seen to do what the new one is for.

        It may follow one of another version, one changed by hand, one on a node that is to be empty or leaves
        just now, and one of a slot that moves. Copies that a late effect or a silent node has left are the
        end's matter.
        """
        if effect.task.slot in {*self.history.reading.moves(), *self.history.moving}:
            return
        twins = {
            task.id: task.node
            for task in self.history.reading.tasks_of(effect.task.slot)
            if task.id != effect.task.id
            and task.spec == effect.task.spec
            and task.state is State.RUNNING
            and task.health in (Health.UNCHECKED, Health.HEALTHY)
            and task.node not in {*self.history.drained, *self.history.departed}
        }
        # A node that was just renamed is to be empty by its new name.
        leaving = {
            found.id
            for machine, found in ours(self.history.site.machines)
            if machine.name in self.history.drained
        }
        live = [
            found.name
            for node, look in self.seen.items()
            for found in containers(look)
            if found.identity is not None
            and twins.get(found.identity.task) == node
            and found.id not in leaving
            and runs(found)
            and not found.drift
            and found.health is not Health.UNHEALTHY
        ]
        what = f"{effect.task.slot} begins on {effect.node} beside {live}: {effect.reason}"
        must(not live, f"P4, 2 no double: {what}")
