"""The document of a job as the text of a job file."""

import re
from typing import Any

import yaml

from cube.document.reader import Document, Plain, plain
from cube.document.template import literal

_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,17}")


def text_of(job: Document) -> str:
    """YAML that reads as the same document: what would be a template there is written as text."""
    dumped = yaml.dump(_escaped(plain(job)), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return str(dumped)


def _escaped(value: Plain) -> Plain:
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return literal(value) if "{{" in value or "{%" in value else value


class _Dumper(yaml.SafeDumper):
    """Numbers and switches without quotes: every value of a job file is read as text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """A job file says everything where it belongs."""
        return True


def _represented(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    if _NUMBER.fullmatch(text):
        return dumper.represent_scalar("tag:yaml.org,2002:int", text)
    if text in ("true", "false"):
        return dumper.represent_scalar("tag:yaml.org,2002:bool", text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represented)
