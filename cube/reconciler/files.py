"""Files first: a running task's files are put right, and what one of them names is not just stopped.

The file that lists a task is written without it, and its reader told, before the task is stopped; so a proxy
sends nobody to a task that is gone. The others in it are those that serve.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from cube.model.action import Action, Held, Place, Plan, Quarantine, Refresh, Start, Stop
from cube.model.files import Delivered, Files
from cube.model.job import DRAIN, Group, OnChange, Telling
from cube.model.task import GroupKey, State, Task
from cube.reconciler.due import first_of_each
from cube.reconciler.elapsed import due_at
from cube.reconciler.tasks import is_proven, proven_at, serves
from cube.reconciler.tries import is_beyond_telling, next_try, tried_at
from cube.reconciler.world import World

WHOLE = 1.0
"""Seconds: a file's time has no parts of them."""


_ENDS = (Start, Stop, Quarantine)
"""Whoever is started, or ends, has its files written by that, or needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A running task with files: what they are to be, their hashes, and what is there; None: nobody knows."""

    task: Task
    container: str
    files: Files
    hashes: tuple[str, ...]
    delivered: Delivered | None

    @property
    def is_given_up(self) -> bool:
        """It could not be told so often that nobody waits for it."""
        return self.delivered is not None and is_beyond_telling(self.delivered)


def leaving(plan: Plan, world: World) -> frozenset[str]:
    """The ids of the tasks that serve, and that the plan stops."""
    stops = (action for action in plan.actions if isinstance(action, Stop))
    return frozenset(stop.task.id for stop in stops if stop.task is not None and serves(stop.task, world))


def has_files(task: Task, world: World) -> bool:
    """It runs, is seen to, and has files that may change."""
    if not task.spec.templates or task.state is not State.RUNNING:
        return False
    container = world.container(task)
    return container is not None and container.state.is_alive and not container.is_cut_off


def files_first(plan: Plan, world: World, wanted: Mapping[str, Files]) -> Plan:
    """The plan with what its tasks' files need, and without the stops of those that a file still names.

    `wanted` are the files of each task that `has_files`, by its id, as they are once those that the plan
    stops are gone.
    """
    readers = tuple(_readers(world, wanted))
    retries = dict(_retries(readers, world))
    asked = [
        found
        for reader in readers
        if reader.task.id not in retries and (found := _refresh(reader)) is not None
    ]
    now = {refresh.task.id: refresh for refresh in _few_restarts(asked, world)}
    later = retries | {
        found.task.id: _restart_due(found.task, world) for found in asked if found.task.id not in now
    }
    waits = tuple(_waits(plan, world, readers, later))
    held = {wait.stop.task.id for wait in waits if wait.stop.task is not None}
    ends = {stop.task.id for stop in plan.actions if isinstance(stop, _ENDS) and stop.task is not None}
    again = [(reader, at) for reader in readers if (at := later.get(reader.task.id)) is not None]
    due = [
        *((wait.job, wait.until) for wait in waits if wait.until is not None),
        *((reader.task.slot.job, at) for reader, at in again if not reader.is_given_up),
    ]
    seldom = [(reader.task.slot.job, at) for reader, at in again if reader.is_given_up]
    return replace(
        plan,
        actions=(
            *(refresh for task, refresh in now.items() if task not in ends - held),
            *_few_begins(plan.actions, waits, world),
        ),
        due=first_of_each((*plan.due.items(), *due)),
        later=first_of_each((*plan.later.items(), *due, *seldom)),
        held=(*plan.held, *_held(waits)),
        warnings=(*plan.warnings, *_warnings(readers)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wait:
    """A stop that is put off, until when (None: until something else has happened), and why."""

    stop: Stop
    until: float | None
    reason: str

    @property
    def job(self) -> str:
        """Whose task it is."""
        assert self.stop.task is not None
        return self.stop.task.slot.job


def _few_begins(actions: Sequence[Action], waits: Sequence[_Wait], world: World) -> Iterator[Action]:
    """All but the stops that wait, and for each of them one beginning less: that one is not over yet."""
    held = {wait.stop.container for wait in waits}
    filled = {task.slot for task in world.tasks if serves(task, world)}
    left = Counter(
        action.slot.group_key for action in actions if isinstance(action, Place) and action.slot in filled
    )
    left.subtract(wait.stop.task.slot.group_key for wait in waits if wait.stop.task is not None)
    for action in actions:
        if isinstance(action, Place) and action.slot in filled:
            left[action.slot.group_key] -= 1
            if left[action.slot.group_key] < 0:
                continue
        if not (isinstance(action, Stop) and action.container in held):
            yield action


def _readers(world: World, wanted: Mapping[str, Files]) -> Iterator[Reader]:
    for task in world.tasks:
        container = world.container(task)
        if task.id in wanted and container is not None:
            files = wanted[task.id]
            yield Reader(
                task=task,
                container=container.id,
                files=files,
                hashes=files.hashes,
                delivered=container.files,
            )


def _retries(readers: Iterable[Reader], world: World) -> Iterator[tuple[str, float]]:
    """The tasks that have their files, and could not be told of them, and when that is tried again."""
    for reader in readers:
        seen, delivered = world.seen(reader.task.node), reader.delivered
        if seen is None or delivered is None or delivered.is_told or delivered.hashes != reader.hashes:
            continue
        at = next_try(delivered, seen, world.now)
        if at > world.now:
            yield reader.task.id, at


def _refresh(reader: Reader) -> Refresh | None:
    """What is done about its files; None: nothing, or nobody knows what is there."""
    task, delivered, hashes = reader.task, reader.delivered, reader.hashes
    if reader.files.error or delivered is None or len(delivered.hashes) != len(hashes):
        return None
    pairs = tuple(zip(task.spec.templates, delivered.hashes, hashes, strict=True))
    changed = [template for template, there, wanted in pairs if there != wanted]
    gone = [template for template, there, _ in pairs if not there]
    if not changed and delivered.is_told:
        return None
    tellings = _tellings(each.on_change for each in (changed if delivered.is_told else task.spec.templates))
    # What the container has mounted is the file that was removed: only a new start mounts the new one. And
    # that alone is told to a process which is told of no change.
    if gone or not (tellings or delivered.is_told):
        tellings = (OnChange(telling=Telling.RESTART),)
    names = ", ".join(template.target for template in changed)
    what = f"{names} is another file now" if changed else "it was not told of its files as they are"
    return Refresh(
        task=task,
        container=reader.container,
        texts=reader.files.texts,
        tellings=tellings,
        grace=task.spec.stop_grace,
        tries=0 if delivered.is_told else delivered.tries,
        reason=f"{', '.join(each.target for each in gone)} was removed from the node" if gone else what,
        services=tuple(sorted(reader.files.services)),
    )


def _tellings(asked: Iterable[OnChange]) -> tuple[OnChange, ...]:
    """Each once; a restart tells all."""
    found = tuple(dict.fromkeys(each for each in asked if each.telling is not Telling.NONE))
    return tuple(each for each in found if each.telling is Telling.RESTART) or found


def _few_restarts(refreshes: Sequence[Refresh], world: World) -> Iterator[Refresh]:
    """All but the restarts of tasks that serve, where too few of their group would be left."""
    left: dict[GroupKey, int] = {}
    for refresh in refreshes:
        if refresh.restarts and serves(refresh.task, world):
            key = refresh.task.slot.group_key
            left.setdefault(key, _may_restart(refresh.task, world))
            left[key] -= 1
            if left[key] < 0:
                continue
        yield refresh


def _may_restart(task: Task, world: World) -> int:
    """How many of its group may restart at once, as in an update, beside those that are not proven."""
    group = _group_of(task, world)
    return 1 if group is None else group.update.max_parallel - len(_unproven(task, group, world))


def _restart_due(task: Task, world: World) -> float | None:
    """When time alone will let it restart; None: never."""
    group = _group_of(task, world)
    if group is None:
        return world.now + WHOLE
    waited_for = [peer for peer in _unproven(task, group, world) if serves(peer, world)]
    return min((proven_at(peer, group, world.now) for peer in waited_for), default=None)


def _unproven(task: Task, group: Group, world: World) -> list[Task]:
    """The newest tasks of its group that have not yet shown that they serve."""
    peers = [peer for peer in world.newest_tasks(task.slot.job) if peer.slot.group == group.name]
    return [peer for peer in peers if not is_proven(peer, group, world)]


def _waits(
    plan: Plan, world: World, readers: Sequence[Reader], later: Mapping[str, float | None]
) -> Iterator[_Wait]:
    """`later`: when the readers are told that cannot be told now."""
    ending = leaving(plan, world)
    for action in plan.actions:
        if isinstance(action, Stop) and action.task is not None and action.task.id in ending:
            task = action.task
            names = {task.slot.job, f"{task.slot.job}/{task.slot.group}"}
            named_by = [
                reader
                for reader in readers
                if reader.files.services & names and serves(reader.task, world) and reader.task.id != task.id
            ]
            if (wait := _longest(action, named_by, world, later)) is not None:
                yield wait


def _longest(
    stop: Stop, readers: Iterable[Reader], world: World, later: Mapping[str, float | None]
) -> _Wait | None:
    """What the stop waits for; None: every reader has been told for long enough."""
    until, last = world.now, None
    for reader in readers:
        where = f"{reader.task.slot} on {reader.task.node}"
        if why := _why_behind(reader):
            reason = f"the files of {where} name it: {why}"
            return _Wait(stop=stop, until=later.get(reader.task.id), reason=reason)
        at = _drained_at(stop, reader, world)
        if at > until:
            until, last = at, where
    if last is None:
        return None
    return _Wait(stop=stop, until=until, reason=f"it drains: the files of {last} do not name it any more")


def _why_behind(reader: Reader) -> str:
    if reader.files.error:
        return f"they cannot be made anew: {reader.files.error}"
    if reader.delivered is None:
        return "nobody could tell what is there"
    is_behind = reader.delivered.hashes != reader.hashes or not reader.delivered.is_told
    if is_behind and not reader.is_given_up:
        return "they are being changed"
    return ""


def _drained_at(stop: Stop, reader: Reader, world: World) -> float:
    """When the task will have served on for long enough after that reader was told."""
    seen = world.seen(reader.task.node)
    if stop.task is None or seen is None or reader.delivered is None or reader.delivered.told is None:
        return world.now
    group = _group_of(stop.task, world)
    drain = DRAIN if group is None else group.drain
    return due_at(tried_at(reader.delivered, seen), drain + WHOLE, world.now)


def _held(waits: Iterable[_Wait]) -> tuple[Held, ...]:
    """One of each group, which tells of all."""
    groups: dict[GroupKey, Held] = {}
    for wait in waits:
        assert wait.stop.task is not None
        slot = wait.stop.task.slot
        before = groups.get(slot.group_key)
        one = Held(job=slot.job, group=slot.group, count=1, reason=wait.reason)
        groups[slot.group_key] = replace(before, count=before.count + 1) if before else one
    return tuple(groups.values())


def _warnings(readers: Iterable[Reader]) -> Iterator[str]:
    for reader in readers:
        if reader.files.error:
            yield f"the files of {reader.task.slot} stay as they are: {reader.files.error}"
        elif reader.is_given_up:
            yield f"nobody waits for {reader.task.slot} any more: {reader.task.reason}"


def _group_of(task: Task, world: World) -> Group | None:
    job = next((found for found in world.jobs if found.name == task.slot.job), None)
    return None if job is None else job.group(task.slot.group)
