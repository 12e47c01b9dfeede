"""Job files: what a good one becomes, and how each bad one is refused."""

from pathlib import Path

import pytest

from cube.errors import InputError
from cube.model.job import (
    CheckKind,
    Constraint,
    Group,
    HealthCheck,
    Job,
    JobType,
    Operator,
    Port,
    RestartPolicy,
    TaskSpec,
    Volume,
)
from cube.model.resources import Resources
from cube.spec.parse import parse
from cube.spec.reference import reference

ROOT = Path(__file__).parent.parent
REFUSED = sorted((ROOT / "tests/cases/spec/refused").glob("*.yml"))
DIGEST = "0123456789abcdef" * 4
VARIABLES = {"var": {"color": "blue", "count": 3, "digest": DIGEST}, "env": {"HOME": "/home/ann"}}

SMALL = "job: web\ngroups:\n  web:\n    image: cube-demo:1\n"

FULL = """\
job: web
type: batch
datacenters: [dc1, dc2]
priority: 70
groups:
  web:
    count: "{{ var.count }}"
    image: registry.example:5000/shop/web:1.4@sha256:{{ digest }}
    command: [serve, --port, "8080", "$(id)"]
    entrypoint: [/bin/app]
    env: {COLOR: "{{ color }}", SURE: no, TIME: 22:22, PI: 3.10, EMPTY: "", LINES: "a\\nb"}
    user: "1000:1000"
    cpu: 1.5
    memory: 64MiB
    disk: 1GB
    ports:
      http: {container: 8080, host: 80, public: true}
      admin: {container: 8081, host: 20000-20999}
      dns: {container: 53, protocol: udp}
    volumes:
      - data:/data
      - /srv/assets:/assets:ro
      - {source: cache, target: /cache, read_only: true}
    health: {http: "/health?full=1", port: http, timeout: 500ms, failures: 5, grace: 1m}
    restart: {attempts: 0, window: 1h30m, delay: 0s}
    update: {max_parallel: 2}
    labels: {team: shop}
    stop: {signal: SIGINT, grace: 1m}
    pids: 64
    allow_new_privileges: true
    constraints:
      - label.disk = ssd
      - node.name != node3
      - node.datacenter in dc1, dc2
      - node.role not in edge
  worker:
    count: 0
    image: cube-demo:1
"""


def job_with(extra: str) -> Job:
    """The smallest job, with more keys in its group."""
    return parse(SMALL + extra, "job.yml", VARIABLES)


def test_every_key_becomes_a_resolved_value() -> None:
    web = TaskSpec(
        image=f"registry.example:5000/shop/web:1.4@sha256:{DIGEST}",
        command=("serve", "--port", "8080", "$(id)"),
        entrypoint=("/bin/app",),
        env={"COLOR": "blue", "SURE": "no", "TIME": "22:22", "PI": "3.10", "EMPTY": "", "LINES": "a\nb"},
        user="1000:1000",
        resources=Resources(cpu=1500, memory=64 << 20, disk=10**9),
        ports=(
            Port(name="admin", container=8081, host_range=(20000, 20999)),
            Port(name="dns", container=53, protocol="udp"),
            Port(name="http", container=8080, host=80, public=True),
        ),
        volumes=(
            Volume(source="data", target="/data"),
            Volume(source="/srv/assets", target="/assets", read_only=True),
            Volume(source="cache", target="/cache", read_only=True),
        ),
        health=HealthCheck(
            kind=CheckKind.HTTP, path="/health?full=1", port="http", timeout=0.5, failures=5, grace=60.0
        ),
        labels={"team": "shop"},
        stop_signal="SIGINT",
        stop_grace=60.0,
        pids_limit=64,
        allow_new_privileges=True,
    )
    constraints = (
        Constraint(attribute="label.disk", operator=Operator.EQUAL, values=("ssd",)),
        Constraint(attribute="node.name", operator=Operator.NOT_EQUAL, values=("node3",)),
        Constraint(attribute="node.datacenter", operator=Operator.IN, values=("dc1", "dc2")),
        Constraint(attribute="node.role", operator=Operator.NOT_IN, values=("edge",)),
    )
    worker = TaskSpec(image="cube-demo:1", resources=Resources(cpu=100, memory=128 << 20))

    assert parse(FULL, "job.yml", VARIABLES) == Job(
        name="web",
        type=JobType.BATCH,
        datacenters=("dc1", "dc2"),
        priority=70,
        groups=(
            Group(
                name="web",
                spec=web,
                count=3,
                constraints=constraints,
                restart=RestartPolicy(attempts=0, window=5400.0, delay=0.0),
                max_parallel=2,
            ),
            Group(name="worker", spec=worker, count=0),
        ),
    )


def test_what_is_left_out_is_what_the_model_leaves_out_but_for_a_small_reservation() -> None:
    spec = TaskSpec(image="cube-demo:1", resources=Resources(cpu=100, memory=128 << 20))

    assert job_with("") == Job(name="web", groups=(Group(name="web", spec=spec),))


def test_a_health_check_left_to_its_defaults_is_the_models() -> None:
    job = job_with("    ports: {http: {container: 80}}\n    health: {tcp: true, port: http}\n")

    assert job.groups[0].spec.health == HealthCheck(kind=CheckKind.TCP, port="http")


def test_equal_files_give_equal_specs_whatever_the_order_of_their_keys() -> None:
    ports = "{a: {container: 1}, b: {container: 2}}", "{b: {container: 2}, a: {container: 1}}"
    one = job_with(f"    ports: {ports[0]}\n    env: {{A: a, B: b}}\n").groups[0].spec
    other = job_with(f"    env: {{B: b, A: a}}\n    ports: {ports[1]}\n").groups[0].spec

    assert one.digest == other.digest


@pytest.mark.parametrize(
    "image",
    [
        "web",
        "web:1",
        "team/web",
        "localhost:5000/web",
        "registry.example/a/b/c-d__e.f:1.0-rc_1",
        "Registry.Example/web",
        "web@sha256:" + "0" * 64,
    ],
)
def test_an_image_may_be_named_as_docker_names_it(image: str) -> None:
    assert parse(SMALL.replace("cube-demo:1", image), "job.yml", {}).groups[0].spec.image == image


@pytest.mark.parametrize(("written", "path"), [("/srv/data/", "/srv/data"), ("/variable", "/variable")])
def test_a_path_of_the_node_may_be_mounted_where_it_gives_no_hold(written: str, path: str) -> None:
    assert job_with(f"    volumes: ['{written}:/data']\n").groups[0].spec.volumes[0].source == path


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.stem)
def test_p17_refused(case: Path) -> None:
    """Each case begins with the message that it must get, line by line."""
    text = case.read_text()
    expected = "".join(
        line.removeprefix("# ") for line in text.splitlines(keepends=True) if line.startswith("# ")
    )

    with pytest.raises(InputError) as refusal:
        parse(text, "job.yml", VARIABLES)

    assert f"{refusal.value}\n" == expected
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    "bad",
    [
        "    env: {TOKEN: [hunter2]}\n",
        "    env: {TOKEN: hunter2" + "x" * 70000 + "}\n",
        '    env: {TOKEN: "hunter2\\0"}\n',
    ],
)
def test_p15_the_value_of_a_variable_is_in_no_message(bad: str) -> None:
    with pytest.raises(InputError) as refusal:
        job_with(bad)

    assert "hunter2" not in str(refusal.value)
    assert "job.yml:5:" in str(refusal.value)


def test_all_variables_together_have_a_limit() -> None:
    variables = "".join(f"      V{number}: {'x' * 50000}\n" for number in range(3))

    with pytest.raises(InputError, match="131072 are allowed"):
        job_with(f"    env:\n{variables}")


def test_a_long_list_of_mistakes_is_cut() -> None:
    with pytest.raises(InputError, match=r"and 30 more$"):
        job_with("".join(f"    key{number}: 1\n" for number in range(50)))


@pytest.mark.parametrize("example", sorted((ROOT / "jobs").glob("*.yml")), ids=lambda path: path.stem)
def test_every_example_is_a_job_named_as_its_file(example: Path) -> None:
    assert parse(example.read_text(), str(example), {"var": {}, "env": {}}).name == example.stem


def test_the_job_in_the_documentation_is_a_job() -> None:
    page = (ROOT / "docs/jobs.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]

    assert parse(example, "docs/jobs.md", {"var": {}, "env": {}}).name == "web"


def test_every_key_is_in_the_documentation_as_the_schema_has_it() -> None:
    assert reference() in (ROOT / "docs/jobs.md").read_text()
