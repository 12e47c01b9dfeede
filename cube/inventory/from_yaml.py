"""An inventory in YAML: groups with `hosts`, `children` and `vars`."""

import difflib
from collections.abc import Iterator

from cube.document.reader import Document, Mark, Scalar, Table, read
from cube.errors import InputError
from cube.inventory.draft import Draft
from cube.inventory.inventory import Inventory
from cube.inventory.ranges import expand
from cube.inventory.value import Variable

MAX_BYTES = 16 << 20
TAGS = frozenset({"!vault", "!unsafe"})
_SECTIONS = ("hosts", "children", "vars")

Entries = tuple[tuple[Scalar, Document], ...]


def parse_yaml(text: str, source: str) -> Inventory:
    """The inventory that the text describes. Raises InputError with its place for everything else."""
    document = read(text, source, limit=MAX_BYTES, tags=TAGS)
    draft = Draft(source)
    for name, body in entries(document, "an inventory is a table of groups"):
        _check_not_a_plugin(name)
        _read_group(draft, name, body)
    return draft.finish()


def variables_of(document: Document) -> dict[str, Variable]:
    """The variables in a table, or in nothing. Raises InputError where it is neither."""
    return {
        name.text: Variable(value, name.mark if isinstance(value, Table) else value.mark)
        for name, value in entries(document, "variables are a table of names and values")
    }


def entries(document: Document, expected: str) -> Entries:
    """The entries of a table; none where nothing was written. Raises InputError saying what was expected."""
    if isinstance(document, Table):
        return document.entries
    if isinstance(document, Scalar) and document.is_null:
        return ()
    raise InputError(
        expected, where=str(document.mark), cure="Write 'name:' lines, indented under the line above."
    )


def _read_group(draft: Draft, name: Scalar, body: Document) -> None:
    draft.add_group(name.text, name.mark)
    for section, content in entries(body, f"the group '{name.text}' must be a table"):
        match section.text:
            case "hosts":
                _read_hosts(draft, name.text, content)
            case "children":
                for child, child_body in _members(content, "children are a table of groups"):
                    _read_group(draft, child, child_body)
                    draft.add_child(name.text, child.text, child.mark)
            case "vars":
                for key, variable in variables_of(content).items():
                    draft.set_group(name.text, key, variable)
            case _:
                raise _unknown_section(section, name.text)


def _read_hosts(draft: Draft, group: str, content: Document) -> None:
    for pattern, body in _members(content, "hosts are a table: 'web1:', not '- web1'"):
        variables = variables_of(body)
        for name, port in _hosts(pattern.text, pattern.mark):
            draft.add_host(name, group, pattern.mark, port=port)
            draft.set_host(name, variables)


def _hosts(pattern: str, mark: Mark) -> Iterator[tuple[str, int | None]]:
    names, port = expand(pattern, mark)
    return ((name, port) for name in names)


def _members(content: Document, expected: str) -> Entries:
    """As `entries`; one bare word is one member without a body, as Ansible allows."""
    if isinstance(content, Scalar) and not content.is_null:
        return ((content, Scalar("", content.mark, is_plain=True)),)
    return entries(content, expected)


def _check_not_a_plugin(name: Scalar) -> None:
    if name.text == "plugin":
        raise InputError(
            "this is the configuration of an inventory plugin, which only Ansible can run",
            where=str(name.mark),
            cure="Write an executable that runs `ansible-inventory -i FILE --list`, and give that to Cube.",
        )


def _unknown_section(section: Scalar, group: str) -> InputError:
    close = difflib.get_close_matches(section.text, _SECTIONS, n=1)
    advice = f"Did you mean '{close[0]}'?" if close else f"Known are {', '.join(_SECTIONS)}."
    return InputError(
        f"unknown key '{section.text}' in the group '{group}'", where=str(section.mark), cure=advice
    )
