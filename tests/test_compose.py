"""Compose files: what they become, what is told of them, and how those are refused that Cube cannot run."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cube.compose.convert import Converted, convert
from cube.compose.dotenv import variables
from cube.compose.interpolation import interpolate
from cube.compose.job_text import text_of
from cube.compose.loader import Source
from cube.compose.merge import TAGS, merged
from cube.compose.project import Surroundings, is_compose
from cube.document.reader import Document, plain, read
from cube.errors import InputError
from cube.model.job import JobType
from cube.model.policy import Condition
from cube.spec.parse import parse, resolve

CASES = Path(__file__).parent / "cases" / "compose"
TAKEN = sorted((CASES / "taken").glob("*.yaml"))
REFUSED = sorted((CASES / "refused").glob("*.yaml"))
BESIDE = {
    "forum.env": "# secret things\nexport SECRET='$not'\nURL=http://${HOSTTYPE}/x # comment\n"
    'LOG="a\\nb"\nHOSTTYPE\n',
    "web.labels": "# of the site\ncom.example.team=shop\ncom.example.on=${HOSTTYPE}\ntier=back\n",
    "dynamic.yml": "http: {routers: {site: {rule: 'Host(`example.org`)', service: site}}}\n",
    "rules.yml": "groups: [{name: up, rules: [{alert: Down, annotations: {text: '{{ $labels.job }}'}}]}]\n",
    "search/compose.yaml": "services: {index: {image: 'search:${VERSION}', volumes: ['index:/data', "
    "'./s.conf:/s.conf:ro'], build: {context: .}, mem_limit: 1g}}\nvolumes: {index: {}}",
    "search/.env": "VERSION=8\nDB_PASSWORD=other",
    "search/s.conf": "size = 3\n",
    "mail/compose.yaml": "services: {smtp: {image: 'mail:${VERSION-7}', environment: {P: $DB_PASSWORD}}}",
    "mail.override.yaml": "services: {smtp: {mem_limit: 16m, env_file: in.env}}",
    "mail/variables.env": "VERSION=9",
    "mail/in.env": "IN=1\n",
    "common.yaml": "services: {shared: {image: 'cube-demo:2', env_file: forum.env, mem_limit: 16m}}",
}
AROUND = Surroundings(
    environment={"DB_PASSWORD": "hunter2", "HOSTTYPE": "x86"}, folder="Some_Folder", read=BESIDE.get
)


def converted(*texts: str, around: Surroundings = AROUND) -> Converted:
    names = ("compose.yaml", "over.yaml", "third.yaml")
    return convert([Source(path=name, text=text) for name, text in zip(names, texts, strict=False)], around)


def job_file(found: Converted) -> str:
    """What a person gets to see: what is told, then the job file."""
    return "".join(f"# {finding}\n" for finding in found.told) + text_of(found.job)


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.stem)
def test_a_compose_file_becomes_the_job_file_beside_it(case: Path) -> None:
    found = converted(case.read_text())
    assert job_file(found) == case.with_suffix(".job").read_text()


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.stem)
def test_the_job_file_that_is_printed_is_the_job_that_is_deployed(case: Path) -> None:
    found = converted(case.read_text())
    assert parse(text_of(found.job), "job.yml", {}) == resolve(found.job)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.stem)
def test_p17_what_cannot_be_honoured_is_named_with_its_place(case: Path) -> None:
    with pytest.raises(InputError) as refusal:
        resolve(converted(case.read_text()).job)
    assert f"{refusal.value}\n" == case.with_suffix(".txt").read_text()


def test_of_several_files_the_later_is_laid_over_the_earlier() -> None:
    below = """
name: shop
services:
  web:
    image: cube-demo:1
    mem_limit: 32m
    command: [one, two]
    environment: [A=1, B=2]
    ports: ["8080:80", "443:443"]
    volumes: ["data:/data", "/srv/a:/a"]
    cap_add: [CHOWN]
    logging: {driver: local, options: {max-size: 1m}}
    healthcheck: {test: [CMD, a], retries: 5}
    labels: {keep: "1", drop: "1"}
  gone: {image: "cube-demo:1"}
volumes: {data: }
"""
    above = """
services:
  web:
    command: [three]
    environment: {B: "3", C: "4"}
    ports: ["8080:80", "9000:9000"]
    volumes: ["/srv/b:/data:ro"]
    cap_add: [CHOWN, KILL]
    logging: {driver: journald}
    healthcheck: {test: [CMD, b]}
    labels: {drop: !reset "1"}
  gone: !reset {}
"""
    last = "services: {web: {ports: !override ['1000:1000'], environment: !override {ONLY: this}}}"
    (group,) = resolve(converted(below, above).job).groups
    spec = group.spec
    assert (spec.command, spec.env) == (("three",), {"A": "1", "B": "3", "C": "4"})
    assert sorted(port.host or 0 for port in spec.ports) == [443, 8080, 9000]
    mounts = {(volume.source, volume.target) for volume in spec.volumes}
    assert mounts == {("/srv/b", "/data"), ("/srv/a", "/a")}
    assert spec.cap_add == ("CHOWN", "KILL")
    assert (spec.logging.driver, spec.logging.options) == ("journald", {})
    assert spec.health is not None
    assert (spec.health.command, spec.health.failures) == (("b",), 5)
    assert spec.labels == {"keep": "1"}
    (group,) = resolve(converted(below, above, last).job).groups
    assert ([port.host for port in group.spec.ports], group.spec.env) == ([1000], {"ONLY": "this"})


def test_a_service_of_a_profile_runs_when_it_is_asked_for() -> None:
    text = (CASES / "taken" / "profiles.yaml").read_text()
    asked = Surroundings(profiles=frozenset({"debug"}))
    job = resolve(converted(text, around=asked).job)
    assert [group.name for group in job.groups] == ["app", "mail"]
    assert job.groups[0].depends_on == {"mail": Condition.HEALTHY}
    with pytest.raises(InputError, match="its profile is not asked for"):
        converted(text.replace("required: false", "required: true"))


def test_what_is_waited_for_in_health_and_has_no_check_is_asked_by_its_image() -> None:
    text = """
services:
  web: {image: a, depends_on: {db: {condition: service_healthy}}, mem_limit: 8m}
  db: {image: b, mem_limit: 8m}
"""
    job = resolve(converted(text).job)
    assert job.name == "some-folder", "where no name is written, the folder's"
    assert job.type is JobType.SERVICE
    assert str(job.groups[1].spec.health and job.groups[1].spec.health.kind) == "image"


def test_a_variable_that_is_not_set_is_told_with_its_place() -> None:
    found = converted(
        "services: {a: {image: 'nginx$TAG', restart: always, mem_limit: 8m, user: '${UID:-5}'}}"
    )
    assert [str(each) for each in found.told] == [
        "compose.yaml:1:23: the variable TAG is not set, and stands for nothing"
    ]


def two(a: str, cache: str) -> str:
    """Services of which the first may name the second."""
    return (
        f"services: {{a: {{image: x, restart: always, mem_limit: 8m, {a}}}, "
        f"cache: {{image: y, restart: always, mem_limit: 8m, {cache}}}}}"
    )


URL = "environment: {U: 'redis://cache:6379/0', V: my-cache}"


@pytest.mark.parametrize(
    ("a", "cache", "says"),
    [
        (URL, "ports: ['6379:6379']", "the nodes that run it, at port 6379"),
        ("environment: {U: 'redis://cache'}", "ports: ['80:8080']", "run it, at port 80, where it has 8080"),
        ("environment: {STATS: 'cache:8125'}", "ports: ['8125:8125/udp']", "run it, at port 8125/udp"),
        ("command: --db-host=cache", "ports: ['6379:6379']", "the nodes that run it, at port 6379"),
        ("environment: {DSN: 'a:b@tcp(cache:7)/a'}", "ports: ['7:7']", "the nodes that run it, at port 7"),
    ],
)
def test_a_service_that_names_another_as_a_host_finds_it_where_it_publishes(
    a: str, cache: str, says: str
) -> None:
    found = converted(two(a, cache))
    (told,) = found.told
    assert str(told).startswith("compose.yaml:1:")
    assert says in str(told)
    job: Any = plain(found.job)
    assert job["groups"]["a"].get("discover") == {"cache": "some-folder/cache"}
    resolve(found.job)


@pytest.mark.parametrize(
    ("a", "cache", "port"),
    [
        (URL, "", "6379:6379"),
        (URL, "ports: ['6379']", "6379:6379"),
        (URL, "ports: ['127.0.0.1:6379:6379', '53:53/udp']", "6379:6379"),
        (URL, "ports: ['80:6379']", "6379:6379"),
        ("environment: [REDIS_HOST=cache]", "", "PORT:PORT"),
        ("environment: [REDIS_HOST=cache]", "expose: ['6379']", "6379:6379"),
        ("environment: {KV: cache}, depends_on: [cache]", "", "PORT:PORT"),
        ("command: [serve, --db-host=cache]", "", "PORT:PORT"),
        ("links: [cache]", "", "PORT:PORT"),
    ],
)
def test_a_service_that_names_another_that_it_could_not_reach_is_refused_with_what_to_write(
    a: str, cache: str, port: str
) -> None:
    with pytest.raises(InputError) as refusal:
        converted(two(a, cache))
    says = f'write ports: ["{port}"] in cache (compose.yaml:1:'
    assert says in str(refusal.value)
    job: Any = plain(converted(f"{two(a, cache)}\nx-cube: {{ignore: [discover]}}").job)
    assert "discover" not in job["groups"]["a"]


@pytest.mark.parametrize("a", ["URL: 'http://example.org/cache/x'", "CACHE_DIR: /var/cache"])
def test_a_path_is_no_service(a: str) -> None:
    assert converted(two(f"environment: {{{a}}}", "")).told == ()


@pytest.mark.parametrize("a", ["environment: {MODE: cache}", "command: [warm, cache]"])
def test_a_word_that_happens_to_be_a_service_s_name_is_only_told(a: str) -> None:
    (told,) = converted(two(a, "")).told
    assert "'cache' is no name that tasks of Cube resolve, if a service is meant" in str(told)


@pytest.mark.parametrize(
    ("a", "cache", "name"),
    [
        ("environment: {U: 'redis://kv:6379/0'}", "networks: {default: {aliases: [kv, store]}}", "kv"),
        ("links: ['cache:kv']", "", "kv"),
        ("links: [cache]", "", "cache"),
    ],
)
def test_a_service_finds_another_by_whatever_name_compose_gives_it(a: str, cache: str, name: str) -> None:
    text = (
        f"services: {{a: {{image: x, mem_limit: 8m, {a}}}, "
        f"cache: {{image: y, mem_limit: 8m, ports: ['6379:6379'], {cache}}}}}"
    )
    found = converted(text)
    assert any(f"'{name}' leads to the nodes that run it, at port 6379" in str(told) for told in found.told)
    job: Any = plain(found.job)
    assert job["groups"]["a"]["discover"] == {name: "some-folder/cache"}


def test_a_service_that_is_to_have_started_is_waited_for_until_it_is_healthy_and_that_is_told() -> None:
    text = (
        "services: {a: {image: x, restart: always, mem_limit: 8m, depends_on: [db]}, "
        "db: {image: y, restart: always, mem_limit: 8m, healthcheck: {test: [CMD, 'true']}}}"
    )
    (told,) = converted(text).told
    assert "the service 'db' is waited for until it is healthy" in str(told)


def test_a_name_that_has_an_address_already_is_left_as_it_is() -> None:
    (group, _) = resolve(
        converted(two("environment: {U: 'cache:1'}, extra_hosts: ['cache:10.0.0.7']", "ports: ['1:1']")).job
    ).groups
    assert group.spec.templates == ()


def test_a_task_whose_names_the_engine_alone_knows_finds_no_others() -> None:
    with pytest.raises(InputError, match="is not found where extra_hosts has 'host-gateway'"):
        converted(two("environment: {U: 'cache:1'}, extra_hosts: ['out:host-gateway']", "ports: ['1:1']"))


INCLUDED = {
    "sub/compose.yaml": "services: {a: {image: one, mem_limit: 8m}}\nvolumes: {v: {}}\nmodels: {m: {}}",
    "again.yaml": "include: [compose.yaml]",
    "plain.yaml": "services: {a: {image: one, mem_limit: 8m}}",
}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "include: [plain.yaml]\nservices: {a: {image: two}}",
            "plain.yaml:1:12: services: 'a' is another one in compose.yaml:2:15",
        ),
        ("include: [again.yaml]", "again.yaml:1:11: the file compose.yaml includes itself"),
        ("include: [gone.yaml]", "compose.yaml:1:11: there is no file gone.yaml"),
        ("include: [{env_file: x}]", "compose.yaml:1:11: the key 'path' is missing"),
        ("include: [sub/compose.yaml]", "sub/compose.yaml:3:1: Cube has nothing for 'models'"),
    ],
)
def test_what_cannot_be_included_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(InputError) as refusal:
        converted(text, around=Surroundings(read=INCLUDED.get))
    assert str(refusal.value).startswith(says)


def test_what_a_file_and_one_that_it_includes_have_alike_is_there_once() -> None:
    text = "include: [plain.yaml]\nservices: {a: {mem_limit: 8m, image: one}}"
    job = resolve(converted(text, around=Surroundings(read=INCLUDED.get)).job)
    assert [group.name for group in job.groups] == ["a"]


def test_a_project_that_has_no_name_has_its_folders_as_compose_writes_it() -> None:
    text = "services: {web: {build: ., mem_limit: 8m, volumes: ['v:/v']}}\nvolumes: {v: {}}"
    (group,) = resolve(converted(text, around=Surroundings(folder="_My Shop.2")).job).groups
    assert (group.spec.image, group.spec.volumes[0].source) == ("myshop2-web", "myshop2_v")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("services: {a: {image: x}}", True),
        ("include: [a.yaml]", True),
        ("job: web\ngroups: {services: {image: x}}", False),
        ("job: web\nservices: {}", False),
        ("[services]", False),
    ],
)
def test_a_compose_file_is_known_by_its_keys(text: str, expected: bool) -> None:
    assert is_compose(text, "x") is expected


VALUES = {"SET": "value", "EMPTY": "", "OTHER": "a$b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$SET ${SET} $$SET $${SET}", "value value $SET ${SET}"),
        ("${SET:-d} ${EMPTY:-d} ${GONE:-d}", "value d d"),
        ("${SET-d} ${EMPTY-d} ${GONE-d}", "value  d"),
        ("${SET:+r} ${EMPTY:+r} ${GONE:+r}", "r  "),
        ("${SET+r} ${EMPTY+r} ${GONE+r}", "r r "),
        ("${SET:?m} ${SET?m} ${EMPTY?m}", "value value "),
        ("${GONE:-${EMPTY:-${SET}}} ${GONE:-a}b}", "value ab}"),
        ("${GONE:-{}} ${GONE:-$$} ${GONE}x$GONE.", "{} $ x."),
        ("$OTHER", "a$b"),
        ("${SET:-${NEVER:?m}}", "value"),
    ],
)
def test_variables_are_replaced_as_the_specification_has_it(text: str, expected: str) -> None:
    assert interpolate(text, VALUES.get) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$", "no variable"),
        ("costs $5", "no variable"),
        ("${SET", "no closing brace"),
        ("${}", "no variable"),
        ("${SET!x}", "no variable"),
        ("${EMPTY:?be so kind}", "the variable EMPTY is needed: be so kind"),
        ("${GONE?}", "the variable GONE is needed: it has no value"),
        ("${A:-" * 30 + "}" * 30, "deeper than"),
    ],
)
def test_what_is_no_variable_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("$", r"\$")):
        interpolate(text, VALUES.get)


NAMES = st.sampled_from(["SET", "EMPTY", "GONE"])
LITERAL = st.text(st.sampled_from("ab :-?+"), max_size=4)


@st.composite
def templates(draw: st.DrawFn, depth: int = 0) -> tuple[str, str]:
    """A text with variables, and what it must become: worked out beside the way that is tested."""
    written, expected = "", ""
    for _ in range(draw(st.integers(0, 3))):
        literal = draw(LITERAL)
        name, sign = draw(NAMES), draw(st.sampled_from(["", "-", ":-", "+", ":+", "$"]))
        other, other_expected = draw(templates(depth + 1)) if depth < 2 else ("x", "x")
        value = VALUES.get(name)
        is_there = bool(value) if ":" in sign else value is not None
        if sign == "$":
            variable, result = "$$", "$"
        elif not sign:
            variable, result = "${" + name + "}", value or ""
        elif sign.endswith("-"):
            variable, result = "${" + name + sign + other + "}", (value or "") if is_there else other_expected
        else:
            variable, result = "${" + name + sign + other + "}", other_expected if is_there else ""
        written, expected = written + literal + variable, expected + literal + result
    return written, expected


@given(templates())
def test_any_nesting_of_variables_is_worked_out(case: tuple[str, str]) -> None:
    text, expected = case
    assert interpolate(text, VALUES.get) == expected


@given(st.text())
def test_a_text_whose_dollars_are_doubled_stays_what_it_is(text: str) -> None:
    assert interpolate(text.replace("$", "$$"), VALUES.get) == text


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A=b", {"A": "b"}),
        ("export A = b  # c", {"A": "b"}),
        ("A: b#c", {"A": "b#c"}),
        ("A='b $SET \" # x' # c", {"A": 'b $SET " # x'}),
        ('A="b\\n$SET \\"q\\" \\$SET"', {"A": 'b\nvalue "q" $SET'}),
        ("A='one\ntwo'\nB=2", {"A": "one\ntwo", "B": "2"}),
        ("A=1\nB=${A}2\nC=${GONE:-3}", {"A": "1", "B": "12", "C": "3"}),
        ("SET\nGONE\n\n  # only a comment\n", {"SET": "value"}),
        ("A=\nB=  ", {"A": "", "B": ""}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ],
)
def test_files_of_variables_are_read_as_compose_reads_them(line: str, expected: dict[str, str]) -> None:
    assert variables(line, ".env", VALUES.get) == expected


@pytest.mark.parametrize("text", ["A=1\n=2", "A=1\ntwo words", 'A=1\nB="open', "A=1\nB='a' b", "A=1\nB=${"])
def test_a_line_that_is_no_variable_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InputError, match=r"^\.env:2:1: "):
        variables(text, ".env", VALUES.get)


def documents() -> st.SearchStrategy[str]:
    """Services in YAML's flow style, whose keys merge in different ways."""
    word = st.sampled_from(["a", "b", "c"])
    words = st.lists(word, max_size=3).map(lambda items: f"[{', '.join(items)}]")
    table = st.dictionaries(word, word, max_size=3).map(
        lambda found: "{" + ", ".join(f"{key}: {value}" for key, value in found.items()) + "}"
    )
    pairs = st.dictionaries(word, word, max_size=3).map(
        lambda found: "[" + ", ".join(f"{key}={value}" for key, value in found.items()) + "]"
    )
    ports = st.lists(st.sampled_from(["'1:1'", "'2:2'", "'3:3/udp'"]), max_size=3, unique=True).map(
        lambda items: f"[{', '.join(items)}]"
    )
    service = st.fixed_dictionaries(
        {},
        optional={
            "image": word,
            "command": words,
            "environment": table | pairs,
            "labels": table,
            "ports": ports,
            "x-other": words,
            "deploy": table,
        },
    ).map(lambda found: "{" + ", ".join(f"{key}: {value}" for key, value in found.items()) + "}")
    return st.dictionaries(word, service, min_size=1, max_size=2).map(
        lambda found: "services: {" + ", ".join(f"{key}: {value}" for key, value in found.items()) + "}"
    )


def as_document(text: str) -> Document:
    return read(text, "x", tags=TAGS, collection_tags=TAGS)


@given(documents(), documents(), documents())
def test_files_merge_the_same_whichever_two_are_merged_first(one: str, two: str, three: str) -> None:
    a, b, c = map(as_document, (one, two, three))
    assert plain(merged(merged(a, b), c)) == plain(merged(a, merged(b, c)))


@given(documents())
def test_nothing_is_lost_of_a_file_that_is_laid_over_another(text: str) -> None:
    document = as_document(text)
    below = as_document("services: {a: {image: z, command: [z], labels: {z: z}}, z: {image: z}}")
    found: Any = plain(merged(below, document))
    written: Any = plain(document)
    for name, service in written["services"].items():
        there = found["services"][name]
        assert service.keys() <= there.keys()
        assert there.get("command") == service.get("command", there.get("command"))
