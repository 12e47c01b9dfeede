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
    update: {{min_healthy_time: 0s, order: start-first}}
"""

KEEPER = """
job: sleeper
groups:
  main:
    image: cube-busybox:1
    command: [sh, -c, "echo $MARK >>/kept/marks; cp /etc/app/list /tmp/told; exec sleep 100000"]
    user: "0:1234"
    env: {{MARK: "{mark}"}}
    memory: 16MiB
    secrets: {{whole: /etc/app/whole, loud: {{env: LOUD}}}}
    templates: {{/etc/app/list: {{source: list.j2, on_change: {{exec: [cp, /etc/app/list, /tmp/told]}}}}}}
    volumes: ["kept:/kept"]
    stop: {{grace: 0s, drain: 0s}}
    update: {{min_healthy_time: 0s}}
"""
"""A task with all that is brought to a node: secrets, for a user who is not quite root, a file that names the
task itself, so that it is another one once the task runs, and a volume."""

LIST = (
    "{% for each in service('sleeper') %}{{ each.name }} {{ env.MARK }}\n{% endfor %}" + "# as long\n" * 1500
)
"""More than the rest of what is brought: half of that is half of it."""

SOURCES = "whole: {file: whole}\nloud: {file: loud}\n"


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
    return ("deploy", yard.write(JOB))


def _another_version(yard: Yard) -> tuple[str, ...]:
    if not yard.containers():
        yard.cube("deploy", yard.write(JOB))
    return ("deploy", yard.write(JOB))


def _a_first_keeper(yard: Yard) -> tuple[str, ...]:
    """Where the state is there, and empty."""
    yard.clear()
    yard.begin()
    return ("deploy", _keeper(yard))


def _another_keeper(yard: Yard) -> tuple[str, ...]:
    if not yard.containers():
        yard.cube("deploy", _keeper(yard))
    return ("deploy", _keeper(yard))


def _a_keeper_to_stop(yard: Yard) -> tuple[str, ...]:
    yard.cube("deploy", _keeper(yard))
    return ("stop", "sleeper")


def _keeper(yard: Yard) -> str:
    """The job file, with secrets that differ from all before them."""
    path = yard.write(KEEPER)
    yard.put("templates/list.j2", LIST)
    yard.put(f"secrets/{yard.cluster}.yml", SOURCES)
    for secret in ("whole", "loud"):
        yard.put(secret, f"{secret} of {yard.mark}")
    return path


def _a_node_with_both_tasks(yard: Yard) -> tuple[str, ...]:
    """From one node to the other and back, point by point."""
    full, empty = (0, 1) if yard.containers_on(0) else (1, 0)
    yard.cube("node", "uncordon", yard.name(empty))
    if not yard.containers():
        yard.cube("node", "cordon", yard.name(empty))
        yard.cube("deploy", yard.write(JOB))
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
    Scenario(name="deploy, with files", fact="put_job", prepare=_a_first_keeper, is_wanted=_is_deployed),
    Scenario(name="update", fact="put_job", prepare=_another_version, is_wanted=_is_deployed),
    Scenario(name="update, with files", fact="put_job", prepare=_another_keeper, is_wanted=_is_deployed),
    Scenario(name="stop, with files", fact="put_job", prepare=_a_keeper_to_stop, is_wanted=_is_stopped),
    Scenario(name="drain", fact="put_cordon", prepare=_a_node_with_both_tasks, is_wanted=_is_drained),
)
