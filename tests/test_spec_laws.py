"""Laws of job files: any text is a job or is refused, and a job survives being written down."""

import json
from datetime import timedelta
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cube.errors import InputError
from cube.model.codec import from_data, to_data
from cube.model.job import Job
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
            restart=some(attempts=st.integers(0, 9), window=seconds, delay=seconds),
            update=some(max_parallel=st.integers(1, 9)),
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
    if ports:
        group |= draw(some(health=st.just({"http": "/", "port": ports[0]})))
    return group


jobs = st.fixed_dictionaries(
    {"job": names.map("j{}".format), "groups": st.dictionaries(names, groups(), min_size=1, max_size=3)},
    optional={
        "type": st.sampled_from(["service", "batch"]),
        "datacenters": st.lists(names, max_size=3),
        "priority": st.integers(0, 100),
    },
)


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
@pytest.mark.timeout(10)
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
