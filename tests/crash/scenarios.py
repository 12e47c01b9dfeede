"""What is done when the process is killed: small jobs, so that all their points can be tried."""

from collections.abc import Callable
from dataclasses import dataclass

from cube.store.store import Store
from tests.crash.yard import Yard

JOB = """
job: sleeper
groups:
  main:
    count: 2
    image: cube-busybox:1
    command: [sleep, "100000"]
    env: {{MARK: "{mark}"}}
    memory: 16MiB
    stop: {{grace: 0s}}
    update: {{min_healthy_time: 0s, order: {order}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One command in one situation: `prepare` makes it and gives the words to type.

    `fact` is the store's method that commits what is wanted: from there on a sweep must end as the command
    does. `is_wanted` tells whether the store has it, given the mark of the newest job file.
    """

    name: str
    fact: str
    prepare: Callable[[Yard], tuple[str, ...]]
    is_wanted: Callable[[Store, str], bool]


def _a_first_deploy(yard: Yard) -> tuple[str, ...]:
    yard.clear()
    return ("deploy", yard.write(JOB, order="auto"))


def _another_version(order: str) -> Callable[[Yard], tuple[str, ...]]:
    def prepare(yard: Yard) -> tuple[str, ...]:
        if not yard.containers():
            yard.cube("deploy", yard.write(JOB, order=order))
        return ("deploy", yard.write(JOB, order=order))

    return prepare


def _a_job_to_stop(yard: Yard) -> tuple[str, ...]:
    yard.cube("deploy", yard.write(JOB, order="auto"))
    return ("stop", "sleeper")


def _a_node_with_both_tasks(yard: Yard) -> tuple[str, ...]:
    """From one node to the other and back, point by point."""
    full, empty = (0, 1) if yard.containers_on(0) else (1, 0)
    yard.cube("node", "uncordon", yard.name(empty))
    if not yard.containers():
        yard.cube("node", "cordon", yard.name(empty))
        yard.cube("deploy", yard.write(JOB, order="auto"))
        yard.cube("node", "uncordon", yard.name(empty))
    return ("node", "drain", yard.name(full))


def _is_deployed(store: Store, mark: str) -> bool:
    return any(group.spec.env["MARK"] == mark for job in store.jobs() for group in job.groups)


def _is_stopped(store: Store, _mark: str) -> bool:
    return all(job.stopped for job in store.jobs())


def _is_drained(store: Store, _mark: str) -> bool:
    return any(cordon.draining for cordon in store.cordons().values())


SCENARIOS = (
    Scenario(name="deploy", fact="put_job", prepare=_a_first_deploy, is_wanted=_is_deployed),
    Scenario(name="update", fact="put_job", prepare=_another_version("start-first"), is_wanted=_is_deployed),
    Scenario(
        name="update, stop-first",
        fact="put_job",
        prepare=_another_version("stop-first"),
        is_wanted=_is_deployed,
    ),
    Scenario(name="stop", fact="put_job", prepare=_a_job_to_stop, is_wanted=_is_stopped),
    Scenario(name="drain", fact="put_cordon", prepare=_a_node_with_both_tasks, is_wanted=_is_drained),
)
