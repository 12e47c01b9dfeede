"""Laws of job files: any text is a job or is refused, and a job survives being written down."""

import json
from datetime import timedelta
from graphlib import CycleError, TopologicalSorter
from http.client import parse_headers
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cube.errors import InputError
from cube.model.codec import from_data, to_data
from cube.model.job import CheckKind, Job
from cube.model.policy import ReschedulePolicy, RestartPolicy, UpdatePolicy
from cube.spec.parse import parse
from cube.spec.schema import GroupSchema, JobSchema

VARIABLES = {"var": {"color": "blue", "count": 3, "hosts": ["a", "b"]}, "env": {"HOME": "/home/ann"}}
GROUP = "job: web\ngroups:\n  web:\n    image: web\n"
QUICK = settings(max_examples=150, deadline=timedelta(seconds=2))

names = st.from_regex(r"[a-z]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True).filter(lambda name: name != "null")
# Without braces: they may begin a template.
words = st.text(
    st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="{}"), max_size=20
)
seconds = st.integers(1, 60).map("{}s".format)
long = st.integers(10, 60).map("{}m".format)
parameters = st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True)
crons = st.tuples(
    st.sampled_from(["*", "*/5", "0", "1,59"]),
    st.sampled_from(["*", "2-4", "23"]),
    st.sampled_from(["*", "1-7", "L", "29"]),
    st.sampled_from(["*", "feb", "1,12"]),
    st.sampled_from(["*", "mon#1", "7", "fri-sat"]),
).map(" ".join)
tried_again = {"window": seconds, "delay": seconds, "max_delay": long}


def some(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with some of these keys."""
    return st.fixed_dictionaries({}, optional=optional)


@st.composite
def groups(draw: st.DrawFn) -> dict[str, Any]:
    """A group that must be accepted."""
    ports = draw(st.lists(names, unique=True, max_size=4))
    group: dict[str, Any] = draw(
        some(
            count=st.integers(0, 10000),
            command=st.lists(words, min_size=1, max_size=4),
            entrypoint=st.lists(words, min_size=1, max_size=2),
            env=st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), words, max_size=4),
            user=st.sampled_from(["1000", "app", "0:0"]),
            cpu=st.integers(1, 9999).map("{}m".format),
            memory=st.integers(6, 9999).map("{}MiB".format),
            disk=st.integers(0, 9999).map("{}MB".format),
            volumes=st.lists(names.map(lambda name: f"x{name}:/{name}"), unique=True, max_size=3),
            restart=some(attempts=st.integers(0, 9), mode=st.sampled_from(["fail", "delay"]), **tried_again),
            reschedule=some(
                attempts=st.integers(0, 9) | st.sampled_from(["auto", "unlimited"]), **tried_again
            ),
            update=some(
                max_parallel=st.integers(1, 9),
                order=st.sampled_from(["auto", "stop-first"]),
                min_healthy_time=seconds,
                healthy_deadline=st.just("10m"),
                progress_deadline=long,
                auto_revert=st.booleans(),
            ),
            on_unhealthy=st.sampled_from(["restart", "replace", "quarantine"]),
            quarantine=some(keep=seconds, memory=st.just("1GB")),
            on_disconnect=st.sampled_from(["replace", "keep"]),
            lost_after=seconds,
            labels=st.dictionaries(names, words, max_size=3),
            stop=some(grace=seconds, signal=st.sampled_from(["SIGTERM", "SIGHUP"])),
            pids=st.integers(1, 1000),
            allow_new_privileges=st.booleans(),
            constraints=st.just(["label.disk = ssd", "node.role in a, b"]),
        )
    )
    group["image"] = draw(st.sampled_from(["web", "web:1", "registry.example:5000/team/web:1.2"]))
    group["ports"] = {
        name: {"container": 8000 + index, **draw(some(public=st.booleans(), host=st.just(9000 + index)))}
        for index, name in enumerate(ports)
    }
    return group | draw(some(health=checks(ports)))


def checks(ports: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """A health check that must be accepted, of a group with these ports."""
    times = some(
        interval=st.integers(2, 60).map("{}s".format),
        timeout=st.integers(100, 999).map("{}ms".format),
        failures=st.integers(1, 100),
        successes=st.integers(1, 100),
        grace=seconds,
    )
    token = st.from_regex(r"X-[a-z0-9-]{1,8}", fullmatch=True)
    line = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="{}"), min_size=1)
    answer = some(
        status=st.sampled_from(["200", "200-299", 404]),
        headers=st.dictionaries(token, line, max_size=3),
        body=words.filter(bool),
    )
    kinds = [st.just({"image": "true"}), st.just({"exec": ["true"]})]
    if ports:
        tcp, http = {"tcp": "true", "port": ports[0]}, {"http": "/", "port": ports[0]}
        kinds += [st.just(tcp), answer.map(lambda keys: http | keys)]
    return st.tuples(st.one_of(kinds), times).map(lambda parts: parts[0] | parts[1])


@st.composite
def written_jobs(draw: st.DrawFn) -> dict[str, Any]:
    """A job that must be accepted."""
    kind = draw(st.sampled_from([None, "service", "batch", "system", "periodic", "parameterized"]))
    job: dict[str, Any] = {"job": draw(names.map("j{}".format)), **({"type": kind} if kind else {})}
    job["groups"] = draw(st.dictionaries(names, groups(), min_size=1, max_size=3))
    if kind == "system":
        for group in job["groups"].values():
            group.pop("count", None)
    elif kind in (None, "service", "batch"):
        add_dependencies(draw, job["groups"], kind or "service")
    job |= draw(
        some(
            datacenters=st.lists(names, max_size=3),
            priority=st.integers(0, 100),
            hooks=some(before=st.lists(words, min_size=1, max_size=3), timeout=seconds),
        )
    )
    return job | draw(added_keys(kind))


def add_dependencies(draw: st.DrawFn, groups: dict[str, Any], kind: str) -> None:
    """Types for some groups, and each group may wait for the one before."""
    for group in groups.values():
        group.update(draw(some(type=st.sampled_from(["service", "batch"]))))
    for before, name in pairwise(groups):
        condition = "completed" if groups[before].get("type", kind) == "batch" else "healthy"
        groups[name] |= draw(some(depends_on=st.just({before: condition})))


def added_keys(kind: str | None) -> st.SearchStrategy[dict[str, Any]]:
    """The keys that only a job of that type has."""
    if kind == "periodic":
        schedule = some(
            timezone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
            prohibit_overlap=st.booleans(),
            deadline=seconds,
        )
        return st.tuples(crons, schedule).map(lambda parts: {"schedule": {"cron": parts[0]} | parts[1]})
    if kind == "parameterized":
        lists = st.lists(parameters, unique=True, max_size=4)
        return some(parameters=lists.map(lambda names: {"required": names[::2], "optional": names[1::2]}))
    return st.just({})


jobs = written_jobs()


def refused_or_job(text: str) -> None:
    """Nothing else may happen; a refusal names the file."""
    try:
        parse(text, "job.yml", VARIABLES)
    except InputError as error:
        message = str(error)
    else:
        return
    assert message.startswith("job.yml")


@QUICK
@given(jobs)
def test_a_good_job_is_accepted_and_survives_being_written_down(written: dict[str, Any]) -> None:
    # A number of YAML and a text that looks like it are the same here, and a quoted empty text is a value.
    job = parse(json.dumps(written, ensure_ascii=False), "job.yml", {})

    assert job == parse(yaml.safe_dump(written, allow_unicode=True, sort_keys=False), "job.yml", {})
    assert from_data(Job, json.loads(json.dumps(to_data(job)))) == job
    assert [group.name for group in job.groups] == list(written["groups"]), "groups keep their order"


@QUICK
@given(st.text())
@example("{{ }}")
@example("job: *a")
@example("[" * 2000)
def test_p17_any_text_is_a_job_or_is_refused(text: str) -> None:
    refused_or_job(text)


@QUICK
@given(jobs, st.randoms(use_true_random=False), st.text(max_size=5))
def test_p17_a_good_job_with_one_mistake_is_a_job_or_is_refused(
    written: dict[str, Any], chance: Any, noise: str
) -> None:
    text = yaml.safe_dump(written)
    start = chance.randrange(len(text))
    refused_or_job(text[:start] + noise + text[start + chance.randrange(4) :])


@pytest.mark.parametrize(
    "hostile",
    [
        GROUP + "".join(f"    k{number}: 1\n" for number in range(18_000)),
        GROUP + "    env:\n" + "".join(f"      V{number}: x\n" for number in range(15_000)),
        "job: web\ngroups:\n" + "".join(f"  g{number}: {{}}\n" for number in range(20_000)),
        GROUP + "    command: [" + "~, " * 80_000 + "]\n",
        GROUP + '    constraints: ["node.name ' + " " * 250_000 + '"]\n',
        GROUP + "    user: " + "a-" * 120_000 + "\n",
        GROUP.replace("image: web", "image: " + "a-" * 120_000),
        GROUP + "    labels: {" + "a" * 1000 + ": x}\n",
        GROUP + "x" * 1_000_000,
    ],
    ids=["keys", "variables", "groups", "empty", "blanks", "user", "image", "label", "size"],
)
def test_p1_a_hostile_file_is_refused_soon(hostile: str) -> None:
    with pytest.raises(InputError):
        parse(hostile, "job.yml", VARIABLES)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@QUICK
@given(
    st.sampled_from(sorted(GroupSchema.model_fields)), st.sampled_from(sorted(JobSchema.model_fields)), values
)
def test_p17_any_value_under_any_key_is_accepted_or_refused(inner: str, outer: str, value: Any) -> None:
    group = {"image": "web", inner: value}
    refused_or_job(json.dumps({"job": "web", "groups": {"web": group}}))
    refused_or_job(json.dumps({"job": "web", "groups": {"web": {"image": "web"}}, outer: value}))


PIECES = (
    "{{", "}}", "{%", "%}", "for x in", "endfor", "if", "else", "endif", "set x =", "(", ")", "[", "]", ",",
    "|", ".", "~", "+", "*", "/", "'a'", "9", "hosts", "color", "count", "env", "x", "loop", "range", "join",
    "map", "list", "items()", "not", "is", "defined", "__class__", "macro f()", "endmacro", "include",
)  # fmt: skip


@QUICK
@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_p1_any_template_ends_in_a_text_or_a_refusal(parts: list[str]) -> None:
    template = json.dumps(" ".join(["{{", *parts, "}}"]))
    refused_or_job(f"job: web\ngroups: {{web: {{image: web, env: {{A: {template}}}}}}}")


@QUICK
@given(st.integers(1, 6), st.data())
def test_groups_may_depend_on_each_other_exactly_where_they_can_be_put_in_order(
    count: int, data: st.DataObject
) -> None:
    known = [f"g{number}" for number in range(count)]
    others = {name: data.draw(st.lists(st.sampled_from(known), unique=True)) for name in known}
    written = {name: {"image": "web", "depends_on": dict.fromkeys(others[name], "healthy")} for name in known}

    try:
        TopologicalSorter(others).prepare()
    except CycleError:
        with pytest.raises(InputError, match=r"(?m)for ever: (g\d) -> (.* -> )?\1$|on itself"):
            parse(json.dumps({"job": "web", "groups": written}), "job.yml", {})
    else:
        parse(json.dumps({"job": "web", "groups": written}), "job.yml", {})


amounts = st.integers(1, 900)


@QUICK
@given(
    some(min_healthy_time=amounts, healthy_deadline=amounts, progress_deadline=amounts),
    some(delay=amounts, max_delay=amounts),
    some(delay=amounts, max_delay=amounts),
    some(interval=amounts, timeout=st.integers(1, 60)),
)
def test_p17_durations_are_accepted_exactly_where_they_leave_a_way_to_succeed(
    update: dict[str, Any], restart: dict[str, Any], reschedule: dict[str, Any], check: dict[str, Any]
) -> None:
    u, r, s = UpdatePolicy(**update), RestartPolicy(**restart), ReschedulePolicy(**reschedule)
    can_succeed = (
        u.min_healthy_time < u.healthy_deadline <= u.progress_deadline
        and r.delay <= r.max_delay
        and s.delay <= s.max_delay
        and check.get("timeout", 0) <= check.get("interval", 10)
    )
    tables = {"update": update, "restart": restart, "reschedule": reschedule, "health": check}
    group = {name: {key: f"{amount}s" for key, amount in table.items()} for name, table in tables.items()}
    text = json.dumps({"job": "web", "groups": {"web": {"image": "web", **with_kind(group)}}})

    if can_succeed:
        parse(text, "job.yml", {})
    else:
        with pytest.raises(InputError, match=r"\(\d+s.*\) (cannot|must) be longer than '\w+' \(\d+s"):
            parse(text, "job.yml", {})


def with_kind(group: dict[str, Any]) -> dict[str, Any]:
    """The group, with a kind for its check."""
    return group | {"health": {"image": "true"} | group["health"]}


@QUICK
@given(st.text(st.sampled_from("0123456789*,-/#LWlw MONJAN"), max_size=24) | st.text(max_size=20))
@example("0 0 29 2 *")
@example("* * 1 1 1#5")
@example("* * L/2 * *")
@example("* * * * L")
@example("* * * * 1/2#3")
@example("0 0 30 2 1#9")
@example("59 23 */31 11 7#5")
def test_p1_any_text_is_a_cron_expression_that_comes_or_is_refused(text: str) -> None:
    refused_or_job(f"type: periodic\nschedule: {{cron: {json.dumps(text)}}}\n{GROUP}")


@QUICK
@given(st.text(max_size=20))
@example("..")
@example("Europe")
@example("/etc/localtime")
@example("posix/Europe/Berlin")
@example("tzdata.zi")
@example("Europe/Berlin\0")
def test_p17_any_text_is_a_time_zone_or_is_refused(text: str) -> None:
    refused_or_job(f"type: periodic\nschedule: {{cron: 0 0 * * *, timezone: {json.dumps(text)}}}\n{GROUP}")


@QUICK
@given(st.text(max_size=12), st.text(max_size=12))
@example("X-A", "a\r\nHost: b")
@example("X-A: b\r\nHost", "c")
@example("X-A", " folded")
def test_p17_a_header_is_one_line_of_the_request_as_it_was_written_or_is_refused(
    name: str, value: str
) -> None:
    check = {"http": "/", "port": "http", "headers": {name: value}}
    group = {"image": "web", "ports": {"http": {"container": 80}}, "health": check}
    try:
        job = parse(json.dumps({"job": "web", "groups": {"web": group}}), "job.yml", {})
    except InputError:
        return
    health = job.groups[0].spec.health
    assert health is not None
    assert health.kind is CheckKind.HTTP
    lines = "".join(f"{name}: {value}\r\n" for name, value in health.headers.items())
    assert parse_headers(BytesIO(f"{lines}\r\n".encode())).items() == [(name, value)]
