"""What a job's type, its groups and its keys must be to each other, each rule a function; and all rules."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from cube.document.check import Problem, shown
from cube.model.job import JobType
from cube.model.policy import Condition
from cube.spec.rules import RULES
from cube.spec.schema import GroupSchema, JobSchema


def broken(job: JobSchema) -> Iterator[Problem]:
    """Every broken rule, of the job and of every group, at its place in the job."""
    for rule in JOB_RULES:
        yield from rule(job)
    for name, group in job.groups.items():
        for of_group in RULES:
            for path, what, key in of_group(group):
                yield Problem(("groups", name, *path), what, key)


def unknown_scheduler(job: JobSchema, known: Collection[str]) -> Iterator[Problem]:
    """Nobody could choose its nodes: which algorithms there are, the installation says."""
    if job.scheduler is not None and job.scheduler not in known:
        what = f"there is no scheduler {shown(job.scheduler)}; known: {', '.join(known) or 'none'}"
        yield Problem(("scheduler",), what)


def type_of(job: JobSchema, group: GroupSchema) -> JobType:
    """How long the group's tasks live: a run of a periodic or parameterized job is a batch job."""
    kind = JobType(group.type or job.type)
    return JobType.BATCH if kind.is_template else kind


def a_periodic_job_has_a_schedule(job: JobSchema) -> Iterator[Problem]:
    """And no other job has one."""
    if job.type == JobType.PERIODIC and job.schedule is None:
        yield Problem((), "the key 'schedule' is missing: a periodic job runs when it says so")
    if job.type != JobType.PERIODIC and job.schedule is not None:
        what = f"'schedule' is for periodic jobs; this one is a {job.type} job"
        yield Problem(("schedule",), f"{what}: write 'type: periodic', or remove the key", key=True)


def only_a_parameterized_job_has_parameters(job: JobSchema) -> Iterator[Problem]:
    """Nobody gives a value to the parameters of another."""
    if job.type != JobType.PARAMETERIZED and job.parameters is not None:
        what = f"'parameters' are for parameterized jobs; this one is a {job.type} job"
        yield Problem(("parameters",), f"{what}: write 'type: parameterized', or remove the key", key=True)


def no_parameter_twice(job: JobSchema) -> Iterator[Problem]:
    """Neither in one list nor in both."""
    if job.parameters is None:
        return
    seen: set[str] = set()
    for key, names in (("required", job.parameters.required), ("optional", job.parameters.optional)):
        for index, name in enumerate(names):
            if name in seen:
                yield Problem(("parameters", key, index), f"the parameter '{name}' stands here twice")
            seen.add(name)


def groups_have_types_in_services_and_batches(job: JobSchema) -> Iterator[Problem]:
    """The groups of any other job are what the job is."""
    if job.type in (JobType.SERVICE, JobType.BATCH):
        return
    for name, group in job.groups.items():
        if group.type is not None:
            what = f"the groups of a {job.type} job have no type of their own; remove the key"
            yield Problem(("groups", name, "type"), what, key=True)


def a_system_group_counts_nothing(job: JobSchema) -> Iterator[Problem]:
    """It is one task on each node."""
    for name, group in job.groups.items():
        if type_of(job, group) is JobType.SYSTEM and "count" in group.model_fields_set:
            kind = "job" if job.type == JobType.SYSTEM else "group"
            what = f"a system {kind} has one task on each node, and no count; remove the key"
            yield Problem(("groups", name, "count"), what, key=True)


def canaries_are_of_the_count(job: JobSchema) -> Iterator[Problem]:
    """No more canaries than tasks; how many a system group has, the fleet says."""
    for name, group in job.groups.items():
        if type_of(job, group) is not JobType.SYSTEM and group.update.canary > group.count:
            what = f"'canary' ({group.update.canary}) cannot be more than 'count' ({group.count})"
            yield Problem(("groups", name, "update", "canary"), what)


def only_what_stays_is_backed_up(job: JobSchema) -> Iterator[Problem]:
    """By the clock: whoever ends by itself can keep what it has written when it ends."""
    for name, group in job.groups.items():
        for index, volume in enumerate(group.volumes):
            if volume.backup is not None and type_of(job, group) is JobType.BATCH:
                what = "'backup' is for groups of services and system jobs; this one is a batch group"
                yield Problem(("groups", name, "volumes", index, "backup"), what, key=True)


def what_is_waited_for_can_come(job: JobSchema) -> Iterator[Problem]:
    """A group of the job that can be as it is asked to be: a batch completes, all others become healthy."""
    for name, group in job.groups.items():
        for other, condition in group.depends_on.items():
            if why := _never(job, name, other, Condition(condition)):
                is_about_name = other == name or other not in job.groups
                yield Problem(("groups", name, "depends_on", other), why, key=is_about_name)


def no_groups_wait_in_a_circle(job: JobSchema) -> Iterator[Problem]:
    """Else none of them would ever begin."""
    waits = {
        name: [other for other in group.depends_on if other != name] for name, group in job.groups.items()
    }
    told: set[str] = set()
    for name in waits:
        circle = () if name in told else _circle(name, waits)
        if circle:
            what = f"these groups wait for each other for ever: {' -> '.join(circle)}"
            yield Problem(("groups", name, "depends_on", circle[1]), what, key=True)
        told.update(circle)


JOB_RULES: tuple[Callable[[JobSchema], Iterable[Problem]], ...] = (
    a_periodic_job_has_a_schedule,
    only_a_parameterized_job_has_parameters,
    no_parameter_twice,
    groups_have_types_in_services_and_batches,
    a_system_group_counts_nothing,
    canaries_are_of_the_count,
    only_what_stays_is_backed_up,
    what_is_waited_for_can_come,
    no_groups_wait_in_a_circle,
)


def _never(job: JobSchema, name: str, other: str, condition: Condition) -> str:
    """Why the group `other` will never be so; empty: it may."""
    if other == name:
        return f"the group '{name}' cannot depend on itself"
    if other not in job.groups:
        known = ", ".join(sorted(set(job.groups) - {name})) or "it is the only one"
        return f"the job has no group {shown(other)}; other groups: {known}"
    is_batch = type_of(job, job.groups[other]) is JobType.BATCH
    if condition is Condition.COMPLETED and not is_batch:
        return f"the group '{other}' never completes, it is no batch group; write 'healthy'"
    if condition is Condition.HEALTHY and is_batch:
        return f"the group '{other}' is a batch group, which ends; write 'completed'"
    return ""


def _circle(start: str, waits: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The shortest way from the group back to itself, both ends named; empty: there is none."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    for way in ways:  # which grow meanwhile
        for other in waits.get(way[-1], ()):
            if other == start:
                return (*way, start)
            if other not in seen:
                seen.add(other)
                ways.append((*way, other))
    return ()
