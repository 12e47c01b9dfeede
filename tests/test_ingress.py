"""Requests from outside: how a proxy is to treat them, and who answers while a job is looked after."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cube.errors import InputError
from cube.manager.planning import planned
from cube.manager.served import Known, served_by, weighted
from cube.manager.templates import rendered
from cube.model.ingress import Ingress
from cube.model.job import Job, TaskSpec, Template
from cube.model.maintenance import Maintenance
from cube.model.rollout import Rollout, RolloutState
from cube.model.task import Task
from cube.reconciler.ingresses import clashes
from cube.reconciler.world import World
from cube.scheduler.algorithms import ALGORITHMS
from cube.spec.parse import parse
from tests import build
from tests.stage import run, staged
from tests.test_files_from_templates import CLUSTER, NODES

TEMPLATES = Path(__file__).parent.parent / "templates"
PORTS = "ports: {http: {container: 80, public: true}}"


def shop(ingress: str, *, update: str = "{}") -> Job:
    group = f"{{image: 'a:1', {PORTS}, update: {update}, ingress: {ingress}}}"
    return parse(f"job: shop\ngroups: {{web: {group}}}", "job.yml", {})


def tasks_of(job: Job, *versions: int) -> list[Task]:
    """One for each version; only the newest is of the spec that is wanted now."""
    (group,) = job.groups
    specs: dict[bool, TaskSpec] = {True: group.spec, False: replace(group.spec, image="a:0")}
    found = []
    for index, version in enumerate(versions):
        task = build.task(
            index, job="shop", node="one", spec=specs[version == max(versions)], version=version
        )
        slot = replace(task.slot, group="web")
        found.append(replace(task, slot=slot, ports={"http": 20000 + index}))
    return found


def proxy(world: World, source: str = "haproxy.cfg.j2", **spec: Any) -> str:
    """The proxy's configuration in that world."""
    template = Template(target="/etc/proxy", source=source, text=(TEMPLATES / source).read_text())
    reader = build.task(spec=replace(build.spec(), **spec))
    return rendered(CLUSTER, NODES[0], lambda: served_by(CLUSTER, world), reader, template)


def lines(text: str, *words: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith(words)]


class TestMaintenance:
    asked = Maintenance(job="shop", at=1.0, actor="ann", retry_after=600.0)

    def world(self, job: Job, **changes: Any) -> World:
        world = build.world(jobs=[job], tasks=tasks_of(job, 1))
        return replace(world, **changes)

    def test_is_a_page_that_says_when_to_come_back_before_anything_else_p19(self) -> None:
        job = shop("{tls: required}")
        env = {"CERTIFICATE": "/x"}
        assert lines(proxy(self.world(job), env=env), "http-request return status 503") == []
        closed = self.world(job, maintenances={"shop": self.asked})
        said = lines(proxy(closed, env=env), "http-request return status 503", "http-request redirect")
        assert said[0].endswith("content-type text/plain string maintenance hdr Retry-After 600")
        assert len(said) == 1

    @pytest.mark.parametrize(
        ("targets", "page"),
        [
            (("/etc/maintenance.html",), "/etc/maintenance.html"),
            (("/etc/maintenance.html", "/etc/maintenance/shop.html"), "/etc/maintenance/shop.html"),
            (("/etc/maintenance/other.html",), None),
        ],
    )
    def test_shows_the_file_that_the_proxy_has_for_the_job_or_for_all(
        self, targets: Sequence[str], page: str | None
    ) -> None:
        closed = self.world(shop("{}"), maintenances={"shop": self.asked})
        templates = tuple(Template(target=target, source="a.html.j2", text="") for target in targets)
        (said,) = lines(proxy(closed, templates=templates), "http-request return status 503")
        assert (f"file {page} " in said) is (page is not None)

    def test_outlives_another_version_and_goes_with_the_job(self) -> None:
        ingress = Ingress(port="http")
        with staged() as stage:
            stage.manager.deploy(build.job(count=1, min_healthy_time=0.0, ingress=ingress), run())
            stage.manager.begin_maintenance("web", 60.0, run())
            stage.manager.deploy(build.job(count=2, min_healthy_time=0.0, ingress=ingress), run())
            assert list(stage.store.maintenances()) == ["web"]
            stage.manager.remove("web", run())
            assert stage.store.maintenances() == {}

    def test_is_refused_for_a_job_to_which_no_proxy_sends_anybody(self) -> None:
        with staged() as stage:
            stage.manager.deploy(build.job(min_healthy_time=0.0), run())
            with pytest.raises(InputError, match="no proxy sends requests to job web"):
                stage.manager.begin_maintenance("web", 60.0, run())
            assert stage.store.maintenances() == {}

    def test_goes_on_where_the_job_is_stopped_meanwhile(self) -> None:
        job = replace(shop("{}"), stopped=True)
        closed = self.world(job, maintenances={"shop": self.asked})
        assert len(lines(proxy(closed), "http-request return status 503")) == 1


class TestCanaries:
    def canaries(self, **changes: Any) -> Sequence[Known]:
        job = replace(shop("{canary_weight: 10}", update="{canary: 1}"), version=2)
        rollout = replace(Rollout(job="shop", version=2, since=1.0, stable=1), **changes)
        world = build.world(jobs=[job], tasks=tasks_of(job, 2, 1, 1, 1), rollouts=[rollout])
        (found,) = served_by(CLUSTER, world).ingresses()
        tasks: Sequence[Known] = found["tasks"]
        return tasks

    @pytest.mark.parametrize("state", [RolloutState.RUNNING, RolloutState.PAUSED, RolloutState.FAILED])
    def test_get_their_share_until_somebody_promotes_them(self, state: RolloutState) -> None:
        tasks = self.canaries(state=state)
        assert [task["canary"] for task in tasks] == [True, False, False, False]
        weights = [task["weight"] for task in tasks]
        assert weights[0] / sum(weights) == pytest.approx(0.1, abs=0.005)

    @pytest.mark.parametrize(
        "changes", [{"promoted": True}, {"state": RolloutState.SUCCEEDED}, {"stable": None}]
    )
    def test_are_as_the_others_afterwards_and_where_there_is_nothing_to_go_back_to(
        self, changes: dict[str, Any]
    ) -> None:
        tasks = self.canaries(**changes)
        assert {(task["canary"], task["weight"]) for task in tasks} == {(False, 256)}

    @pytest.mark.parametrize(
        ("canaries", "others", "percent", "weights"),
        [
            (1, 1, 50, [256, 256]),
            (1, 3, None, [256, 256, 256, 256]),
            (1, 1, 0, [0, 256]),
            (1, 1, 100, [256, 0]),
            (1, 1, 1, [3, 256]),
            (1, 100, 1, [256] * 101),
            (2, 0, 1, [256, 256]),
            (0, 2, 1, [256, 256]),
        ],
    )
    def test_weigh_what_makes_their_percentage_of_all(
        self, canaries: int, others: int, percent: int | None, weights: list[int]
    ) -> None:
        tasks = [{"canary": index < canaries} for index in range(canaries + others)]
        found = [task["weight"] for task in weighted(tasks, percent)]
        assert found == pytest.approx(weights, abs=3)


class TestTheExample:
    def said(self, ingress: str, *words: str, **spec: Any) -> list[str]:
        job = shop(ingress)
        return lines(proxy(build.world(jobs=[job], tasks=tasks_of(job, 1)), **spec), *words)

    def test_keeps_who_comes_again_at_one_task_where_that_is_asked(self) -> None:
        assert self.said("{sticky: true}", "cookie") == [
            "cookie cube insert indirect nocache httponly attr SameSite=Lax"
        ]
        assert self.said("{sticky: true}", "server")[0].endswith("weight 256 cookie shop-web-0-shop-0-0")
        assert self.said("{}", "cookie") == []
        by_tls = self.said("{sticky: true, tls: required}", "cookie", env={"CERTIFICATE": "/x"})
        assert " secure " in by_tls[0]

    def test_waits_as_long_as_the_group_says(self) -> None:
        written = "{timeouts: {connect: 500ms, response: 2m}}"
        assert self.said(written, "timeout connect", "timeout server")[2:] == [
            "timeout connect 500ms",
            "timeout server 120000ms",
        ]

    def test_sends_plain_requests_on_where_tls_is_required(self) -> None:
        written = "{host: shop.example, tls: required, hsts: 1d}"
        sent_on, remembered = self.said(
            written, "http-request redirect", "http-response", env={"CERTIFICATE": "/x"}
        )
        assert sent_on.endswith(
            "https://%[req.hdr(host),host_only]%[capture.req.uri] code 308 unless { ssl_fc }"
        )
        assert remembered.endswith("Strict-Transport-Security max-age=86400 if { ssl_fc }")

    def test_has_a_certificate_for_each_host_where_it_is_given_a_folder_of_them(self) -> None:
        said = self.said("{}", "bind :8443", env={"CERTIFICATE": "/run/certificates/"})
        assert said == ["bind :8443 ssl crt /run/certificates/"]

    @pytest.mark.parametrize(
        ("written", "says"),
        [
            ("{host: a.example, tls: acme}", "HAProxy gets no certificates itself"),
            ("{tls: required}", "shop.web needs TLS, and this proxy has no CERTIFICATE"),
        ],
    )
    def test_refuses_what_it_cannot_do(self, written: str, says: str) -> None:
        with pytest.raises(InputError, match=re.escape(says)):
            self.said(written)


class TestTheOtherExample:
    """Caddy does what HAProxy does, and gets certificates besides."""

    def said(self, ingress: str, *words: str, **spec: Any) -> list[str]:
        job = replace(shop(ingress, update="{canary: 1}"), version=2)
        rollout = Rollout(job="shop", version=2, since=1.0, stable=1)
        world = build.world(jobs=[job], tasks=tasks_of(job, 2, 1), rollouts=[rollout])
        return lines(proxy(world, "Caddyfile.j2", **spec), *words)

    def test_gets_a_certificate_for_each_host_that_asks_for_one(self) -> None:
        written = "{host: [a.example, b.example], tls: acme, hsts: 1d}"
        assert self.said(written, "https://", "redir", "header") == [
            "redir @plain https://{host}{uri} 308",
            "header Strict-Transport-Security max-age=86400",
            "https://a.example {",
            "https://b.example {",
        ]

    def test_gives_canaries_their_share_in_twentieths(self) -> None:
        sent = self.said("{canary_weight: 20}", "lb_policy", "to ")
        assert sent[0] == "lb_policy random"
        assert [sent.count(f"to 192.0.2.1:{port}") for port in (20000, 20001)] == [5, 20]

    def test_keeps_who_comes_again_at_one_task_where_that_is_asked(self) -> None:
        assert self.said("{sticky: true}", "lb_policy") == ["lb_policy cookie cube"]

    @pytest.mark.parametrize(
        ("certificate", "said"), [("/x.pem", ["tls /x.pem /x.pem"]), ("/x/", ["tls {", "load /x/"])]
    )
    def test_has_a_certificate_from_a_file_or_those_of_a_folder(
        self, certificate: str, said: list[str]
    ) -> None:
        assert self.said("{}", "tls", "load", env={"CERTIFICATE": certificate}) == said

    def test_refuses_to_serve_by_tls_without_a_certificate(self) -> None:
        with pytest.raises(InputError, match="write 'tls: acme' for it to get one"):
            self.said("{tls: required}")


def test_what_a_proxy_that_runs_cannot_do_is_refused_before_anything_is_touched() -> None:
    with staged() as stage:
        source = "{% for each in ingresses() if each.sticky %}{{ refuse('no cookies here') }}{% endfor %}"
        template = Template(target="/list", source="list.j2", text=source)
        reads = replace(build.spec(), templates=(template,))
        stage.manager.deploy(build.job("reader", 1, task=reads, min_healthy_time=0.0), run())
        stage.manager.deploy(shop("{}"), run())
        with pytest.raises(InputError, match=r"(?s)files of reader/main\[0\] .* no cookies here"):
            stage.manager.deploy(shop("{sticky: true}"), run())
        with pytest.raises(InputError, match="no cookies here"):
            stage.manager.preview(shop("{sticky: true}"))
        assert [found.job.version for found in stage.store.versions("shop")] == [1]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("{hsts: 1d}", "browsers that come by TLS alone need 'tls: required'"),
        ("{tls: acme}", "a certificate is for a host"),
        ("{canary_weight: 5}", "it needs canaries"),
        ("{canary_weight: 101}", "from 0 to 100"),
        ("{tls: maybe}", "'maybe'"),
        ("{timeouts: {response: 1ms}}", "is not between 1s and 1d"),
    ],
)
def test_an_ingress_that_contradicts_itself_is_refused(written: str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        shop(written)


def test_of_two_that_ask_for_the_same_requests_it_is_told_who_gets_them() -> None:
    asks = (
        ("one", "{host: [a.example, b.example]}"),
        ("two", "{host: b.example, path: /}"),
        ("three", "{host: b.example, path: /api}"),
        ("four", "{}"),
    )
    jobs = [replace(shop(ingress), name=name) for name, ingress in asks]
    told = "two/web asks for b.example/, and one/web does: requests go to one/web"
    assert list(clashes(jobs)) == [told]
    assert told in planned(CLUSTER, build.world(jobs=jobs, nodes=NODES), ALGORITHMS["spread"]).warnings
    assert list(clashes([jobs[0], replace(jobs[1], stopped=True)])) == []
