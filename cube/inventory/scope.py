"""The variables of hosts as Cube asks for them: by name, with templates rendered, with their places kept."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from cube.document.check import shown
from cube.document.reader import Mark, Scalar
from cube.errors import InputError
from cube.inventory.inventory import Inventory, group_members, resolve
from cube.inventory.value import Variable

Checked = TypeVar("Checked")


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable of one host, for one use."""

    name: str
    value: Any
    mark: Mark

    def text(self) -> str:
        """Its value as text. Raises InputError where it is a list, a table or encrypted."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        if isinstance(self.value, str | int | float):
            return str(self.value)
        if isinstance(self.value, dict) and "__ansible_vault" in self.value:
            raise self.refused("it is encrypted, and Cube cannot open Ansible's vault")
        raise self.refused("a text or a number is needed here")

    def checked(self, check: Callable[[str], Checked]) -> Checked:
        """What `check` makes of the text; its ValueError becomes an InputError with the place."""
        try:
            return check(self.text())
        except ValueError as error:
            raise self.refused(str(error)) from None

    def refused(self, why: str, cure: str = "") -> InputError:
        """The error that says why the value cannot be used."""
        value = ""
        if isinstance(self.value, str):
            value = f" {shown(self.value)}"
        elif isinstance(self.value, int | float):
            value = f" {self.value}"
        return InputError(f"{self.name}{value} cannot be used", where=str(self.mark), why=why, cure=cure)


class Scope:
    """Every host's variables. `folder` is what `inventory_dir` stands for in templates."""

    def __init__(self, inventory: Inventory, folder: str) -> None:
        self.inventory = inventory
        self.folder = folder
        self.resolved = resolve(inventory)
        self.members = {name: list(hosts) for name, hosts in group_members(inventory).items()}
        self.hosts = {name: _HostVariables(self, name) for name in inventory.hosts}

    def setting(self, host: str, *names: str) -> Setting | None:
        """The last of `names` that is set and not empty. Raises InputError for a bad template."""
        variables = self.resolved[host]
        for name in reversed(names):
            if (variable := variables.get(name)) is not None:
                value = self._rendered(variable.written(), host, variable, (name,))
                if value is not None and value != "":
                    return Setting(name, value, variable.mark)
        return None

    def value(self, host: str, name: str, chain: tuple[str, ...] = ()) -> Any:
        """What a template that names the variable gets; KeyError where there is none."""
        if name in (magic := self._magic(host)):
            return magic[name]
        variable = self.resolved[host][name]
        if name in chain:
            raise InputError(
                "variables are made of each other", where=str(variable.mark), why=" > ".join((*chain, name))
            )
        return self._rendered(variable.value(), host, variable, (*chain, name))

    def _rendered(self, value: Any, host: str, variable: Variable, chain: tuple[str, ...]) -> Any:
        if isinstance(value, str) and ("{{" in value or "{%" in value):
            return value if _is_unsafe(variable) else self._render(value, host, variable.mark, chain)
        if isinstance(value, list):
            return [self._rendered(item, host, variable, chain) for item in value]
        if isinstance(value, dict):
            return value.get("__ansible_unsafe") or {
                key: self._rendered(item, host, variable, chain) for key, item in value.items()
            }
        return value

    def _render(self, text: str, host: str, mark: Mark, chain: tuple[str, ...]) -> str:
        # Only those who use templates wait for Jinja2.
        from jinja2 import Environment, TemplateSyntaxError, meta  # noqa: PLC0415 - as said above

        from cube.document.sandbox import Sandbox  # noqa: PLC0415 - as said above

        try:
            names = meta.find_undeclared_variables(Environment(autoescape=False).parse(text))  # noqa: S701 - parsed, not rendered
        except (TemplateSyntaxError, RecursionError):
            names = set()
        there = self._magic(host).keys() | self.resolved[host].keys()
        known = {name: self.value(host, name, chain) for name in sorted(names & there)}
        try:
            return Sandbox(known).render(text, lambda _: mark)
        except InputError as error:
            cure = (
                error.cure
                if error.cure.startswith("Did")
                else "Templates see the variables of this host, `groups` and `hostvars`."
            )
            raise InputError(error.what, where=error.where, why=error.why, cure=cure) from None

    def _magic(self, host: str) -> Mapping[str, Any]:
        """What Ansible gives to every template beside the variables."""
        return {
            "inventory_hostname": host,
            "inventory_hostname_short": host.partition(".")[0],
            "inventory_dir": self.folder,
            "group_names": sorted(name for name in self.inventory.hosts[host].groups if name != "all"),
            "groups": self.members,
            "hostvars": self.hosts,
        }


class _HostVariables(Mapping[str, Any]):
    """The variables of another host, each rendered when a template asks for it."""

    def __init__(self, scope: Scope, host: str) -> None:
        self.scope = scope
        self.host = host

    def __getitem__(self, name: str) -> Any:
        return self.scope.value(self.host, name)

    def __contains__(self, name: object) -> bool:
        return name in self.scope.resolved[self.host] or name == "inventory_hostname"

    def __iter__(self) -> Iterator[str]:
        return iter(self.scope.resolved[self.host])

    def __len__(self) -> int:
        return len(self.scope.resolved[self.host])


def _is_unsafe(variable: Variable) -> bool:
    return isinstance(variable.content, Scalar) and variable.content.tag == "!unsafe"
