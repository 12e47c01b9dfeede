"""Templates in documents: the text values of a YAML file that has been read already, and whole text files.

A value is rendered after the YAML was parsed, so it stays one value whatever it holds: never a key,
a list or a second line of YAML. Templates see data and nothing of Python, and cost a bounded amount of
work (see sandbox.py, which alone imports Jinja2: a file without a template never pays for it).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from cube.document.reader import Document, Listing, Mark, Scalar, Table

_TAG = re.compile(r"\{[{%#]")
_LITERAL_TAG = re.compile(r"\{\{ '(\{[{%#])' \}\}")


def render(document: Document, variables: Mapping[str, Any]) -> Document:
    """The document with every template among its values rendered; its keys are never templates.

    `variables` maps names to data; those in its table `var` may also be written without `var.`.
    Raises InputError, with the place of the value, for a template that cannot be rendered: bad syntax,
    an unknown name, a step that is not allowed, more work or output than a document may cost.
    """
    if not _has_template(document):
        return document
    from cube.document.sandbox import Sandbox  # noqa: PLC0415 - only those who use templates wait for Jinja2

    sandbox = Sandbox(variables)
    return _rendered(document, lambda scalar: sandbox.render(scalar.text, lambda _: scalar.mark))


def render_text(text: str, variables: Mapping[str, Any], source: str) -> str:
    """A whole text as one template, with the variables of `render`.

    `source` is what its places are called by. Raises InputError with file, line and column.
    """
    from cube.document.sandbox import Sandbox  # noqa: PLC0415 - as in render()

    return Sandbox(variables).render(text, lambda line: _mark_in(text, source, line))


def literal(text: str) -> str:
    """The template that is rendered to just this text."""
    return _TAG.sub(lambda found: "{{ '" + found[0] + "' }}", text)


def as_literal(template: str) -> str | None:
    """The text of which `literal` makes that template; None: it is one that differs from task to task."""
    text = _LITERAL_TAG.sub(lambda found: found[1], template)
    return text if literal(text) == template else None


def _is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def _has_template(document: Document) -> bool:
    match document:
        case Scalar(text=text):
            return _is_template(text)
        case Listing(items=items):
            return any(map(_has_template, items))
        case Table(entries=entries):
            return any(_has_template(value) for _, value in entries)


def _rendered(document: Document, rendered: Callable[[Scalar], str]) -> Document:
    match document:
        case Scalar(text=text, mark=mark):
            return Scalar(rendered(document), mark, is_plain=False) if _is_template(text) else document
        case Listing(items=items, mark=mark):
            return Listing(tuple(_rendered(item, rendered) for item in items), mark)
        case Table(entries=entries, mark=mark):
            return Table(tuple((key, _rendered(value, rendered)) for key, value in entries), mark)


def _mark_in(text: str, source: str, line: int) -> Mark:
    """The first tag of the line: Jinja2 knows lines only."""
    lines = text.splitlines()
    written = lines[line - 1] if line <= len(lines) else ""
    return Mark(source, line, max(written.find("{"), 0) + 1)
