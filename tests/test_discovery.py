"""Discovery: a name in /etc/hosts follows the tasks that serve."""

import re
from dataclasses import replace

import pytest

from cube.errors import InputError
from cube.manager.served import served_by
from cube.manager.templates import rendered, tried
from cube.model.job import Telling
from cube.model.node import Cluster
from cube.model.task import Task
from cube.spec.parse import parse
from tests import build
from tests.test_files_from_templates import CLUSTER, NODES

DISCOVERS = """
job: shop
groups:
  api: {image: 'a:1', discover: {db: data/db, cache.local: cache}, extra_hosts: {mail: 10.0.0.7}}
"""


def hosts_of(written: str, *tasks: Task, cluster: Cluster = CLUSTER) -> list[str]:
    (group,) = parse(written, "job.yml", {}).groups
    (template,) = group.spec.templates
    served = served_by(cluster, build.world(tasks=tasks))
    return rendered(cluster, NODES[0], lambda: served, build.task(spec=group.spec), template).splitlines()


def test_a_name_that_is_discovered_leads_to_those_who_serve_and_to_nobody_else() -> None:
    tasks = [build.task(index, job="data", node=node) for index, node in enumerate(("one", "two"))]
    tasks = [replace(task, slot=replace(task.slot, group="db")) for task in tasks]
    head = [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "127.0.1.1\tapi",
        "10.0.0.7\tmail",
    ]
    assert hosts_of(DISCOVERS) == head
    assert hosts_of(DISCOVERS, *tasks) == [*head, "192.0.2.1\tdb", "192.0.2.2\tdb"]
    (group,) = parse(DISCOVERS, "job.yml", {}).groups
    assert (group.spec.hostname, group.spec.templates[0].on_change.telling) == ("api", Telling.NONE)


def test_a_name_cannot_be_discovered_where_the_inventory_has_no_address() -> None:
    named = replace(NODES[0], access=replace(NODES[0].access, address="one.example"))
    cluster = replace(CLUSTER, nodes=(named,))
    with pytest.raises(InputError, match=r"/etc/hosts:.* the inventory has a name for the address of one"):
        tried(parse(DISCOVERS, "job.yml", {}), cluster)
    task = build.task(job="data", node="one")
    with pytest.raises(InputError, match="the inventory has a name for the address of one"):
        hosts_of(DISCOVERS.replace("data/db", "data"), task, cluster=cluster)
    tried(parse(DISCOVERS, "job.yml", {}), CLUSTER)


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("discover: {db: a/b/c}", "is neither a job nor a group"),
        ("discover: {db: x}, extra_hosts: {db: 10.0.0.7}", "'extra_hosts' has 'db' already"),
        ("discover: {localhost: x}", "'localhost' is the task itself"),
        ("discover: {db: x}, extra_hosts: {a: host-gateway}", "only the engine knows this address"),
        ("discover: {db: x}, templates: {/etc/hosts: a.j2}", "something else is mounted at /etc/hosts"),
    ],
)
def test_a_name_with_two_meanings_is_refused(written: str, says: str) -> None:
    with pytest.raises(InputError, match=re.escape(says)):
        parse(f"job: shop\ngroups: {{web: {{image: 'a:1', {written}}}}}", "job.yml", {})
