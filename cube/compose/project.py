"""From the files of a Compose project to one document: interpolated, extended, merged."""

import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cube.compose.interpolation import interpolate
from cube.compose.merge import SERVICE, TAGS, merged, without_tags
from cube.compose.tree import (
    Finding,
    StrangeError,
    entries_of,
    keyed,
    one_or_more,
    refusal,
    text_of,
)
from cube.document.check import shown
from cube.document.reader import Document, Listing, Mark, Scalar, Table, read

Read = Callable[[str], str | None]
"""The text of the file at that path; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One Compose file: the path that it was named by, and what is in it."""

    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a project needs of the world: its variables, its folder's name, and the files beside it.

    `profiles` are those that are asked for; `*` is all.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = "compose"
    profiles: frozenset[str] = frozenset()
    read: Read = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A whole project. `services` are those to run, `asleep` those whose profile nobody asked for.

    `folder` is where its relative paths begin, for what stands in one of `paths`.
    """

    name: str
    document: Table
    services: Mapping[str, tuple[Mark, Table]]
    asleep: frozenset[str]
    paths: frozenset[str]
    folder: str
    around: Surroundings
    told: tuple[Finding, ...] = ()

    def path_of(self, written: Document) -> str:
        """The path of a file that is named there."""
        return _beside(written, self.paths, self.folder)


def is_compose(text: str, source: str) -> bool:
    """The file is one of Compose's, and no job file. Raises InputError for what is not YAML."""
    document = read(text, source, tags=TAGS, collection_tags=TAGS)
    keys = {key.text for key, _ in document.entries} if isinstance(document, Table) else set()
    return bool({"services", "include"} & keys) and not {"job", "groups"} & keys


def project_of(sources: Sequence[Source], around: Surroundings) -> Project:
    """The project that the files describe, the later ones laid over the earlier.

    Raises InputError with every place where they cannot be understood.
    """
    loader = _Loader(sources, around)
    try:
        document = loader.document()
        services = {
            name: (key.mark, _service(value))
            for key, value in keyed(entries_of(document).get("services"))
            for name in [key.text]
        }
        name = _name(document, around)
        asleep = frozenset(
            name for name, (_, each) in services.items() if not _is_awake(each, around.profiles)
        )
    except StrangeError as error:
        raise refusal([error.finding]) from None
    return Project(
        name=name,
        document=document,
        services={name: found for name, found in services.items() if name not in asleep},
        asleep=asleep,
        paths=loader.paths,
        folder=loader.folder,
        around=around,
        told=tuple(loader.told),
    )


class _Loader:
    """Reads each file once, and notes what is odd on the way."""

    def __init__(self, sources: Sequence[Source], around: Surroundings) -> None:
        self.sources = sources
        self.around = around
        self.paths = frozenset(source.path for source in sources)
        self.folder = posixpath.dirname(sources[0].path)
        self.told: list[Finding] = []

    def document(self) -> Table:
        whole: Document | None = None
        for source in self.sources:
            whole = merged(whole, self._extended(self._read(source.path, source.text)))
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
            value = self.around.environment.get(name)
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
        path = _beside(written, self.paths, self.folder)
        text = self.around.read(path)
        if text is None:
            raise StrangeError(written.mark, f"there is no file {path}")
        return self._read(path, text)


def _beside(written: Document, paths: frozenset[str], folder: str) -> str:
    """The path as seen from where the project lies, or from the file of another that names it."""
    source = written.mark.source
    return posixpath.normpath(
        posixpath.join(folder if source in paths else posixpath.dirname(source), text_of(written))
    )


def _has_default(text: str, name: str) -> bool:
    return re.search(rf"\$\{{{name}(:?[-+?])", text) is not None


def _service(value: Document) -> Table:
    if not isinstance(value, Table):
        raise StrangeError(value.mark, "write a table of keys and values here")
    return value


def _is_awake(service: Table, profiles: frozenset[str]) -> bool:
    wanted = {text_of(item) for item in one_or_more(entries_of(service).get("profiles"))}
    return not wanted or "*" in profiles or bool(wanted & profiles)


def _name(document: Table, around: Surroundings) -> str:
    """As it is written, or as the folder is called."""
    if written := entries_of(document).get("name"):
        return text_of(written)
    return around.environment.get("COMPOSE_PROJECT_NAME") or around.folder
