"""Job files: what a good one becomes, and how each bad one is refused."""

from pathlib import Path

import pytest

from cube.document.check import shown
from cube.errors import InputError
from cube.model.job import (
    CheckKind,
    Constraint,
    Group,
    HealthCheck,
    Hooks,
    Job,
    JobType,
    Logging,
    Operator,
    Parameters,
    Port,
    Schedule,
    TaskSpec,
    Tmpfs,
    Ulimit,
    Volume,
)
from cube.model.policy import (
    Condition,
    DisconnectPolicy,
    OnDisconnect,
    OnUnhealthy,
    Order,
    QuarantinePolicy,
    ReschedulePolicy,
    RestartMode,
    RestartPolicy,
    UpdatePolicy,
)
from cube.model.resources import Resources
from cube.spec.parse import parse
from cube.spec.reference import reference

ROOT = Path(__file__).parent.parent
REFUSED = sorted((ROOT / "tests/cases/spec/refused").glob("*.yml"))
PAGE = (ROOT / "docs/jobs.md").read_text()
EXAMPLES = [part.split("```")[0] for part in PAGE.split("```yaml\n")[1:]]
DIGEST = "0123456789abcdef" * 4
VARIABLES = {"var": {"color": "blue", "count": 3, "digest": DIGEST}, "env": {"HOME": "/home/ann"}}

DEMO = TaskSpec(image="cube-demo:1", resources=Resources(cpu=100, memory=128 << 20))
SMALL = "job: web\ngroups:\n  web:\n    image: cube-demo:1\n"

FULL = """\
job: web
type: service
hooks: {before: [./check.sh, "$(id)"], after: [./tell.sh], timeout: 1m}
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
    health:
      http: /health?full=1
      port: http
      status: 200
      headers: {Authorization: "Bearer {{ color }}"}
      body: ready
      interval: 5s
      timeout: 500ms
      failures: 5
      successes: 2
      grace: 1m
    depends_on: {worker: healthy, migrate: completed}
    restart: {attempts: 0, window: 1h30m, delay: 0s, max_delay: 1m, mode: delay}
    reschedule: {attempts: 3, window: 2h, delay: 1m, max_delay: 10m}
    update:
      max_parallel: 2
      order: stop-first
      min_healthy_time: 10s
      healthy_deadline: 1m
      progress_deadline: 2m
      canary: 1
      auto_revert: true
    on_unhealthy: quarantine
    quarantine: {keep: 2h, memory: 512MiB}
    on_disconnect: keep
    lost_after: 10m
    labels: {team: shop}
    stop: {signal: SIGINT, grace: 1m}
    pids: 64
    allow_new_privileges: true
    working_dir: /app
    hostname: web.example
    group_add: ["1001", audio]
    cap_add: [cap_net_raw, IPC_LOCK]
    cap_drop: [ALL]
    read_only: true
    tmpfs: {/tmp: 64MiB, /run: {size: 1MiB, mode: 0750}}
    shm_size: 256MiB
    ulimits: {nofile: "1024:65536", memlock: unlimited}
    cpu_limit: 2
    extra_hosts: {mail: 10.0.0.7, node: host-gateway}
    logging: {driver: journald, options: {tag: web}}
    init: false
    constraints:
      - label.disk = ssd
      - node.name != node3
      - node.datacenter in dc1, dc2
      - node.role not in edge
  worker:
    count: 0
    image: cube-demo:1
  migrate:
    type: batch
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
            kind=CheckKind.HTTP,
            port="http",
            path="/health?full=1",
            status=(200, 200),
            headers={"Authorization": "Bearer blue"},
            body="ready",
            interval=5.0,
            timeout=0.5,
            failures=5,
            successes=2,
            grace=60.0,
        ),
        labels={"team": "shop"},
        stop_signal="SIGINT",
        stop_grace=60.0,
        pids_limit=64,
        allow_new_privileges=True,
        working_dir="/app",
        hostname="web.example",
        group_add=("1001", "audio"),
        cap_add=("IPC_LOCK", "NET_RAW"),
        cap_drop=("ALL",),
        read_only=True,
        tmpfs=(Tmpfs(target="/run", size=1 << 20, mode=0o750), Tmpfs(target="/tmp", size=64 << 20)),
        shm_size=256 << 20,
        ulimits=(Ulimit(name="memlock", soft=-1, hard=-1), Ulimit(name="nofile", soft=1024, hard=65536)),
        cpu_limit=2000,
        extra_hosts={"mail": "10.0.0.7", "node": "host-gateway"},
        logging=Logging(driver="journald", options={"tag": "web"}),
        init=False,
    )
    constraints = (
        Constraint(attribute="label.disk", operator=Operator.EQUAL, values=("ssd",)),
        Constraint(attribute="node.name", operator=Operator.NOT_EQUAL, values=("node3",)),
        Constraint(attribute="node.datacenter", operator=Operator.IN, values=("dc1", "dc2")),
        Constraint(attribute="node.role", operator=Operator.NOT_IN, values=("edge",)),
    )
    assert parse(FULL, "job.yml", VARIABLES) == Job(
        name="web",
        datacenters=("dc1", "dc2"),
        priority=70,
        hooks=Hooks(before=("./check.sh", "$(id)"), after=("./tell.sh",), timeout=60.0),
        groups=(
            Group(
                name="web",
                spec=web,
                count=3,
                constraints=constraints,
                depends_on={"worker": Condition.HEALTHY, "migrate": Condition.COMPLETED},
                restart=RestartPolicy(
                    attempts=0, window=5400.0, delay=0.0, max_delay=60.0, mode=RestartMode.DELAY
                ),
                reschedule=ReschedulePolicy(attempts=3, window=7200.0, delay=60.0, max_delay=600.0),
                update=UpdatePolicy(
                    max_parallel=2,
                    order=Order.STOP_FIRST,
                    min_healthy_time=10.0,
                    healthy_deadline=60.0,
                    progress_deadline=120.0,
                    canary=1,
                    auto_revert=True,
                ),
                on_unhealthy=OnUnhealthy.QUARANTINE,
                quarantine=QuarantinePolicy(keep=7200.0, memory=512 << 20),
                disconnect=DisconnectPolicy(then=OnDisconnect.KEEP, lost_after=600.0),
            ),
            Group(name="worker", spec=DEMO, count=0),
            Group(name="migrate", spec=DEMO, type=JobType.BATCH, reschedule=ReschedulePolicy(attempts=1)),
        ),
    )


def test_what_is_left_out_is_what_the_model_leaves_out_but_for_a_small_reservation() -> None:
    assert job_with("") == Job(name="web", groups=(Group(name="web", spec=DEMO),))


def test_a_health_check_left_to_its_defaults_is_the_models() -> None:
    job = job_with("    ports: {http: {container: 80}}\n    health: {tcp: true, port: http}\n")

    assert job.groups[0].spec.health == HealthCheck(kind=CheckKind.TCP, port="http")


@pytest.mark.parametrize(
    ("written", "check"),
    [
        ("{exec: [test, -e, /ok]}", HealthCheck(kind=CheckKind.EXEC, command=("test", "-e", "/ok"))),
        ("{image: true}", HealthCheck(kind=CheckKind.IMAGE)),
        ("{image: true, tcp: false, interval: 1m}", HealthCheck(kind=CheckKind.IMAGE, interval=60.0)),
        ("{image: true, interval: 1s}", HealthCheck(kind=CheckKind.IMAGE, interval=1.0, timeout=1.0)),
    ],
)
def test_a_health_check_within_the_container_asks_no_port(written: str, check: HealthCheck) -> None:
    assert job_with(f"    health: {written}\n").groups[0].spec.health == check


@pytest.mark.parametrize(("written", "status"), [("204", (204, 204)), ("100-599", (100, 599))])
def test_a_status_is_one_or_a_range(written: str, status: tuple[int, int]) -> None:
    job = job_with(
        f"    ports: {{http: {{container: 80}}}}\n    health: {{http: /, port: http, status: {written}}}\n"
    )

    assert job.groups[0].spec.health == HealthCheck(kind=CheckKind.HTTP, port="http", status=status)


def test_a_periodic_job_runs_by_the_clock_of_its_zone() -> None:
    schedule = (
        "{cron: '*/15 2-4  * jan mon#1', timezone: Europe/Berlin, prohibit_overlap: false, deadline: 1h}"
    )
    job = parse(f"type: periodic\nschedule: {schedule}\n{SMALL}", "job.yml", {})

    assert (job.type, job.schedule) == (
        JobType.PERIODIC,
        Schedule(
            cron="*/15 2-4 * jan mon#1", timezone="Europe/Berlin", prohibit_overlap=False, deadline=3600.0
        ),
    )


def test_a_schedule_left_to_its_defaults_is_the_models() -> None:
    job = parse(f"type: periodic\nschedule: {{cron: 30 2 * * *}}\n{SMALL}", "job.yml", {})

    assert job.schedule == Schedule(cron="30 2 * * *")


@pytest.mark.parametrize(
    ("written", "parameters"),
    [
        ("", Parameters()),
        ("parameters: {required: [path], optional: [max_width]}\n",
         Parameters(required=("path",), optional=("max_width",))),
    ],
)  # fmt: skip
def test_a_parameterized_job_names_what_a_dispatch_must_and_may(written: str, parameters: Parameters) -> None:
    assert parse(f"type: parameterized\n{written}{SMALL}", "job.yml", {}).parameters == parameters


@pytest.mark.parametrize(
    ("job", "group", "attempts"),
    [
        ("service", "", None),
        ("system", "", None),
        ("batch", "", 1),
        ("parameterized", "", 1),
        ("service", "    type: batch\n", 1),
        ("batch", "    type: service\n", None),
        ("batch", "    reschedule: {attempts: unlimited}\n", None),
        ("service", "    reschedule: {attempts: 0}\n", 0),
        ("service", "    reschedule: {attempts: auto, delay: 1s}\n", None),
    ],
)
def test_a_batch_that_failed_is_tried_elsewhere_once_and_a_service_without_end(
    job: str, group: str, attempts: int | None
) -> None:
    parsed = parse(f"type: {job}\n{SMALL}{group}", "job.yml", {})

    assert parsed.groups[0].reschedule.attempts == attempts


@pytest.mark.parametrize(
    "free",
    [
        "    volumes: ['data:/data:ro']\n",
        "    ports: {http: {container: 80}}\n",
        "    ports: {http: {container: 80, host: 20000-20999}}\n",
    ],
)
def test_start_first_is_possible_where_old_and_new_share_nothing(free: str) -> None:
    assert job_with(f"{free}    update: {{order: start-first}}\n").groups[0].update.order is Order.START_FIRST


def test_groups_may_wait_for_each_other_in_any_shape_without_a_circle() -> None:
    image = "image: cube-demo:1"
    job = parse(
        f"job: shop\ngroups:\n"
        f"  db: {{{image}}}\n"
        f"  cache: {{{image}, depends_on: {{db: healthy}}}}\n"
        f"  web: {{{image}, depends_on: {{cache: healthy, db: healthy}}}}\n",
        "job.yml",
        {},
    )

    assert [list(group.depends_on) for group in job.groups] == [[], ["db"], ["cache", "db"]]


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


def test_a_job_names_a_scheduler_that_there_is() -> None:
    text = f"scheduler: spread\n{SMALL}"
    assert parse(text, "job.yml", {}, schedulers=["spread", "tight"]).scheduler == "spread"
    with pytest.raises(InputError, match=r"job.yml:1:12: there is no scheduler 'spread'; known: tight"):
        parse(text, "job.yml", {}, schedulers=["tight"])


@pytest.mark.parametrize(
    ("written", "constraint"),
    [
        ("arm64", "node.architecture = arm64"),
        ("linux/arm64/v8", "node.architecture = arm64"),
        ("[x86_64, aarch64]", "node.architecture in amd64, arm64"),
    ],
)
def test_an_image_may_be_for_certain_machines(written: str, constraint: str) -> None:
    (found,) = job_with(f"    architecture: {written}\n").groups[0].constraints
    assert str(found) == constraint


def test_a_volume_may_be_somebody_elses() -> None:
    written = "    volumes: [{source: photos, target: /photos, external: true}]\n"
    assert job_with(written).groups[0].spec.volumes[0].external
    with pytest.raises(InputError, match="'external' is for volumes with a name; '/srv' is a path"):
        job_with("    volumes: [{source: /srv, target: /srv, external: true}]\n")


def test_the_nodes_time_zone_may_be_read() -> None:
    (volume,) = job_with("    volumes: ['/etc/localtime:/etc/localtime:ro']\n").groups[0].spec.volumes
    assert volume.read_only
    with pytest.raises(InputError, match="/etc/timezone is the node's own, and may only be read"):
        job_with("    volumes: ['/etc/timezone:/etc/timezone']\n")


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
        '    health: {http: /, port: http, headers: {Authorization: "hunter2\\n"}}\n',
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
        job_with("".join(f"    key{number}: 1\n" for number in range(230)))


@pytest.mark.parametrize("example", sorted((ROOT / "jobs").glob("*.yml")), ids=lambda path: path.stem)
def test_every_example_is_a_job_named_as_its_file(example: Path) -> None:
    assert parse(example.read_text(), str(example), {"var": {}, "env": {}}).name == example.stem


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.partition("\n")[0])
def test_every_job_in_the_documentation_is_a_job(example: str) -> None:
    assert parse(example, "docs/jobs.md", {"var": {}, "env": {}}).groups


def test_the_documentation_shows_a_job_of_every_type() -> None:
    shown = {parse(example, "docs/jobs.md", {"var": {}, "env": {}}).type for example in EXAMPLES}

    assert shown == set(JobType)


def test_every_key_is_in_the_documentation_as_the_schema_has_it() -> None:
    assert reference() in PAGE


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("m\u00fcnchen", "'m\u00fcnchen'"),
        ("\u043c\u043e\u0441\u043a\u0432\u0430-1", "'\u043c\u043e\u0441\u043a\u0432\u0430-1'"),
        ("web\u20131", r"'web\u20131'"),
        ("w\u0435b", r"'w\u0435b'"),
        ("mu\u0308nchen", r"'mu\u0308nchen'"),
        ("web\u200b", r"'web\u200b'"),
        ("a\nb", r"'a\nb'"),
        ("\u00fc" * 70, "'" + "\u00fc" * 57 + "...'"),
    ],
)
def test_what_somebody_wrote_is_told_in_its_own_letters_and_what_is_in_disguise_is_uncovered(
    written: str, told: str
) -> None:
    assert shown(written) == told
