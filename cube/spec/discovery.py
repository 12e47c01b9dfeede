"""Discovery: fixed names for the tasks of jobs, in a file that follows them."""

import re
from collections.abc import Mapping

from cube.document.check import shown
from cube.model.job import OnChange, Telling, Template
from cube.spec import grammar

HOSTS = "/etc/hosts"
"""Where every program looks names up, each time anew."""

_SERVICE = re.compile(r"[^/]+(/[^/]+)?")

_HEAD = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
"""

_NO_NUMBER = '":" not in each.address and each.address.split(".") | last | int(-1) < 0'
"""No resolver reads such a line; with nobody to list, as when it is deployed, every node is looked at."""

_LINES = """\
{{% for each in service("{service}") %}}
{{% if {no_number} %}}
{{{{ refuse("the inventory has a name for the address of " ~ each.node ~ ", not numbers") }}}}
{{% endif %}}
{{{{ each.address }}}}\t{name}
{{% else %}}
{{% for each in cluster.nodes if {no_number} %}}
{{{{ refuse("the inventory has a name for the address of " ~ each.name ~ ", not numbers") }}}}
{{% endfor %}}
{{% endfor %}}
"""


def service(text: str) -> str:
    """A job, or one of its groups."""
    if not _SERVICE.fullmatch(text):
        raise ValueError(f"{shown(text)} is neither a job nor a group; write 'shop' or 'shop/db'")
    return "/".join(map(grammar.name, text.split("/")))


def hosts_file(services: Mapping[str, str], fixed: Mapping[str, str], own_name: str) -> Template:
    """The file that has the addresses of those services by name, the fixed ones, and the container's own.

    It takes the place of the engine's, and nobody has to be told when it changes.
    """
    lines = "".join(f"{address}\t{name}\n" for name, address in sorted(fixed.items()))
    found = "".join(
        _LINES.format(service=where, name=name, no_number=_NO_NUMBER)
        for name, where in sorted(services.items())
    )
    text = f"{_HEAD}127.0.1.1\t{own_name}\n{lines}{found}"
    return Template(target=HOSTS, source="", text=text, on_change=OnChange(telling=Telling.NONE))
