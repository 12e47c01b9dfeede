"""What an inventory lends to templates."""

from cube.inventory.cluster import read_cluster
from cube.inventory.parse import Format, parse
from cube.model.node import Cluster

TEXT = """
all:
  vars:
    tag: 1.10
    cube_cluster: shop
    ansible_user: deploy
    derived: "{{ tag }}"
  hosts:
    node1: {secret_of_node1: no}
"""


def test_variables_of_all_are_the_cluster_s_without_cube_s_and_ansible_s_own() -> None:
    cluster = _cluster()
    assert cluster.variables == {"tag": "1.10"}, "as it is written: a template makes text of it"


def _cluster() -> Cluster:
    inventory = parse(TEXT, "shop.yml", Format.YAML)
    return read_cluster(inventory, name="shop", folder="/", locate=str).cluster
