"""Files from templates: what they may name, what is refused, and how they reach a container."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import yaml

from cube.cli.settle import with_templates
from cube.connection.ssh import Connection
from cube.document.template import as_literal, literal
from cube.errors import InputError
from cube.manager.served import nobody, served_by
from cube.manager.templates import MAX_BYTES, checked, filled, rendered, tried
from cube.model.files import Delivered
from cube.model.job import Job, SecretUse, Template
from cube.model.node import Access, Cluster, Node
from cube.spec.parse import parse
from cube.worker.belongings import Porter, no_secrets
from cube.worker.container import Claim, container_config
from cube.worker.delivered import with_files
from tests import build

NODES = tuple(
    Node(
        name=name,
        access=Access(address=f"192.0.2.{number}"),
        datacenter=f"dc{number}",
        labels={"disk": "ssd"},
    )
    for number, name in enumerate(("one", "two"), 1)
)
CLUSTER = Cluster(name="prod", nodes=NODES, groups={"web": ("one",)}, variables={"colour": "blue"})
JOB = "job: shop\ngroups: {web: {image: 'a:1', env: {MODE: fast}, templates: {/etc/app.conf: app.conf.j2}}}"


def job_with(text: str) -> Job:
    return filled(parse(JOB, "job.yml", {}), {"app.conf.j2": text})


def file_of(text: str) -> str:
    spec = job_with(text).groups[0].spec
    task = replace(build.task(spec=spec), ports={"http": 20000})
    return rendered(CLUSTER, NODES[1], nobody, task, spec.templates[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ node.name }} {{ node.address }} {{ node.labels.disk }}", "two 192.0.2.2 ssd"),
        (
            "{% for each in cluster.nodes %}{{ each.name }}={{ each.datacenter }};{% endfor %}",
            "one=dc1;two=dc2;",
        ),
        ("{{ cluster.name }} {{ cluster.groups.web | join(',') }}", "prod one"),
        ("{{ colour }} {{ var.colour }} {{ env.MODE }}", "blue blue fast"),
        ("{{ task.index }} {{ task.ports.http }}", "0 20000"),
        ("plain\n", "plain\n"),
    ],
)
def test_a_template_may_name_the_inventory_its_node_its_job_and_its_task(text: str, expected: str) -> None:
    assert file_of(text) == expected


@pytest.mark.parametrize("text", ["plain\n", "{{ node.name }}", "{% raw %} {# no #} {{{{ '{{' }}", "a\n\n"])
def test_a_text_of_the_job_files_own_is_the_file_as_it_stands(text: str) -> None:
    written = {
        "job": "shop",
        "groups": {"web": {"image": "a:1", "templates": {"/f": {"text": literal(text)}}}},
    }
    (group,) = filled(parse(yaml.safe_dump(written), "job.yml", {}), {}).groups
    (template,) = group.spec.templates
    assert rendered(CLUSTER, NODES[0], nobody, build.task(spec=group.spec), template) == text
    assert as_literal(template.text or "") == text


@pytest.mark.parametrize(
    "template", ["{{ node.name }}", "{% if a %}b{% endif %}", "a {# b #}", "{{ '{{' }} {{ a }}"]
)
def test_what_differs_from_task_to_task_is_no_text_of_its_own(template: str) -> None:
    assert as_literal(template) is None


class TestAFileOfVariables:
    def job(self, text: str, **more: object) -> Job:
        group = {
            "image": "a:1",
            "env": {"MODE": "slow"},
            "templates": {"/vars": {"text": text, "env": True, **more}},
        }
        return parse(yaml.safe_dump({"job": "shop", "groups": {"web": group}}), "job.yml", {})

    def test_is_part_of_the_environment_and_a_file_as_well(self) -> None:
        render = partial(rendered, CLUSTER, NODES[0], nobody)
        porter = Porter(connect=no_connection, secret=no_secrets, render=render)
        task = build.task(spec=self.job("MODE=fast\n# no\n\n  ADDR=a b=c ").groups[0].spec)
        found = porter.variables(task)
        assert found == {"MODE": "fast", "ADDR": "a b=c"}
        assert porter.variables(task, ["MODE=other"]) == {"MODE": "other"}
        config = container_config(task, Claim(cluster="c", owner="o", epoch=1), env=found)
        assert config["Env"] == ["ADDR=a b=c", "MODE=fast"]
        assert [mount["Target"] for mount in config["HostConfig"]["Mounts"]] == ["/vars"]

    @pytest.mark.parametrize("text", ["MODE fast", "export MODE=fast", "A=1\n=2", "1=2"])
    def test_with_another_line_is_refused_before_anything_is_touched(self, text: str) -> None:
        with pytest.raises(InputError, match=r"/vars: the file is to hold variables: line \d is not of"):
            tried(self.job(text), CLUSTER)

    @pytest.mark.parametrize("how", [{"signal": "SIGHUP"}, {"exec": ["reload"]}])
    def test_cannot_be_told_of_without_a_new_process(self, how: Mapping[str, object]) -> None:
        with pytest.raises(InputError, match="write 'restart' or 'none'"):
            self.job("A=1", on_change=how)
        assert self.job("A=1", on_change="none").groups[0].spec.has_made_variables


def no_connection() -> Connection:
    raise AssertionError("nothing is brought anywhere")


@pytest.mark.parametrize("origin", ["{}", "{source: a.j2, text: b}"])
def test_a_file_has_one_origin(origin: str) -> None:
    with pytest.raises(InputError, match="write either 'source' or 'text'"):
        parse(f"job: shop\ngroups: {{web: {{image: 'a:1', templates: {{/f: {origin}}}}}}}", "job.yml", {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fine\n{{ colr }}", "templates/app.conf.j2:2:1: "),
        ("{% if %}", "templates/app.conf.j2:1:1: "),
        ("{{ ''.__class__ }}", "templates/app.conf.j2:1:1: "),
        ("{% for a in range(1000000) %}{% for b in range(1000000) %}x{% endfor %}{% endfor %}", "more work"),
        ("{% include '/etc/passwd' %}", "templates/app.conf.j2:1:1: "),
    ],
)
def test_a_template_with_a_mistake_is_refused_before_anything_is_touched(
    text: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "app.conf.j2").write_text(text)
    with pytest.raises(InputError) as refusal:
        with_templates(parse(JOB, "job.yml", {}), CLUSTER)
    assert says in str(refusal.value)


def test_a_template_that_is_not_there_or_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"templates/app\.conf\.j2: the file cannot be read"):
        with_templates(parse(JOB, "job.yml", {}), CLUSTER)
    with pytest.raises(InputError, match="larger than 64 KiB"):
        checked("x" * (MAX_BYTES + 1), "a")
    with pytest.raises(InputError, match="too large"):
        job_with("x" * (MAX_BYTES + 1))


def test_p15_a_template_that_leads_out_of_the_project_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leads to would be kept with the job, for all who may read that."""
    (tmp_path / "project" / "templates").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    (tmp_path / "key").write_text("private")
    Path("templates/app.conf.j2").symlink_to(tmp_path / "key")
    with pytest.raises(InputError, match="a link that leads out of this folder"):
        with_templates(parse(JOB, "job.yml", {}), CLUSTER)
    Path("templates/app.conf.j2").unlink()
    Path("templates/app.conf.j2").symlink_to("other.j2")
    Path("templates/other.j2").write_text("within")
    assert with_templates(parse(JOB, "job.yml", {}), CLUSTER).groups[0].spec.templates[0].text == "within"


def test_another_text_is_another_spec_and_the_container_is_told_no_more_than_the_place() -> None:
    one, two = job_with("one-text"), job_with("two-text")
    assert one.groups[0].spec.digest != two.groups[0].spec.digest
    template = Template(target="/etc/app.conf", source="app.conf.j2", text="x")
    secret = SecretUse(name="db", target="/run/secrets/db")
    spec = replace(one.groups[0].spec, templates=(template,), secrets=(secret,))
    task = build.task(spec=spec)
    mounts = container_config(task, Claim(cluster="c", owner="o", epoch=1))["HostConfig"]["Mounts"]
    assert [(mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in mounts] == [
        (f"/run/cube/{task.id}/db", "/run/secrets/db", True),
        (f"/run/cube/{task.id}/0.template", "/etc/app.conf", True),
    ]


@pytest.mark.parametrize("source", ["../x", "/etc/passwd", ".env", "a//b", "a/../../b", "a b"])
def test_a_template_lies_below_the_folder_of_templates(source: str) -> None:
    with pytest.raises(InputError, match="no file below templates/"):
        parse(JOB.replace("app.conf.j2", f"'{source}'"), "job.yml", {})


EXAMPLE = Path(__file__).parent.parent / "templates" / "haproxy.cfg.j2"
SITES = """
job: shop
groups:
  all: {image: 'a:1', ports: {http: {container: 80, public: true}}, ingress: {}}
  api:
    image: 'a:1'
    ports: {http: {container: 80, public: true}, admin: {container: 81}}
    ingress: {host: [API.example, api.example, b.example], path: /v1/, port: http}
  named: {image: 'a:1', ports: {http: {container: 80, public: true}}, ingress: {host: shop.example}}
  silent: {image: 'a:1', ports: {http: {container: 80, public: true}}}
"""


def proxy_of(*stopped: bool) -> list[str]:
    """The lines of the example's configuration that tell which requests go where."""
    job = replace(parse(SITES, "job.yml", {}), stopped=any(stopped))
    specs = [(index, group) for index, group in enumerate(job.groups) if group.name != "named"]
    tasks = []
    for index, group in specs:
        task = replace(
            build.task(index, job="shop", node="one", spec=group.spec), ports={"http": 20000 + index}
        )
        tasks.append(replace(task, slot=replace(task.slot, group=group.name)))
    template = Template(target="/etc/haproxy.cfg", source="haproxy.cfg.j2", text=EXAMPLE.read_text())
    served = served_by(CLUSTER, build.world(jobs=[job], tasks=tasks))
    text = rendered(CLUSTER, NODES[0], lambda: served, build.task(), template)
    words = ("use_backend", "backend", "server", "default_backend")
    return [line.strip() for line in text.splitlines() if line.split()[:1] and line.split()[0] in words]


def test_the_proxy_of_the_example_sends_each_request_to_the_group_that_it_is_for() -> None:
    hosts = "{ req.hdr(host),host_only,lower api.example b.example }"
    assert proxy_of() == [
        f"use_backend shop.api if {{ path /v1 }} {hosts}",
        f"use_backend shop.api if {{ path_beg /v1/ }} {hosts}",
        "use_backend shop.named if { always_true } { req.hdr(host),host_only,lower shop.example }",
        "use_backend shop.all if { always_true }",
        "default_backend nobody",
        "backend nobody",
        "backend shop.api",
        "server shop-api-1-shop-1-0 192.0.2.1:20001 check inter 2s weight 256",
        "backend shop.named",
        "backend shop.all",
        "server shop-all-0-shop-0-0 192.0.2.1:20000 check inter 2s weight 256",
    ]
    assert proxy_of(True) == ["default_backend nobody", "backend nobody"], "a job that is stopped takes none"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("ingress: {port: admin}", "a proxy reaches it only where it is 'public: true'"),
        ("ingress: {port: nothing}", "the group has no port 'nothing'"),
        ("ingress: {}", "name one of the group's 2 ports: 'port'"),
        ("ingress: {port: http, path: v1}", "is no path of a site"),
        ("ingress: {port: http, path: '/a b'}", "is no path of a site"),
        ("ingress: {port: http, path: /a/../b}", "is no path of a site"),
        ("ingress: {port: http, host: 'a b'}", "is no name of a host"),
    ],
)
def test_an_ingress_that_no_proxy_could_serve_is_refused(written: str, says: str) -> None:
    ports = "{http: {container: 80, public: true}, admin: {container: 81}}"
    with pytest.raises(InputError, match=re.escape(says)):
        parse(f"job: shop\ngroups: {{web: {{image: 'a:1', ports: {ports}, {written}}}}}", "job.yml", {})


@pytest.mark.parametrize(
    ("printed", "files"),
    [
        (f"{'a' * 8} 12 {'e' * 64} {'b' * 64}", Delivered(hashes=("b" * 64,), told="e" * 64, told_at=12.0)),
        (f"{'a' * 8} 12 . {'b' * 64}", Delivered(hashes=("b" * 64,), told="", told_at=12.0)),
        (f"{'a' * 8} 12 3 {'b' * 64}", Delivered(hashes=("b" * 64,), told="", told_at=12.0, tries=3)),
        (f"{'a' * 8} 0 - -", Delivered(hashes=("",), told=None)),
        (f"{'a' * 8} 12 {'e' * 64} ?", None),
        ("", None),
        (f"{'f' * 8} 12 {'e' * 64} {'b' * 64}", None),
    ],
)
def test_a_look_tells_what_is_there_what_is_not_and_what_nobody_could_tell_p2(
    printed: str, files: Delivered | None
) -> None:
    """What could not be read is unknown, and never taken for a file that is not there."""
    template = Template(target="/etc/app.conf", source="app.conf.j2", text="x")
    task = replace(build.task(spec=build.spec(templates=(template,))), id="a" * 8)
    held, other = build.container(task), build.container(build.task(1))
    asked: list[bytes] = []

    def run(_script: str, stdin: bytes) -> bytes:
        asked.append(stdin)
        return printed.encode()

    specs = {held.id: task.spec, other.id: build.spec()}
    assert [found.files for found in with_files([held, other], specs, run)] == [files, None]
    assert asked == [b"aaaaaaaa 1\n"]
    assert with_files([other], specs, run) == (other,)
    assert len(asked) == 1, "a node without such files is asked nothing more"
