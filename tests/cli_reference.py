"""Every command with its arguments and options, made from the application itself: docs/cli.md.

`python -m tests.cli_reference` writes the page; tests/test_docs.py holds it current.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from cube.cli.main import app

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"

HEAD = """# Commands

Made from the command itself by `python -m tests.cli_reference`; `cube COMMAND --help` says the same.
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(_section(name, command) for name, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its full name, groups after single commands, each in its own order."""
    root: Any = typer.main.get_command(app)
    yield from _walk("cube", root)


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word, found in inner.items():
        yield from _walk(f"{name} {word}", found)


def _section(name: str, command: Any) -> str:
    rows = [_row(parameter) for parameter in command.params]
    table = "| | |\n| --- | --- |\n" + "\n".join(rows) + "\n" if rows else ""
    return f"\n## `{name}`\n\n{command.help.strip()}\n\n{table}"


def _row(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        words = parameter.metavar or parameter.name.upper()
    else:
        words = ", ".join([*parameter.opts, *parameter.secondary_opts])
    default = "" if parameter.default in (None, False, ()) else f" Default: `{parameter.default}`."
    return f"| `{words}` | {(parameter.help or '').replace('|', chr(92) + '|')}{default} |"


if __name__ == "__main__":
    PAGE.write_text(page())
