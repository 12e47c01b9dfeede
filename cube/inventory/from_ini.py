"""An inventory in INI: `[group]`, `[group:children]`, `[group:vars]`, one host per line."""

import re
import shlex
from collections.abc import Callable, Mapping

from cube.document.reader import Mark, check_text
from cube.errors import InputError
from cube.inventory.draft import Draft
from cube.inventory.from_yaml import MAX_BYTES
from cube.inventory.inventory import Inventory
from cube.inventory.ranges import expand
from cube.inventory.value import Literal, Variable

_SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
_CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")


def parse_ini(text: str, source: str) -> Inventory:
    """The inventory that the text describes. Raises InputError with its place for everything else."""
    text = text.removeprefix("\ufeff")
    check_text(text, source, MAX_BYTES)
    reader = _Reader(source)
    for number, line in enumerate(text.splitlines(), 1):
        if (stripped := line.strip()) and stripped[0] not in ";#":
            reader.take(stripped, Mark(source, number, line.index(stripped) + 1))
    reader.check_declared()
    return reader.draft.finish()


class _Reader:
    """Goes through the lines; knows in which section it is, and which groups were only spoken of."""

    def __init__(self, source: str) -> None:
        self.draft = Draft(source)
        self.group = "ungrouped"
        self.kind = "hosts"
        self.declared = {"all", "ungrouped"}
        self.spoken_of: dict[str, tuple[Mark, str]] = {}
        self.pending: dict[str, list[tuple[str, Mark]]] = {}
        self.kinds: Mapping[str, Callable[[str, Mark], None]] = {
            "hosts": self.host,
            "children": self.child,
            "vars": self.variable,
        }

    def take(self, line: str, mark: Mark) -> None:
        if found := _SECTION.fullmatch(line):
            self.section(found[1], found[2] or "hosts", mark)
        elif line.startswith("[") and line.endswith("]"):
            raise _bad("a section is written [group], [group:children] or [group:vars], without spaces", mark)
        else:
            self.kinds[self.kind](line, mark)

    def section(self, group: str, kind: str, mark: Mark) -> None:
        if kind not in self.kinds:
            raise _bad(f"':{kind}' is no kind of section; known are :children and :vars", mark)
        self.group, self.kind = group, kind
        self.draft.add_group(group, mark)
        if kind == "vars":
            self.spoken_of.setdefault(
                group, (mark, f"[{group}:vars] sets variables of a group that is nowhere")
            )
            return
        self.declared.add(group)
        for parent, where in self.pending.pop(group, ()):
            self.draft.add_child(parent, group, where)

    def host(self, line: str, mark: Mark) -> None:
        try:
            pattern, *words = shlex.split(line, comments=True)
        except ValueError as error:
            raise _bad(f"{str(error).lower()}; close it, or quote the value", mark) from None
        if pattern.endswith(":"):
            raise _bad("a host ends in ':', which stands before a port", mark)
        variables = dict(_assignment(word, mark) for word in words)
        names, port = expand(pattern, mark)
        for name in names:
            self.draft.add_host(name, self.group, mark, port=port)
            self.draft.set_host(name, variables)

    def child(self, line: str, mark: Mark) -> None:
        found = _CHILD.fullmatch(line)
        if not found:
            raise _bad("under :children stands one group per line", mark)
        child = found[1]
        if child in self.draft.groups:
            self.draft.add_child(self.group, child, mark)
        else:
            self.pending.setdefault(child, []).append((self.group, mark))
            self.spoken_of.setdefault(child, (mark, f"the group '{child}' is nowhere"))

    def variable(self, line: str, mark: Mark) -> None:
        if "=" not in line:
            raise _bad("under :vars stands one key=value per line", mark)
        key, variable = _assignment(line, mark)
        self.draft.set_group(self.group, key.strip(), variable)

    def check_declared(self) -> None:
        for name, (mark, problem) in self.spoken_of.items():
            if name not in self.declared:
                raise InputError(
                    problem, where=str(mark), cure=f"Add a section [{name}], or correct the name."
                )


def _assignment(word: str, mark: Mark) -> tuple[str, Variable]:
    key, equals, value = word.partition("=")
    if not equals:
        raise _bad("after a host stand key=value pairs; quote values that contain spaces", mark)
    return key, Variable(Literal(value.strip()), mark)


def _bad(why: str, mark: Mark) -> InputError:
    return InputError("this line cannot be read", where=str(mark), why=why)
