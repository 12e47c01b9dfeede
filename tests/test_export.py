"""Jobs in the words of others: read by those who are to read them, and nothing is left out in silence."""

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import hcl2
import jsonschema
import kubernetes_validate
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from cube.compose.convert import convert
from cube.compose.loader import Source
from cube.compose.project import Surroundings
from cube.document.template import as_literal, literal
from cube.export.compose import compose
from cube.export.kubernetes import kubernetes
from cube.export.nomad import nomad
from cube.export.unsaid import unsaid
from cube.model.job import Group, HealthCheck, Job, JobType, TaskSpec, Template, Volume
from cube.spec.parse import parse, resolve
from tests.test_spec import FULL, VARIABLES

ROOT = Path(__file__).parent.parent
EXAMPLES = {
    "full": parse(FULL, "job.yml", VARIABLES),
    **{path.stem: parse(path.read_text(), path.name, VARIABLES) for path in sorted(ROOT.glob("jobs/*.yml"))},
    **{
        path.stem: parse(path.read_text(), path.name, {})
        for path in sorted((ROOT / "tests/cases/compose/taken").glob("*.job"))
    },
}
WAYS = {"compose": compose, "nomad": nomad, "kubernetes": kubernetes}


@pytest.fixture(params=EXAMPLES, name="job")
def _job(request: pytest.FixtureRequest) -> Job:
    return EXAMPLES[request.param]


def taken_back(job: Job) -> Job:
    found = convert([Source(path="compose.yaml", text=compose(job).text)], Surroundings())
    return resolve(found.job)


def test_the_schema_of_the_compose_specification_takes_the_file(job: Job) -> None:
    jsonschema.validate(yaml.safe_load(compose(job).text), get_builtin_schema("vendor.compose-spec"))


def test_kubernetes_takes_the_manifests(job: Job) -> None:
    manifests = list(yaml.safe_load_all(kubernetes(job).text))
    assert len(manifests) >= len(job.groups)
    for manifest in manifests:
        kubernetes_validate.validate(manifest, "1.30", strict=True)


def test_kubernetes_is_told_of_requests_from_outside_and_of_secrets_by_their_names() -> None:
    text = """
job: shop
groups:
  web:
    image: web:7
    ports: {http: {container: 80, public: true}}
    ingress: {host: [shop.example, www.shop.example], path: /api, tls: required, sticky: true}
    secrets: {db_password: /run/pw, token: {env: TOKEN}}
"""
    found = kubernetes(parse(text, "job.yml", {}))
    manifests = {each["kind"]: each["spec"] for each in yaml.safe_load_all(found.text)}
    rules = manifests["Ingress"]["rules"]
    assert [rule["host"] for rule in rules] == ["shop.example", "www.shop.example"]
    backend = {"service": {"name": "shop-web", "port": {"name": "http"}}}
    assert rules[0]["http"]["paths"] == [{"path": "/api", "pathType": "Prefix", "backend": backend}]
    assert manifests["Ingress"]["tls"] == [{"hosts": ["shop.example", "www.shop.example"]}]
    (container,) = manifests["Deployment"]["template"]["spec"]["containers"]
    assert {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}} in container[
        "env"
    ]
    mount = {"name": "db-password", "mountPath": "/run/pw", "subPath": "db_password", "readOnly": True}
    assert mount in container["volumeMounts"]
    assert "web.ingress.sticky: true" in found.lost
    assert any("kubectl create secret generic db-password" in each for each in found.lost)


def test_the_parser_of_hcl_takes_the_job_of_nomad_and_reads_its_words_back(job: Job) -> None:
    (found,) = hcl2.loads(nomad(job).text)["job"]
    (body,) = found.values()
    groups = {name.strip('"'): inner for each in body["group"] for name, inner in each.items()}
    assert groups.keys() == {group.name for group in job.groups}
    for group in job.groups:
        (task,) = groups[group.name]["task"][0].values()
        assert task["config"][0]["image"].strip('"') == group.spec.image


def test_a_dollar_sign_of_the_job_is_no_template_of_nomad_s_or_anybody_s() -> None:
    spec = replace(
        EXAMPLES["web"].groups[0].spec, command=("${node.datacenter}", "%{if}", "$(HOME)", "$HOME")
    )
    job = Job(name="a", groups=(Group(name="a", spec=spec),))
    assert 'args = ["$${node.datacenter}", "%%{if}", "$(HOME)", "$HOME"]' in nomad(job).text
    assert "- $$(HOME)" in kubernetes(job).text
    assert taken_back(job).groups[0].spec.command == spec.command


def test_a_file_of_variables_is_no_mere_file_and_told() -> None:
    variables = Template(target="/vars", source="", text=literal("A=1"), env=True)
    spec = replace(EXAMPLES["web"].groups[0].spec, templates=(variables,))
    job = Job(name="a", groups=(Group(name="a", spec=spec),))
    assert all(any("/vars" in line for line in way(job).lost) for way in WAYS.values())


def _alike(group: Group) -> tuple[Template, ...]:
    """The files that are the same for every task."""
    return tuple(each for each in group.spec.templates if each.text and as_literal(each.text) is not None)


def _of_compose(volume: Volume) -> Volume:
    """Whose data follows whom, Compose has no word for."""
    return replace(volume, sticky=True)


@pytest.mark.parametrize("name", [name for name, job in EXAMPLES.items() if not job.type.is_template])
def test_a_compose_file_that_was_exported_is_the_same_containers_again(name: str) -> None:
    job = EXAMPLES[name]
    back = taken_back(job)
    for group, again in zip(job.groups, back.groups, strict=True):
        health = group.spec.health
        asked = health if health and str(health.kind) in ("exec", "image") else None
        kept = asked and replace(asked, successes=1, headers={}, body="")
        same = replace(group.spec, health=kept, templates=_alike(group))
        # Disk, and files that differ, have no words in Compose; CPU is told in whole millicores.
        resources = replace(again.spec.resources, disk=group.spec.resources.disk)
        found = replace(again.spec, resources=resources, templates=_alike(again))
        assert {_of_compose(each) for each in found.volumes} == {_of_compose(each) for each in same.volumes}
        assert replace(found, volumes=()) == replace(same, volumes=())
        assert (again.count, again.max_per_node) == (group.count, group.max_per_node)
        assert again.update.max_parallel == group.update.max_parallel
        assert again.depends_on.keys() == group.depends_on.keys()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    ("change", "word"),
    [({"priority": 7}, "priority"), ({"all_or_nothing": True}, "all_or_nothing")],
)
def test_what_has_no_word_is_told(way: Any, change: dict[str, Any], word: str) -> None:
    job = replace(EXAMPLES["web"], **change)
    assert any(line.startswith(word) for line in way(job).lost) or f"{word} = 7" in way(job).text


def test_a_field_that_nobody_thought_of_is_told() -> None:
    """Where an export says nothing of tasks but their image, each of their fields that is set is told."""
    spec = EXAMPLES["full"].groups[0].spec
    plain = TaskSpec(image=spec.image)
    told = {line.partition(":")[0] for line in unsaid(EXAMPLES["full"], {"TaskSpec.image"})}
    set_ = {each.name for each in fields(spec) if getattr(spec, each.name) != getattr(plain, each.name)}
    assert {f"web.{name}" for name in set_} <= told


def test_a_check_that_compose_cannot_ask_is_told() -> None:
    check = HealthCheck(kind="http", port="http")  # type: ignore[arg-type]
    spec = replace(EXAMPLES["web"].groups[0].spec, health=check)
    job = replace(
        EXAMPLES["web"], type=JobType.SERVICE, groups=(replace(EXAMPLES["web"].groups[0], spec=spec),)
    )
    assert any("a check by http" in line for line in compose(job).lost)


SHOP = """
job: shop
groups:
  web:
    image: web:7
    ports: {http: {container: 80, host: 80, public: true}, admin: {container: 81, host: 9090}}
    volumes: [data:/data, {source: theirs, target: /theirs, external: true}]
    depends_on: {db: healthy}
    restart: {attempts: 3}
  db:
    image: db:1
    health: {tcp: true, port: sql}
    ports: {sql: {container: 5432}}
    restart: {attempts: 3}
    reschedule: {attempts: 1}
"""


def test_swarm_gives_up_where_cube_would_and_nowhere_else() -> None:
    found = compose(parse(SHOP, "job.yml", {}))
    services = yaml.safe_load(found.text)["services"]
    policies = {name: service["deploy"]["restart_policy"] for name, service in services.items()}
    assert "max_attempts" not in policies["web"], "Cube tries elsewhere, for ever"
    assert policies["db"]["max_attempts"] == 7, "four times here, four times elsewhere"
    assert "web.restart.attempts: 3; Swarm tries for ever, anywhere" in found.lost


def test_compose_is_told_whose_volume_it_is_and_who_waits_for_less() -> None:
    found = compose(parse(SHOP, "job.yml", {}))
    volumes = yaml.safe_load(found.text)["volumes"]
    assert volumes == {"data": {"name": "data"}, "theirs": {"name": "theirs", "external": True}}
    assert "web.depends_on: db: healthy; Compose waits until it has started, no more" in found.lost


def test_kubernetes_keeps_to_its_node_what_listens_on_the_loopback_and_makes_no_volume_of_another() -> None:
    found = kubernetes(parse(SHOP, "job.yml", {}))
    manifests = list(yaml.safe_load_all(found.text))
    services = {each["metadata"]["name"]: each["spec"] for each in manifests if each["kind"] == "Service"}
    assert {name: [port["name"] for port in spec["ports"]] for name, spec in services.items()} == {
        "shop-web": ["http"]
    }
    (web, *_) = (each["spec"]["template"]["spec"] for each in manifests if each["kind"] == "Deployment")
    ports = {port["name"]: port for port in web["containers"][0]["ports"]}
    assert (ports["admin"]["hostPort"], ports["admin"]["hostIP"]) == (9090, "127.0.0.1")
    assert "hostIP" not in ports["http"]
    claims = [each["metadata"]["name"] for each in manifests if each["kind"] == "PersistentVolumeClaim"]
    assert claims == ["shop-data"]
    assert "web.volumes: theirs: its claim is to be there" in found.lost
    assert "web.ports: admin: on the node's loopback; with Kubernetes every pod reaches it" in found.lost
