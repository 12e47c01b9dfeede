"""The text of an inventory, and of the files beside it, to an Inventory."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum

from cube.document.reader import Scalar, read
from cube.errors import InputError
from cube.inventory.from_ini import parse_ini
from cube.inventory.from_json import parse_json
from cube.inventory.from_yaml import MAX_BYTES, TAGS, parse_yaml, variables_of
from cube.inventory.inventory import Inventory
from cube.inventory.value import Variable, Variables


class Format(StrEnum):
    """How an inventory is written. SCRIPT: it is what an executable printed."""

    YAML = "yaml"
    INI = "ini"
    SCRIPT = "script"


_YAML_LINE = re.compile(r"---|[{]|[^\s\[=]+:(\s|$)")


def guess_format(name: str, text: str) -> Format:
    """By the end of the file's name; where it has none that tells, by the first line."""
    if name.endswith((".yml", ".yaml", ".json")):
        return Format.YAML
    if name.endswith(".toml"):
        raise InputError("TOML inventories are not read", where=name, cure="Write it as YAML or INI.")
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
    first = next((line for line in lines if line and line[0] not in "#;"), "")
    return Format.YAML if "." not in name and _YAML_LINE.match(first) else Format.INI


def parse(text: str, source: str, form: Format) -> Inventory:
    """The inventory; `source` is what its places are called by. Raises InputError with the place."""
    return {Format.YAML: parse_yaml, Format.INI: parse_ini, Format.SCRIPT: parse_json}[form](text, source)


def parse_variables(files: Iterable[tuple[str, str]]) -> tuple[Variables, tuple[str, ...]]:
    """The variables of (source, text) pairs of group_vars/ or host_vars/, the last wins; and warnings.

    A file that Ansible's vault has encrypted is left out with a warning.
    """
    variables: dict[str, Variable] = {}
    warnings = []
    for source, text in files:
        if text.startswith("$ANSIBLE_VAULT"):
            warnings.append(f"{source}: encrypted by Ansible's vault, so its variables are not known to Cube")
            continue
        document = read(text, source, limit=MAX_BYTES, tags=TAGS)
        if not (isinstance(document, Scalar) and document.is_null):
            variables.update(variables_of(document))
    return variables, tuple(warnings)


Files = Mapping[str, Iterable[tuple[str, str]]]


def with_files(inventory: Inventory, group_files: Files, host_files: Files) -> Inventory:
    """The inventory with what is in group_vars/ and host_vars/: by name, (source, text) pairs in order."""
    groups = {name: parse_variables(files) for name, files in group_files.items()}
    hosts = {name: parse_variables(files) for name, files in host_files.items()}
    warnings = (text for _, texts in (*groups.values(), *hosts.values()) for text in texts)
    return replace(
        inventory,
        group_files={name: variables for name, (variables, _) in groups.items()},
        host_files={name: variables for name, (variables, _) in hosts.items()},
        warnings=(*inventory.warnings, *warnings),
    )
