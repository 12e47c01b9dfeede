"""The inventory of a lab, as text: what `cube -i` reads, and Ansible too."""

import yaml

from cube.lab.fleet import Lab, LabNode

_HEADER = """\
# The lab '{name}', written by `cube lab up` and removed by `cube lab down`.
"""


def inventory_text(lab: Lab) -> str:
    """Every node with its address and pinned host key, in groups by datacenter; absolute paths."""
    datacenters = sorted({node.datacenter for node in lab.nodes})
    content = {
        "all": {
            "vars": {
                "cube_cluster": lab.name,
                "ansible_user": "root",
                "ansible_ssh_private_key_file": str(lab.key),
            },
            "hosts": {node.name: _host(node) for node in lab.nodes},
            "children": {datacenter: _group(lab, datacenter) for datacenter in datacenters},
        }
    }
    return _HEADER.format(name=lab.name) + yaml.safe_dump(content, sort_keys=False, width=1000)


def _host(node: LabNode) -> dict[str, object]:
    return {
        "ansible_host": node.address,
        "ansible_port": node.port,
        "cube_host_key": node.host_key,
        "cube_labels": {"rack": node.rack},
    }


def _group(lab: Lab, datacenter: str) -> dict[str, object]:
    names = [node.name for node in lab.nodes if node.datacenter == datacenter]
    return {"vars": {"cube_datacenter": datacenter}, "hosts": dict.fromkeys(names)}
