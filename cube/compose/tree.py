"""Documents as this room takes them apart and makes them, and what it finds to say about them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from cube.document.check import MAX_LISTED, shown
from cube.document.reader import Document, Listing, Mark, Scalar, Table
from cube.errors import InputError

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Finding(NamedTuple):
    """Something that a person should know of the value at `mark`. `key` is Compose's word for it."""

    mark: Mark
    what: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.mark}: {self.what}"


class StrangeError(Exception):
    """The value is none that Compose, or Cube, could use."""

    def __init__(self, mark: Mark, what: str) -> None:
        super().__init__(what)
        self.finding = Finding(mark, what)


def refusal(findings: Iterable[Finding]) -> InputError:
    """All findings as one error, file by file, from top to bottom."""
    told = [str(finding) for finding in in_order(findings)]
    more = [f"and {len(told) - MAX_LISTED} more"] if len(told) > MAX_LISTED else []
    return InputError("\n".join([*told[:MAX_LISTED], *more]))


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Each once, file by file, from top to bottom."""
    return sorted(set(findings), key=lambda each: (each.mark.source, each.mark.line, each.mark.column, each))


def is_null(document: Document | None) -> bool:
    """Nothing is written there."""
    return document is None or (isinstance(document, Scalar) and document.is_null)


def text_of(document: Document) -> str:
    """The text of a single value. Raises StrangeError."""
    if not isinstance(document, Scalar):
        raise StrangeError(document.mark, "write a single value here")
    return document.text


def switch_of(document: Document) -> bool:
    """Raises StrangeError for what is neither true nor false."""
    text = text_of(document).lower()
    if text not in (*_TRUE, *_FALSE):
        raise StrangeError(document.mark, f"write true or false, not {shown(text)}")
    return text in _TRUE


def entries_of(document: Document | None) -> dict[str, Document]:
    """The entries of a table; none where nothing is written. Raises StrangeError."""
    return {key.text: value for key, value in keyed(document)}


def keyed(document: Document | None) -> tuple[tuple[Scalar, Document], ...]:
    """As `entries_of`, the keys with their places."""
    if document is None or is_null(document):
        return ()
    if not isinstance(document, Table):
        raise StrangeError(document.mark, "write a table of keys and values here")
    return document.entries


def items_of(document: Document | None) -> tuple[Document, ...]:
    """The items of a list; none where nothing is written. Raises StrangeError."""
    if document is None or is_null(document):
        return ()
    if not isinstance(document, Listing):
        raise StrangeError(document.mark, "write a list here")
    return document.items


def one_or_more(document: Document | None) -> tuple[Document, ...]:
    """The items of a list, or the single value that stands in its place."""
    return (document,) if isinstance(document, Scalar) and not is_null(document) else items_of(document)


def pairs_of(document: Document | None, separators: str = "=") -> tuple[tuple[Scalar, Document], ...]:
    """A table, or a list of `NAME=value`; a name alone has the value null."""
    if isinstance(document, Listing):
        return tuple(_pair(item, separators) for item in document.items)
    return keyed(document)


def as_table(document: Document, separators: str = "=") -> Table:
    """The same as a table; of a name that stands twice the later."""
    found = {key.text: (key, value) for key, value in pairs_of(document, separators)}
    return Table(tuple(found.values()), document.mark, document.tag)


def made(text: str, mark: Mark) -> Scalar:
    """A text that stands for what was written there."""
    return Scalar(text, mark, is_plain=False)


def listing(texts: Iterable[str], mark: Mark) -> Listing:
    """A list of texts."""
    return Listing(tuple(made(text, mark) for text in texts), mark)


def table(entries: Mapping[str, Document | str], mark: Mark) -> Table:
    """A table of documents and texts."""
    values = {key: made(value, mark) if isinstance(value, str) else value for key, value in entries.items()}
    return Table(tuple((made(key, value.mark), value) for key, value in values.items()), mark)


def overlaid(below: Table, above: Table) -> Table:
    """Tables within tables are merged; of all else, that above is taken."""
    found = {key.text: (key, value) for key, value in below.entries}
    for key, value in above.entries:
        lower = found.get(key.text, (key, None))[1]
        both = isinstance(lower, Table) and isinstance(value, Table)
        found[key.text] = (key, overlaid(lower, value) if both else value)  # type: ignore[arg-type]
    return Table(tuple(found.values()), below.mark)


def called(written: Mapping[str, Document]) -> tuple[str, bool]:
    """The name of its own, or none, and whether somebody else makes it. An older form has both in one."""
    external = written.get("external")
    is_old = isinstance(external, Table)
    found = entries_of(external).get("name") if is_old else written.get("name")
    is_external = external is not None and (is_old or switch_of(external))
    return "" if found is None else text_of(found), is_external


def scalars(document: Document) -> Iterator[Scalar]:
    """Every value in it, however deep."""
    match document:
        case Scalar():
            yield document
        case Listing(items=items):
            for item in items:
                yield from scalars(item)
        case Table(entries=entries):
            for _, value in entries:
                yield from scalars(value)


def _pair(item: Document, separators: str) -> tuple[Scalar, Document]:
    text = text_of(item)
    at = min((text.index(sign) for sign in separators if sign in text), default=-1)
    if at < 0:
        return made(text, item.mark), Scalar("", item.mark, is_plain=True)
    return made(text[:at], item.mark), made(text[at + 1 :], item.mark)
