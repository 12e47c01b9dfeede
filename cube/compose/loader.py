"""Compose files as one document: each interpolated, extended, given what it includes, laid over the last."""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cube.compose.dotenv import variables
from cube.compose.interpolation import interpolate
from cube.compose.merge import NAMED, SERVICE, TAGS, merged, without_tags
from cube.compose.shape import SERVICE as EVERY_SERVICE
from cube.compose.shape import strange
from cube.compose.tree import (
    Finding,
    StrangeError,
    entries_of,
    items_of,
    keyed,
    one_or_more,
    text_of,
)
from cube.document.check import shown
from cube.document.reader import Document, Listing, Scalar, Table, plain, read

Read = Callable[[str], str | None]
"""The text of the file at that path; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Compose file: the path that it was named by, and what is in it."""

    path: str
    text: str


class Loader:
    """Reads the files that make one project, or that it includes, and notes what is odd on the way.

    `folder` is where their relative paths begin; `folders` says it of each file for which that need not be
    its own folder. `way` are the files that led to these by including them.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        environment: Mapping[str, str],
        read_file: Read,
        folder: str,
        way: frozenset[str] = frozenset(),
    ) -> None:
        self.sources = sources
        self.environment = environment
        self.read_file = read_file
        self.folders = {source.path: folder for source in sources}
        self.way = way | self.folders.keys()
        self.told: list[Finding] = []

    def document(self) -> Table:
        """All of them as one. Raises StrangeError, InputError."""
        whole: Document | None = None
        for source in self.sources:
            whole = merged(whole, self._completed(self._extended(self._read(source.path, source.text))))
        assert isinstance(whole, Table)
        return whole

    def _read(self, path: str, text: str) -> Table:
        document = read(text, path, tags=TAGS, collection_tags=TAGS)
        if not isinstance(document, Table):
            raise StrangeError(document.mark, "this is no Compose file: it has no table of services")
        found = self._interpolated(document)
        assert isinstance(found, Table)
        return found

    def _interpolated(self, document: Document) -> Document:
        match document:
            case Scalar(text=text) if "$" in text:
                return self._filled_in(document)
            case Scalar():
                return document
            case Listing(items=items, mark=mark, tag=tag):
                return Listing(tuple(map(self._interpolated, items)), mark, tag)
            case Table(entries=entries, mark=mark, tag=tag):
                found = ((key, self._interpolated(value)) for key, value in entries)
                return Table(tuple(found), mark, tag)

    def _filled_in(self, scalar: Scalar) -> Scalar:
        def lookup(name: str) -> str | None:
            value = self.environment.get(name)
            if value is None and not _has_default(scalar.text, name):
                self.told.append(
                    Finding(scalar.mark, f"the variable {name} is not set, and stands for nothing")
                )
            return value

        try:
            return Scalar(interpolate(scalar.text, lookup), scalar.mark, is_plain=False, tag=scalar.tag)
        except ValueError as error:
            raise StrangeError(scalar.mark, str(error)) from None

    def _extended(self, document: Table) -> Table:
        """With every `extends` done."""
        services = entries_of(document).get("services")
        found = tuple((key, self._service(document, key.text, ())) for key, _ in keyed(services))
        return Table(
            tuple(
                (key, Table(found, value.mark, value.tag) if key.text == "services" else value)
                for key, value in document.entries
            ),
            document.mark,
        )

    def _service(self, document: Table, name: str, way: tuple[tuple[str, str], ...]) -> Document:
        """One service of the document, laid over the one that it extends."""
        service = entries_of(entries_of(document).get("services"))[name]
        wanted = entries_of(service).get("extends") if isinstance(service, Table) else None
        if not isinstance(service, Table) or wanted is None:
            return service
        own = Table(
            tuple(entry for entry in service.entries if entry[0].text != "extends"), service.mark, service.tag
        )
        here = (document.mark.source, name)
        if here in way:
            raise StrangeError(wanted.mark, f"the service {shown(name)} extends itself")
        base, other = self._base(document, wanted)
        below = self._service(base, other, (*way, here))
        return merged(without_tags(below), own, SERVICE)

    def _base(self, document: Table, wanted: Document) -> tuple[Table, str]:
        """The document and the name of what is extended."""
        _without_slips(wanted, f"{EVERY_SERVICE}.extends")
        written = {"service": wanted} if isinstance(wanted, Scalar) else entries_of(wanted)
        if "service" not in written:
            raise StrangeError(wanted.mark, "the key 'service' is missing")
        name = text_of(written["service"])
        if "file" in written:
            document = self._other(written["file"])
        if name not in entries_of(entries_of(document).get("services")):
            raise StrangeError(written["service"].mark, f"there is no service {shown(name)} to extend")
        return document, name

    def _other(self, written: Document) -> Table:
        source = self._source(written)
        return self._read(source.path, source.text)

    def _source(self, written: Document) -> Source:
        path = beside(written, self.folders)
        text = self.read_file(path)
        if text is None:
            raise StrangeError(written.mark, f"there is no file {path}")
        return Source(path=path, text=text)

    def _completed(self, document: Table) -> Table:
        """With what it includes; nothing may be there twice, unless it is the same."""
        own = Table(
            tuple(entry for entry in document.entries if entry[0].text != "include"),
            document.mark,
            document.tag,
        )
        for item in items_of(entries_of(document).get("include")):
            own = _joined(own, self._included(item))
        return own

    def _included(self, item: Document) -> Table:
        """Files with a folder, and defaults of variables, of their own."""
        _without_slips(item, "include")
        written = entries_of(item) if isinstance(item, Table) else {"path": item}
        places = one_or_more(written.get("path"))
        if not places:
            raise StrangeError(item.mark, "the key 'path' is missing")
        if again := sorted(self.way & {beside(place, self.folders) for place in places}):
            raise StrangeError(item.mark, f"the file {again[0]} includes itself")
        sources = [self._source(place) for place in places]
        folder = posixpath.dirname(sources[0].path)
        if "project_directory" in written:
            folder = beside(written["project_directory"], self.folders)
        environment = {**self._defaults(written.get("env_file"), folder), **self.environment}
        loader = Loader(sources, environment, self.read_file, folder, self.way)
        found = loader.document()
        self.told += loader.told
        self.folders |= loader.folders
        return found

    def _defaults(self, written: Document | None, folder: str) -> Mapping[str, str]:
        """What the files say that are named, or the `.env` that lies there."""
        if written is not None:
            sources = [self._source(place) for place in one_or_more(written)]
        else:
            path = posixpath.join(folder, ".env")
            sources = [Source(path=path, text=self.read_file(path) or "")]
        found: dict[str, str] = {}
        for source in sources:
            found |= variables(source.text, source.path, self.environment.get)
        return found


def _without_slips(document: Document, path: str) -> None:
    """Raises StrangeError for a key that Compose does not know: what is done here is gone afterwards."""
    for slip in strange(document, path):
        raise StrangeError(slip.mark, slip.what)


_OF_ITS_OWN = frozenset({"name", "version"})
"""What a file says of itself, and not of the project that includes it."""


def _joined(document: Table, included: Table) -> Table:
    """Raises StrangeError for what both have, and not alike."""
    found = {key.text: (key, value) for key, value in document.entries}
    for key, value in included.entries:
        if key.text in _OF_ITS_OWN or (key.text.startswith("x-") and key.text != "x-cube"):
            continue
        if key.text in found and (key.text,) in NAMED:
            value = Table(tuple(_names(found[key.text][1], value, key.text)), value.mark)  # noqa: PLW2901
        found[key.text] = (key, value)
    return Table(tuple(found.values()), document.mark)


def _names(own: Document, included: Document, section: str) -> Iterator[tuple[Scalar, Document]]:
    here = entries_of(own)
    yield from keyed(own)
    for key, value in keyed(included):
        if key.text not in here:
            yield key, value
        elif plain(here[key.text]) != plain(value):
            what = f"{section}: {shown(key.text)} is another one in {here[key.text].mark}"
            raise StrangeError(key.mark, f"{what}; lay one file over the other instead of including it")


def beside(written: Document, folders: Mapping[str, str]) -> str:
    """The path that is named there, as seen from the folder that is the file's, or that it lies in."""
    source = written.mark.source
    folder = folders.get(source, posixpath.dirname(source))
    return posixpath.normpath(posixpath.join(folder, text_of(written)))


def _has_default(text: str, name: str) -> bool:
    return re.search(rf"\$\{{{name}(:?[-+?])", text) is not None
