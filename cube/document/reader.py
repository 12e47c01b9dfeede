"""YAML text to values that know where they stand.

Every scalar stays text, so that the reader of a document decides what it means: `22:22` is never 1342.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from cube.errors import InputError

MAX_BYTES = 1 << 20
MAX_DEPTH = 20
MAX_ALIASED = 50_000
"""How many nodes all aliases of a document together may stand for."""

QUOTED = 'If it is text, put it in quotes, as in: cron: "* * * * *"'
"""What to do about a value that YAML takes for one of its own words."""

Plain: TypeAlias = "str | list[Plain] | dict[str, Plain]"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a text, counted from 1; `str()` is `source:line:column`. Line 0: the source as a whole."""

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as it was written; `is_plain` where it stood without quotes, block or tag.

    `tag` is one that the caller of `read` allowed, as `!vault`.
    """

    text: str
    mark: Mark
    is_plain: bool
    tag: str = ""

    @property
    def is_null(self) -> bool:
        """Nothing was written, or one of YAML's words for nothing."""
        return self.is_plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True, slots=True)
class Listing:
    """A sequence. `tag` as of a scalar."""

    items: "tuple[Document, ...]"
    mark: Mark
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, in the order in which it was written; its keys differ. Merges (`<<`) are already done."""

    entries: "tuple[tuple[Scalar, Document], ...]"
    mark: Mark
    tag: str = ""


Document: TypeAlias = Scalar | Listing | Table


def read(
    text: str,
    source: str,
    *,
    limit: int = MAX_BYTES,
    tags: frozenset[str] = frozenset(),
    collection_tags: frozenset[str] = frozenset(),
) -> Document:
    """The one document that `text` holds; `source` is what its places are called by.

    Scalars may carry one of `tags`, lists and tables one of `collection_tags`.

    Raises InputError, with file, line and column, for what is not YAML and for what is YAML but dangerous:
    two equal keys, tags, keys that are not scalars, a second document, more than `limit` bytes,
    deeper nesting than 20, aliases that explode or contain themselves, control characters.
    """
    text = text.removeprefix("\ufeff")
    check_text(text, source, limit)
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        reader = _Reader(yaml.parse(text, Loader=loader), source, tags, collection_tags)
        return reader.document()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, source) from None


def plain(document: Document) -> Plain:
    """The same as dictionaries, lists and text; every scalar is text."""
    match document:
        case Scalar(text=text):
            return text
        case Listing(items=items):
            return [plain(item) for item in items]
        case Table(entries=entries):
            return {key.text: plain(value) for key, value in entries}


def typed(document: Document) -> Any:
    """The same with the types of YAML 1.1, as Ansible sees them: None, bool, int, float, date, str.

    A tagged scalar becomes a table of one entry, as Ansible's JSON has it: `{"__ansible_vault": text}`.
    Raises InputError for a scalar that looks like a number or a date and is none.
    """
    return _typed(document, yaml.SafeLoader(""))


def at(document: Document, path: tuple[str | int, ...], *, key: bool = False) -> Mark:
    """Where the value (or with `key` the key) at `path` stands, or its nearest parent that is there."""
    mark = document.mark
    found: tuple[Document, Document] | None
    for step in path:
        match document:
            case Table(entries=entries):
                found = next(((name, value) for name, value in entries if name.text == str(step)), None)
            case Listing(items=items) if isinstance(step, int) and 0 <= step < len(items):
                found = (items[step], items[step])
            case _:
                found = None
        if found is None:
            break
        name, document = found
        mark = name.mark if key or not isinstance(document, Scalar) else document.mark
    return mark


def _typed(document: Document, loader: yaml.SafeLoader) -> Any:
    match document:
        case Scalar(text=text, tag=str(tag)) if tag:
            return {f"__ansible_{tag[1:]}": text}
        case Scalar(text=text, is_plain=False):
            return text
        case Scalar(text=text, mark=mark):
            tag = loader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
            try:
                return loader.construct_object(yaml.ScalarNode(tag, text))
            except (ValueError, yaml.YAMLError):
                raise InputError(
                    f"{text!r} looks like a {tag.rpartition(':')[2]} and is none",
                    where=str(mark),
                    cure="Put it in quotes if it is text.",
                ) from None
        case Listing(items=items):
            return [_typed(item, loader) for item in items]
        case Table(entries=entries):
            return {_typed(name, loader): _typed(value, loader) for name, value in entries}


# Control characters, and those that reverse or hide what a person sees.
_FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)


def check_text(text: str, source: str, limit: int) -> None:
    """Raises InputError for more than `limit` bytes, and for characters that no file of Cube's may hold."""
    # A character is at most four bytes; only a text near the limit is worth encoding.
    if len(text) * 4 > limit and len(text.encode(errors="replace")) > limit:
        raise InputError(f"the file is larger than {limit >> 10} KiB", where=source)
    if bad := _FORBIDDEN.search(text):
        before = text[: bad.start()]
        line, column = before.count("\n") + 1, bad.start() - before.rfind("\n")
        raise InputError(
            f"the character U+{ord(bad.group()):04X} is not allowed",
            where=str(Mark(source, line, column)),
            why="it is a control character, or hides or reverses text",
            cure="Save the file as UTF-8 text and remove it.",
        )


def _syntax_error(error: yaml.MarkedYAMLError, source: str) -> InputError:
    spot = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context or "this is not YAML")
    cure = ""
    if "cannot start any token" in problem:
        cure = "Indent with spaces, never with tabs, and quote values that begin with @, ` or %."
    elif "mapping values are not allowed" in problem:
        cure = "Quote values that contain ': ', and check the indentation."
    elif str(error.context) in ("while scanning an alias", "while scanning an anchor"):
        problem, cure = "a value that begins with * or & is a word of YAML's own", QUOTED
        spot = error.context_mark
    where = str(Mark(source, spot.line + 1, spot.column + 1)) if spot else source
    return InputError("the YAML cannot be read", where=where, why=problem, cure=cure)


_TAGS = {
    "!vault": "Ansible's vault cannot be opened by Cube; keep secrets out of the file",
    "!unsafe": "it is a word of Ansible's inventories only",
}
_HARMLESS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map")} | {"!"}


@dataclass(frozen=True, slots=True)
class _Anchor:
    """What a name stands for: its document, how many nodes that is, and how deep they nest."""

    document: Document
    size: int
    height: int


class _Reader:
    """Builds a document from the parser's events; never deeper than MAX_DEPTH."""

    def __init__(
        self, events: Iterator[Any], source: str, tags: frozenset[str], collection_tags: frozenset[str]
    ) -> None:
        self.events = events
        self.source = source
        self.tags = tags
        self.collection_tags = collection_tags
        self.anchors: dict[str, _Anchor | None] = {}
        self.size = 0
        self.aliased = 0

    def document(self) -> Document:
        next(self.events)
        event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            return Scalar("", Mark(self.source, 1, 1), is_plain=True)
        document = self.node(next(self.events), 1)
        next(self.events)
        event = next(self.events)
        if not isinstance(event, yaml.StreamEndEvent):
            raise InputError(
                "a second document begins here",
                where=str(self.mark(event)),
                cure="Keep one document per file: remove the '---'.",
            )
        return document

    def mark(self, event: Any) -> Mark:
        return Mark(self.source, event.start_mark.line + 1, event.start_mark.column + 1)

    def node(self, event: Any, depth: int) -> Document:
        mark = self.mark(event)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(str(event.anchor), mark, depth)
        self.check(event, mark, depth)
        before = self.size
        self.size += 1
        if event.anchor:
            self.anchors[event.anchor] = None
        document = self.build(event, mark, depth)
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(document, self.size - before, _height(document))
        return document

    def build(self, event: Any, mark: Mark, depth: int) -> Document:
        if isinstance(event, yaml.ScalarEvent):
            tag = event.tag if event.tag in self.tags else ""
            return Scalar(event.value, mark, is_plain=event.implicit[0] and event.tag is None, tag=tag)
        if isinstance(event, yaml.SequenceStartEvent):
            return Listing(tuple(self.items(depth)), mark, self.collection_tag(event))
        return Table(tuple(self.entries(depth)), mark, self.collection_tag(event))

    def collection_tag(self, event: Any) -> str:
        return event.tag if event.tag in self.collection_tags else ""

    def items(self, depth: int) -> Iterator[Document]:
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            yield self.node(event, depth + 1)

    def entries(self, depth: int) -> list[tuple[Scalar, Document]]:
        written: dict[str, tuple[Scalar, Document]] = {}
        merged: list[Table] = []
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            name = self.node(event, depth + 1)
            value = self.node(next(self.events), depth + 1)
            if not isinstance(name, Scalar):
                raise InputError(
                    "a key must be a word, not a list or a table",
                    where=str(name.mark),
                    cure="Quote values that begin with { or [, as a template does.",
                )
            if name.is_plain and name.text == "<<":
                merged += _merges(value)
            elif name.text in written:
                raise _duplicate(name, written[name.text][0])
            else:
                written[name.text] = (name, value)
        for table in merged:
            for name, value in table.entries:
                written.setdefault(name.text, (name, value))
        return list(written.values())

    def alias(self, anchor: str, mark: Mark, depth: int) -> Document:
        if anchor not in self.anchors:
            raise InputError(f"the alias *{anchor} names nothing above it", where=str(mark), cure=QUOTED)
        target = self.anchors[anchor]
        if target is None:
            raise InputError(f"the alias *{anchor} contains itself", where=str(mark))
        self.size += target.size
        self.aliased += target.size
        if self.aliased > MAX_ALIASED:
            raise InputError(
                f"aliases stand for more than {MAX_ALIASED} values",
                where=str(mark),
                cure="Use fewer aliases.",
            )
        _check_depth(depth + target.height - 1, mark)
        return target.document

    def check(self, event: Any, mark: Mark, depth: int) -> None:
        _check_depth(depth, mark)
        is_scalar = isinstance(event, yaml.ScalarEvent)
        is_allowed = event.tag in (self.tags if is_scalar else self.collection_tags)
        if event.tag and event.tag not in _HARMLESS and not is_allowed:
            why = _TAGS.get(event.tag, "Cube reads plain values only")
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            raise InputError(f"the tag {tag} is not allowed", where=str(mark), why=why)


def _height(document: Document) -> int:
    match document:
        case Scalar():
            return 1
        case Listing(items=items):
            return 1 + max(map(_height, items), default=0)
        case Table(entries=entries):
            return 1 + max((_height(value) for _, value in entries), default=0)


def _check_depth(depth: int, mark: Mark) -> None:
    if depth > MAX_DEPTH:
        raise InputError(f"values are nested deeper than {MAX_DEPTH} levels", where=str(mark))


def _merges(value: Document) -> list[Table]:
    tables = value.items if isinstance(value, Listing) else (value,)
    for table in tables:
        if not isinstance(table, Table):
            raise InputError("'<<' merges tables only", where=str(table.mark))
    return [table for table in tables if isinstance(table, Table)]


def _duplicate(second: Scalar, first: Scalar) -> InputError:
    return InputError(
        f"the key '{second.text}' stands here twice",
        where=str(second.mark),
        why=f"it was already written in line {first.mark.line}",
        cure="Remove one of the two.",
    )
