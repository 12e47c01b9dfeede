"""The file of sources: for each secret that is not in the project's encrypted file, where it comes from."""

from collections.abc import Mapping

from cube.document.check import Problem, refusal, shown
from cube.document.reader import Document, Listing, Scalar, Table, read
from cube.spec.grammar import secret, variable
from cube.vault.source import Source, SourceKind

_FORM = "write {env: NAME}, {file: PATH} or {command: [program, argument]}"


def sources(text: str, source: str) -> Mapping[str, Source]:
    """What the file says. Raises InputError with the place of every mistake."""
    document = read(text, source)
    if isinstance(document, Scalar) and document.is_null:
        return {}
    if not isinstance(document, Table):
        raise refusal(
            document, [Problem((), "write a table: the names of secrets, and where each comes from")]
        )
    found: dict[str, Source] = {}
    problems: list[Problem] = []
    for key, value in document.entries:
        try:
            found[secret(key.text)] = _source(value)
        except ValueError as error:
            problems.append(Problem((key.text,), str(error), key=True))
    if problems:
        raise refusal(document, problems)
    return found


def _source(document: Document) -> Source:
    if not isinstance(document, Table) or len(document.entries) != 1:
        raise ValueError(_FORM)
    ((key, value),) = document.entries
    match key.text, value:
        case "env", Scalar(text=text):
            return Source(kind=SourceKind.ENV, value=(variable(text),))
        case "file", Scalar(text=text) if text:
            return Source(kind=SourceKind.FILE, value=(text,))
        case "command", Listing(items=items) if items:
            return Source(kind=SourceKind.COMMAND, value=_words(items))
        case "command", _:
            raise ValueError("a command is a list, such as [pass, show, db]: no shell reads it")
    raise ValueError(f"{shown(key.text)} is no source; {_FORM}")


def _words(items: tuple[Document, ...]) -> tuple[str, ...]:
    if not all(isinstance(item, Scalar) and "\0" not in item.text for item in items):
        raise ValueError(_FORM)
    return tuple(item.text for item in items if isinstance(item, Scalar))
