"""The list of commands by what one wants of them."""

from typing import Any

from typer.core import TyperGroup


class Sections(TyperGroup):
    """A group of commands whose help lists them under the headings that they were given as panels."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one list for each heading, in the order in which the headings first come."""
        sections: dict[str, list[tuple[str, str]]] = {}
        limit = formatter.width - 6 - max(len(name) for name in self.commands)
        for name in self.list_commands(ctx):
            command = self.commands[name]
            heading = getattr(command, "rich_help_panel", None)
            lines = sections.setdefault(heading if isinstance(heading, str) else "Commands", [])
            lines.append((name, command.get_short_help_str(limit)))
        for heading, lines in sections.items():
            with formatter.section(heading):
                formatter.write_dl(lines)
